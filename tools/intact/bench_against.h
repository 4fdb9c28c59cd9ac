// bench_against.h: the same files in other engines, through the Python package.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "command.h"

namespace intact::cli {

// Runs intact.benchmark (python/intact/benchmark.py) on these models and inputs: all engines are
// timed by one caller in one process. The interpreter is $INTACT_PYTHON, else python3. Prints its
// table unless `quiet`; returns its rows. Errors: kInvalidArgument saying what to install when the
// interpreter lacks the package or an engine.
Result<Json> bench_against(const std::vector<std::string>& models, const std::string& engines,
                           std::span<const NamedTensor> inputs, int rounds, int threads,
                           bool quiet);

}  // namespace intact::cli
