// check.h: our own broken invariants.
//
// INTACT_CHECK always runs; INTACT_DCHECK only in debug builds. Both throw InternalError, which is
// caught at the edges (command line: exit 70; Python: intact.InternalError) and nowhere else.
#pragma once

#include <fmt/format.h>

#include <string>

#include "intact/internal_error.h"

namespace intact {

[[noreturn]] void throw_internal_error(const char* file, int line, const std::string& what);

}  // namespace intact

#define INTACT_CHECK(condition, ...)                                                  \
  do {                                                                                \
    if (!(condition)) [[unlikely]]                                                    \
      ::intact::throw_internal_error(__FILE__, __LINE__, ::fmt::format(__VA_ARGS__)); \
  } while (false)

#ifdef NDEBUG
#define INTACT_DCHECK(condition, ...) \
  do {                                \
  } while (false)
#else
#define INTACT_DCHECK(condition, ...) INTACT_CHECK(condition, __VA_ARGS__)
#endif
