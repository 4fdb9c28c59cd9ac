// internal_error.h: the one exception that the library throws: a broken invariant of its own.
//
// What the world can get wrong is a Result (result.h). A program catches InternalError where it
// would otherwise die, says that this is a bug of intact, and goes on without the call's result.
#pragma once

#include <stdexcept>

namespace intact {

class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

}  // namespace intact
