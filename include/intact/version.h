// version.h: the one place that holds the version; CMake and the Python package read it here.
#pragma once

#include <string_view>

namespace intact {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace intact
