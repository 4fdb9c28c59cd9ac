// bind.h: what the parts of the Python module share.
#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <utility>
#include <vector>

#include "intact/result.h"
#include "intact/session.h"

namespace intact::python {

// Raises the Python exception of an error: OSError, UnsupportedError, KeyboardInterrupt,
// ValueError.
[[noreturn]] void raise(const Error& error);

template <class T>
T take(Result<T> result) {
  if (!result) raise(result.error());
  return std::move(*result);
}

// The name of a numpy array's dtype.
std::string dtype_name(nanobind::handle array);

// Inputs or outputs as (name, dtype, [size, symbol or None]).
nanobind::list describe(const std::vector<ValueDescription>& values);

void bind_quantize(nanobind::module_& m);
void bind_reports(nanobind::module_& m);

}  // namespace intact::python
