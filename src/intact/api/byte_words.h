// byte_words.h: how the face says that an input is made of bytes (quant/byte_map.h).
//
// A quantized file keeps the words in its metadata, under "intact.input.NAME", so that float
// samples of the model that it was made from fit it too.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "ir/graph.h"
#include "quant/byte_map.h"

namespace intact {

using ByteMaps = std::map<std::string, ByteMap>;  // By input.

// Reads "uint8[,nhwc][,scale=S][,mean=M][,std=S]", numbers as --images takes them.
// Errors: kInvalidArgument.
Result<ByteMap> parse_byte_map(const std::string& text);
// The same words, so that they give the same map.
std::string to_text(const ByteMap& map);

// The maps that a file's metadata holds; what is not readable is left out.
ByteMaps byte_maps_of(const std::map<std::string, std::string>& metadata);

// Returns which of `values`, the graph's inputs or outputs as `kind` says, has that name. Errors:
// kInvalidArgument, with the names there are.
Result<std::size_t> find_named(const Graph& graph, std::span<const ValueId> values,
                               std::string_view kind, const std::string& name);

// Makes that input bytes (calib/byte_inputs.h), and keeps the words. Errors: kInvalidArgument when
// there is no such input, or it can't be bytes.
Status take_byte_input(Graph& graph, const std::string& name, const ByteMap& map);

}  // namespace intact
