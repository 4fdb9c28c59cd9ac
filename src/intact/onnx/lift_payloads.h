// lift_payloads.h: the large tensors of a model file, left where they are.
//
// Protobuf copies every field that it parses, and weights are most of a file. So before parsing,
// the raw data of large initializers is cut out, and each such tensor says instead that its data is
// external: at an offset in kThisFile, the model itself. What follows is the ordinary path of
// external data (external_data.h), on one mapping of the file.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace intact {

// The location of such data. No real one: a path cannot hold a zero byte.
inline const std::string kThisFile("\0this file", 10);

// Returns the bytes of `model` without the raw data of large initializers. Nothing when the bytes
// are not a well-formed message; then protobuf will say so.
std::optional<std::string> lift_payloads(std::span<const std::byte> model);

}  // namespace intact
