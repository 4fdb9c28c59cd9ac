// int_epilogue.h: from the annotations of an integer node to the epilogue of its kernel.
//
// Integer nodes (domain "intact", passes/fuse_qdq) leave codes when their output value carries a
// Quant, and float32 otherwise. What lies between the accumulator and the result is the node's
// chain (chain.h). What is affine in the accumulator, sums with codes, clamps and one activation
// are done in registers; any other chain goes through float rows that stay in the first-level
// cache.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/epilogue.h"
#include "runtime/op.h"
#include "runtime/ops/chain.h"

namespace intact {

// The maps of one kernel call's channels, padded to panels.
struct ChannelMaps {
  PackedArray<float> m, c;
  PackedArray<float> g_m, g_c;  // Where Epilogue::is_mapped.
  PackedArray<float> steps;     // FloatSteps::v, where there are.
  std::ptrdiff_t stride = 0;

  auto fields() { return std::tie(m, c, g_m, g_c, steps, stride); }
  void put_into(Epilogue& e) const {
    e.m = m.data();
    e.c = c.data();
    e.g_m = g_m.data();
    e.g_c = g_c.data();
    e.steps.v = steps.data();
    e.steps.stride = stride;
  }
};

// What all calls of one node share.
struct IntEpilogue {
  Epilogue base;  // Without maps of channels and r.
  bool codes_out = true;
  TensorMap code;           // Of the output, when it is codes of one map.
  Chain chain;              // What the registers do not do.
  ChainEnd end;             // From the chain's result to codes.
  int residual_input = -1;  // Codes or reals added in registers.

  // True when results go through float rows of their own before they become codes.
  [[nodiscard]] bool through_float() const {
    return codes_out && (!chain.empty() || !end.by_channel.empty());
  }

  // The tag of packed weights that hold channel_maps. How much of a chain becomes part of them may
  // depend on the shape that is planned: an operand [1, n] is a row of [8, n], and all of [1, n].
  [[nodiscard]] std::string packed_tag(std::string_view name) const {
    return std::string(name) + (through_float() ? "/reals" : base.is_mapped() ? "/mapped" : "");
  }

  // True when an element of the output comes from codes at its own place in another tensor, read in
  // registers: the output may lie there.
  [[nodiscard]] bool adds_codes() const {
    return codes_out && residual_input >= 0 && base.residual != Residual::kReal;
  }

  [[nodiscard]] std::size_t element_bytes() const { return codes_out ? 1 : sizeof(float); }

  // Where the residual of an element of the output lies, null without one; and how far it is from
  // there to that `elements` further.
  [[nodiscard]] const std::uint8_t* residual(const StepArgs& args, std::int64_t element) const {
    if (residual_input < 0) return nullptr;
    return args.input<std::uint8_t>(static_cast<std::size_t>(residual_input)) +
           residual_bytes(element);
  }
  [[nodiscard]] std::ptrdiff_t residual_bytes(std::int64_t elements) const {
    return elements * (base.residual == Residual::kReal ? 4 : 1);
  }

  // m and c for columns with these products of input scales and float biases (real units, may be
  // empty), numerics.md (6). Column i is channel first + i % channels.
  [[nodiscard]] ChannelMaps channel_maps(std::span<const double> input_scales,
                                         std::span<const float> float_bias, std::int64_t first = 0,
                                         std::int64_t channels = kAllChannels) const;
  static constexpr std::int64_t kAllChannels = std::numeric_limits<std::int64_t>::max();

  // Makes what is left of the chain before its end the epilogue's own, if it is a sum.
  void take_sum();

  // Has kernels round where the operators between a function and Q do.
  void take_steps();

  // Does what the registers left of `count` whole pixels of an image, from pixel `first` of
  // `pixels` on. x: their reals, [count, channels]; in image_out itself unless through_float.
  void finish_pixels(float* x, std::byte* image_out, std::int64_t image, std::int64_t first,
                     std::int64_t count, std::int64_t pixels, std::int64_t channels,
                     const StepArgs& args) const;
};

// Reads the node's chain for an output of this shape and layout.
Result<IntEpilogue> read_int_epilogue(const OpContext& c, const ValueInfo& out);

// Codes of bytes that the file calls int8 are read as uint8 with the zero point moved by 128
// (passes/fuse_qdq): the per-channel scales and zero points of a weight, which the graph holds.
struct WeightMap {
  std::span<const float> scale;        // [n] or one.
  std::span<const std::int32_t> zero;  // [n] or one; in the weight's own type.
  [[nodiscard]] double scale_of(std::int64_t n) const {
    return scale[scale.size() == 1 ? 0 : static_cast<std::size_t>(n)];
  }
  [[nodiscard]] std::int32_t zero_of(std::int64_t n) const {
    return zero[zero.size() == 1 ? 0 : static_cast<std::size_t>(n)];
  }
  [[nodiscard]] bool has_zero() const;
};
Result<WeightMap> weight_map(const ValueInfo& w, std::int64_t channels);

}  // namespace intact
