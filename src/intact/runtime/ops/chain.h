// chain.h: a run of element-wise operators computed together, a piece of a row at a time.
//
// passes/fuse_chain gathers element-wise nodes into one node intact.Chain, or into the product that
// comes before them, and a QuantizeLinear after them. Such a node carries
//
//   chain         strings: "Relu", "Silu", "Clip", ... functions of x; "Add", "Mul", "Sub", "Div",
//                 "Min", "Max": x op operand; "RSub", "RDiv": operand op x
//   chain_inputs  ints, one an op: the node's input that is the operand, or -1
//   chain_alpha, chain_beta   floats, one an op: parameters of a function (bounds of Clip)
//
// x starts as the product, or as input 0 of intact.Chain. Operands and x may be codes (their value
// carries a Quant): they are read as reals, numerics.md (1). The result is codes when the output
// value carries a Quant: one Q, the last thing done. Operators before that Q that are affine in x
// become part of it (Chain::take_end): the codes are those of the exact real value, numerics.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/codes_u8.h"
#include "kernels/elementwise_f32.h"
#include "kernels/epilogue.h"
#include "runtime/op.h"
#include "runtime/ops/column_quantizer.h"

namespace intact {

// The map of a whole tensor's codes.
struct TensorMap {
  double scale = 1.0;
  std::int32_t zero = 0;
};

// Returns the map of `info`, which must be uint8 codes with one scale.
Result<TensorMap> tensor_map(const ValueInfo& info, const char* what);

// Returns the code of a real, numerics.md (2), in [0, 255].
std::int32_t encode(float x, const TensorMap& map);

// Returns the codes of reals, each rounded once; NaN gives the zero point.
std::vector<std::uint8_t> encode_all(std::span<const double> reals, const TensorMap& map);

struct RealClamp {
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();
};

// x + operand, then a clamp.
struct ChainSum {
  int input = -1;
  RealClamp clamp;
};

// The last step of a chain that leaves codes: equation (5) of codes_u8.h.
struct ChainEnd {
  std::vector<double> a{1.0};  // One, or one a channel; in steps of the output.
  std::vector<double> c{0.0};
  int residual_input = -1;  // Codes of the output's shape, or -1.
  std::int32_t r_zero = 0;
  double r_scale = 0.0;  // Real units a code of the residual.
  float r_ratio = 0.0f;
  CodeLimits codes;
  // The operators that a and c hold, as they are written; clamps are in `codes`. With a residual,
  // of no use.
  struct Step {
    FloatSteps::Op op;
    std::vector<float> v;  // One, or one a channel.
    [[nodiscard]] float v_of(std::int64_t channel) const {
      return v[v.size() == 1 ? 0 : static_cast<std::size_t>(channel)];
    }
  };
  std::vector<Step> steps;
  // A clamp that a factor a channel follows: one range of codes a channel. Empty: `codes` for all.
  std::vector<std::uint8_t> lo, hi;

  [[nodiscard]] bool has_limits() const { return !lo.empty(); }
  // Brings codes [rows, cols], the first of channel `channel`, into their ranges.
  void limit(std::uint8_t* y, std::ptrdiff_t stride, std::int64_t rows, std::int64_t cols,
             std::int64_t channel) const;

  // A Q with a map a channel, which divides as ONNX does and takes nothing in. Empty: one map.
  ColumnQuantizer by_channel;

  [[nodiscard]] bool per_channel() const { return a.size() > 1; }
  [[nodiscard]] double a_of(std::int64_t channel) const {
    return a[per_channel() ? static_cast<std::size_t>(channel) : 0];
  }
  [[nodiscard]] double c_of(std::int64_t channel) const {
    return c[per_channel() ? static_cast<std::size_t>(channel) : 0];
  }
};

// Where a piece of a row lies in the whole output.
struct ChainPiece {
  float* x = nullptr;  // [rows, cols], changed in place.
  std::ptrdiff_t x_stride = 0;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t offset = 0;           // Element of the output's memory that is piece (0, 0).
  std::ptrdiff_t offset_stride = 0;  // From row to row, in elements.
  std::int64_t image = 0;            // Index along axis 0, for operands of one row an image.
  std::int64_t channel = 0;          // Of piece column 0.
};

class Chain {
 public:
  enum class Layout : std::uint8_t { kNone, kSame, kPerChannel, kPerImage, kScalar };
  struct Op {
    std::string name;
    bool is_unary = false;
    UnaryF32 unary{UnaryOp::kRelu};
    BinaryOp binary = BinaryOp::kAdd;
    bool reversed = false;  // operand op x
    int input = -1;
    Layout operand = Layout::kNone;
    bool codes = false;
    TensorMap map;
  };

  [[nodiscard]] bool empty() const noexcept { return ops_.empty(); }
  [[nodiscard]] const std::vector<Op>& ops() const noexcept { return ops_; }
  // True when an operand has a value a channel.
  [[nodiscard]] bool has_operand_by_channel() const noexcept;

  // True when an operand has the output's shape: results must be where they belong.
  [[nodiscard]] bool reads_output_places() const noexcept;

  // Takes off what may be done in the step that makes codes of map y: the sum with codes of the
  // output's shape, constants added or multiplied, and clamps that only constants follow.
  ChainEnd take_end(const OpContext& c, const TensorMap& y);

  // Takes off a last factor a channel that the kernel of Q multiplies by itself: its input, or -1.
  int take_factor();

  // What the chain is, when it is no more than that. The sum's operand has the output's shape.
  [[nodiscard]] std::optional<RealClamp> as_clamp() const;
  [[nodiscard]] std::optional<UnaryF32> as_activation() const;
  [[nodiscard]] std::optional<ChainSum> as_sum_of_floats() const;

  // Forgets the operators, once something else does their work; the kernels stay.
  void clear() noexcept { ops_.clear(); }

  // Fills a piece with input 0 at its place, which has the output's shape: reals, or codes of
  // `map`.
  void load(const ChainPiece& piece, const StepArgs& args,
            const std::optional<TensorMap>& map) const;
  // Applies the operators to a piece.
  void run(const ChainPiece& piece, const StepArgs& args) const;

  // Stores [rows, cols] reals as codes, as ONNX divides. `inverse`: exact_inverse of the scale, or
  // 0. `factor`: null, or [cols] reals to multiply by first.
  static void store_codes(const CodesU8Kernel& kernel, const TensorMap& map, const float* x,
                          std::ptrdiff_t x_stride, std::int64_t rows, std::int64_t cols,
                          std::uint8_t* out, std::ptrdiff_t out_stride, float inverse = 0,
                          const float* factor = nullptr);

  [[nodiscard]] const CodesU8Kernel& codes_kernel() const { return *codes_; }
  [[nodiscard]] const ElementwiseF32Kernel& math_kernel() const { return *math_; }

  // Applies them and then `end`; the codes of piece (0, 0) go to `out`.
  void run(const ChainPiece& piece, const StepArgs& args, const ChainEnd& end, std::uint8_t* out,
           std::ptrdiff_t out_stride) const;

 private:
  friend Result<Chain> read_chain(const OpContext& c, const ValueInfo& out);

  std::vector<Op> ops_;
  std::int64_t channels_ = 1;  // Innermost memory size of the output.
  const ElementwiseF32Kernel* math_ = nullptr;
  const CodesU8Kernel* codes_ = nullptr;
};

// Reads the node's chain for an output of this shape and layout; empty when it has none.
// Errors: kInvalidModel when an operand does not broadcast to the output.
Result<Chain> read_chain(const OpContext& c, const ValueInfo& out);

}  // namespace intact
