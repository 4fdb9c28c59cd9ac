// intact_ops.h: the operators of our own domain, which only passes create and only the runtime
// runs.
//
// No file holds them: the pipeline of `quantize` never makes one (passes/pipeline.h). Logical
// shapes below; "real" means the exact value that a kernel then rounds.
//
//   float, made from the ONNX patterns that exporters write (passes/fuse_*.cc)
//     Silu(x)                                    x sigmoid(x)
//     HardSwish(x)                               x max(0, min(1, x/6 + 1/2))
//     HardSwish6(x)                              (x max(0, min(6, x + 3))) / 6, rounded so
//     Gelu(x) approximate="none"                 x/2 (1 + erf(x / sqrt 2))
//     Gelu(x) approximate="tanh"                 x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
//     LayerNormalization(x, g, b?) axis epsilon  as ONNX opset 17, one output, for any opset
//     Linear(x, w, b?)                           y[.., n] = sum_k x[.., k] w[k, n] + b[n]
//                                                x: [.., K]  w: [K, N]  b: [N]  rank of x >= 1
//   layout (passes/assign_layout.cc); the logical values do not change, only the order in memory
//     ToChannelsLast(x)        plain -> channels-last
//     ToPlain(x)               channels-last -> plain
//   views, which cost nothing: the bytes stay, the logical shape is permuted as Transpose(perm)
//   does
//     ViewPlain(x) perm        channels-last [N,C,D..] -> plain [N,D..,C], perm = 0,2,..,1
//     ViewChannelsLast(x) perm plain [N,D..,C] -> channels-last [N,C,D..], perm = 0,r-1,1,..
//   movements of channels (passes/fuse_channels.cc, runtime/ops/channel_ops.cc)
//     Channels(x...) -> y... axis channels sizes  channel j of the y's, one behind another along
//                                                 axis, is channel channels[j] of the x's; codes
//                                                 requantized where their maps differ
#pragma once

#include <string_view>

namespace intact {

inline constexpr std::string_view kIntactDomain = "intact";

}  // namespace intact
