#include "passes/pipeline.h"

#include <array>

namespace intact {
namespace {

// Folding the weights shows the pads; folding the shapes shows more constants; batch
// normalizations fold once the pads and no-ops between them and their convolutions are gone, and
// after the patterns that begin with an addition (x + 3 of hard swish) have been recognized.
constexpr std::array<std::string_view, 10> kQuantize = {
    "eliminate_dead_code", "fold_constants",
    "fold_shapes",         "fold_constants",
    "remove_no_ops",       "fold_pad",
    "fold_batch_norm",     "eliminate_common_subexpressions",
    "fold_constants",      "eliminate_dead_code",
};

constexpr std::array<std::string_view, 25> kSession = {
    "eliminate_dead_code",
    "fold_constants",
    "fold_shapes",
    "fold_constants",
    "remove_no_ops",
    "fold_pad",
    "eliminate_common_subexpressions",
    "fuse_swish",
    "fuse_gelu",
    "fuse_layer_norm",
    "fold_batch_norm",
    "fuse_linear",
    "simplify",
    "eliminate_dead_code",
    "assign_layout",
    "recode_int8",
    "move_codes",
    "quantize_channels",
    "fuse_qdq",
    "fuse_chain",
    "fuse_channels",
    "fuse_image",
    "fuse_attention",
    "fuse_norm_codes",
    "eliminate_dead_code",
};

}  // namespace

std::span<const std::string_view> quantize_pipeline() { return kQuantize; }
std::span<const std::string_view> session_pipeline() { return kSession; }

}  // namespace intact
