// usage.h: one sentence for a command line that cannot be parsed: what is wrong with it, and what
// was probably meant.
#pragma once

#include <span>
#include <string>

#include "command.h"

namespace intact::cli {

// `app` has thrown `error` over these arguments.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error,
                        std::span<const std::string> arguments);

}  // namespace intact::cli
