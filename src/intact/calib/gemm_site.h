// gemm_site.h: the nodes that can be integer: products of an activation with constant weights.
//
// Every Conv, ConvTranspose, Gemm and MatMul with constant weights is, seen from one output value,
//
//   y[g, n] = sum_k M[g, n, k] x[g, k] + b[n]      M: [groups, rows, taps] (20)
//
// where x is a row gathered from the input tensor (im2col): a receptive field for Conv, one pixel
// for ConvTranspose (whose rows are (channel, kernel position) pairs), a vector for Gemm and
// MatMul.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "intact/result.h"
#include "ir/graph.h"

namespace intact {

enum class GemmKind : std::uint8_t { kConv, kConvTranspose, kGemm, kMatMul };

struct GemmSite {
  std::int32_t node = -1;  // Index into graph.nodes.
  GemmKind kind = GemmKind::kConv;
  ValueId input = kNoValue;
  ValueId weight = kNoValue;
  ValueId bias = kNoValue;  // kNoValue: none.
  int weight_axis = 0;      // Of the output channels in the weight tensor.
  bool transposed = false;  // Gemm with transB: the weight is [N, K].
  std::size_t groups = 1;
  std::size_t rows = 1;     // N of one group; ConvTranspose: channels times kernel positions.
  std::size_t taps = 1;     // K of one group.
  std::size_t spatial = 1;  // Conv: consecutive taps of one input channel.
  std::size_t share = 1;    // Consecutive rows with one scale and bias (ConvTranspose).
  [[nodiscard]] std::size_t channels() const { return groups * rows / share; }
  [[nodiscard]] bool has_bias_input() const { return kind != GemmKind::kMatMul; }
};

// The sites of a graph in execution order, and why the other products are none.
struct GemmSites {
  std::vector<GemmSite> sites;
  std::map<std::int32_t, std::string> reasons;  // By node index, for products that stay float.
};
GemmSites find_gemm_sites(const Graph& graph);

// True for the four operators.
bool is_product(const Node& node);

// A weight tensor, or its codes, as M: [groups, rows, taps] row-major; and the inverse.
template <class T>
std::vector<T> weight_rows(const GemmSite& site, std::span<const T> weight);
std::vector<float> weight_matrix(const GemmSite& site, const Tensor& weight);
template <class T>
std::vector<T> weight_layout(const GemmSite& site, std::span<const T> matrix, const Shape& shape);

// The axis of the input tensor that holds its channels: 1 for convolutions, the last otherwise.
int input_channel_axis(const GemmSite& site, std::size_t rank);
// The number of input channels.
std::size_t input_channels(const GemmSite& site);
// The input channel that tap k of group g reads.
std::size_t channel_of_tap(const GemmSite& site, std::size_t g, std::size_t k);

// The share of a product's output positions at which each tap of a kernel reads the input and not
// its padding: [spatial]; 1 for all but Conv.
std::vector<double> tap_coverage(const Graph& graph, const GemmSite& site, const Shape& input);

// Writes rows [groups * taps] of the input at up to `count` positions: evenly spread, the position
// within its stratum by a hash of the shape, the same for tensors of one shape. Returns how many.
//   x: laid out as `strides` (elements, by axis) say   rows: room for `count`
std::size_t gather_rows(const Graph& graph, const GemmSite& site, const Shape& shape,
                        std::span<const std::int64_t> strides, const float* x, std::size_t count,
                        float* rows);
// The same of 8-bit codes, row-major; real[b] is what byte b stands for.
std::size_t gather_rows(const Graph& graph, const GemmSite& site, const Tensor& codes,
                        std::span<const float, 256> real, std::size_t count, float* rows);

}  // namespace intact
