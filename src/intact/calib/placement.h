// placement.h: which tensors become codes, and which products stay float and why.
//
// One Q for each tensor that feeds an integer product, after the whole float chain that makes the
// tensor (convolution, bias, activation, addition, concatenation). Whoever else reads the tensor
// reads its codes too, so that memory holds codes only; the output of a LayerNormalization is the
// exception: its residual branch reads the float tensor, because the error of a code there goes
// through the whole rest of the network unattenuated. A tensor that is codes already (given: bytes
// of an image, byte_inputs.h) gets no Q: its map is the model's.
//
// A MatMul of two activations (the two of attention) gets codes of its own on both sides, which it
// alone reads: the right side's have the middle code as zero point, which kernels of signed bytes
// take for nothing; what a Softmax leaves lies in [0, 1], whatever the samples. So do outputs that
// the user wants as codes (byte_outputs.h).
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "calib/gemm_site.h"
#include "quant/affine.h"

namespace intact {

struct QuantTensor {
  ValueId value = kNoValue;
  std::vector<std::size_t> readers{};  // Indices into Placement::sites.
  bool shared = true;                  // Other readers read the codes too.
  bool only_products = true;           // No other reader, and no graph output.
  std::optional<Affine> given{};  // The model's own DequantizeLinear makes it of codes of this map.
  std::vector<std::size_t> parts{};  // What a Concat joined: channels of each (parts.h).
  bool sum = false;                  // Of codes alone, perhaps behind an activation.
  // The products, in the order of their channels, whose weights can take gains of this tensor's
  // channels: only products read it, and between lies only what commutes with a gain, or joins
  // channels. Indices into Placement::sites; empty: there are none.
  std::vector<std::size_t> makers{};
};

// One side of products of two activations, or an output of the graph that becomes codes.
struct PairOperand {
  ValueId value = kNoValue;   // As the products read it.
  ValueId source = kNoValue;  // The same elements, before what only moves them: what is looked at.
  bool right = false;
  bool share = false;                   // Made by a Softmax.
  std::optional<std::size_t> output{};  // Which of Graph::outputs it is.
};

// A product of two activations.
struct ActivationPair {
  std::int32_t node = -1;
  std::array<std::size_t, 2> operands{};  // Into Placement::operands: left, right.
};

struct Placement {
  std::vector<GemmSite> sites;
  std::vector<QuantTensor> tensors;             // In execution order.
  std::map<ValueId, std::size_t> tensor_of;     // Into tensors.
  std::map<std::int32_t, std::size_t> site_of;  // By node index, into sites.
  std::vector<PairOperand> operands;
  std::vector<ActivationPair> pairs;
  std::map<std::int32_t, std::string> reasons;  // Of the products that stay float, by node index.

  [[nodiscard]] bool empty() const { return sites.empty() && pairs.empty(); }
  [[nodiscard]] bool is_integer(std::int32_t node) const;
};

struct PlacementOptions {
  std::vector<std::string> keep_float;  // Node names or operators; * and ? match as in a shell.
  std::vector<std::string> require_int8;
  // What an Add reads straight from a product stays float there (TensorRT fuses the two).
  bool float_sums = false;
  bool float_pairs = false;                 // Products of two activations stay float.
  std::vector<std::size_t> byte_outputs{};  // Of Graph::outputs: those that become codes.
};

// Errors: kInvalidArgument when a pattern matches no node, or require_int8 names a node that stays
// float (with the reason).
Result<Placement> place(const Graph& graph, const PlacementOptions& options = {});

// True when one of the patterns matches the node's name or its operator.
bool names_any(std::span<const std::string> patterns, const Node& node);

// True when `text` matches `pattern`, in which * stands for any text and ? for one character.
bool matches_glob(std::string_view pattern, std::string_view text);

}  // namespace intact
