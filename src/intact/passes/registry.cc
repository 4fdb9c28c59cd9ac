#include "passes/registry.h"

#include <algorithm>
#include <array>

namespace intact {
namespace {

constexpr std::array kPasses = {
    Pass{"assign_layout",
         "gives spatial regions channels-last memory order, with as few conversions as it can",
         &assign_layout},
    Pass{"eliminate_common_subexpressions",
         "computes equal expressions and stores equal constants once",
         &eliminate_common_subexpressions},
    Pass{"eliminate_dead_code", "drops what no output depends on", &eliminate_dead_code},
    Pass{"fast_float", "marks float products that may be computed in BF16", &fast_float},
    Pass{"fold_batch_norm", "moves per-channel scales and shifts into the weights before them",
         &fold_batch_norm},
    Pass{"fold_constants", "computes what depends on constants only", &fold_constants},
    Pass{"fold_pad", "lets convolutions and pools do the padding before them", &fold_pad},
    Pass{"fold_shapes",
         "replaces computed shapes by constants, also where some dimensions are unknown",
         &fold_shapes},
    Pass{"fuse_attention", "makes one operator of two products with a softmax between them",
         &fuse_attention},
    Pass{"fuse_chain",
         "takes element-wise operators and the Q behind them into the product before them",
         &fuse_chain},
    Pass{"fuse_channels", "makes one movement of channels of those that follow each other",
         &fuse_channels},
    Pass{"fuse_gelu", "recognizes the two GELUs", &fuse_gelu},
    Pass{"fuse_image", "lets convolutions of few channels read the image as it is given",
         &fuse_image},
    Pass{"fuse_layer_norm", "recognizes layer normalization", &fuse_layer_norm},
    Pass{"fuse_linear", "turns products with constant matrices and their bias into one operator",
         &fuse_linear},
    Pass{"fuse_norm_codes", "lets layer normalization make codes beside its reals",
         &fuse_norm_codes},
    Pass{"fuse_qdq", "turns products of codes into integer products", &fuse_qdq},
    Pass{"fuse_swish", "recognizes hard sigmoid, hard swish and SiLU", &fuse_swish},
    Pass{"infer_shapes", "writes down what is known of types and shapes", &infer_shapes},
    Pass{"move_codes", "lets operators that only move elements move codes", &move_codes},
    Pass{"quantize_channels", "makes codes of reals where they are made, one map a channel",
         &quantize_channels},
    Pass{"recode_int8", "lets activations kept as int8 be uint8 with the zero point moved by 128",
         &recode_int8},
    Pass{"remove_no_ops", "removes what gives back what it is given", &remove_no_ops},
    Pass{"simplify", "merges neighbouring clamps, transposes and reshapes", &simplify},
};

}  // namespace

std::span<const Pass> all_passes() { return kPasses; }

const Pass* find_pass(std::string_view name) {
  const auto* it =
      std::find_if(kPasses.begin(), kPasses.end(), [&](const Pass& p) { return p.name == name; });
  return it == kPasses.end() ? nullptr : it;
}

}  // namespace intact
