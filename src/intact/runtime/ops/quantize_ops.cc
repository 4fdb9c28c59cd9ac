// quantize_ops.cc: the border between reals and codes, and element-wise work on codes.
//
//   QuantizeLinear, DequantizeLinear   ONNX; tensor, axis and block granularity; 4 to 32 bits
//   intact.Recode(x)                   int8 bytes read as uint8 with zero point + 128, or back

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/half.h"
#include "base/round.h"
#include "kernels/codes_u8.h"
#include "kernels/exact_inverse.h"
#include "runtime/ops/column_quantizer.h"
#include "runtime/ops/extents.h"
#include "runtime/ops/tables.h"

namespace intact {
namespace {

// Where the scale and zero point of element i of a row-major tensor are: (i / inner % size) /
// block, with the blocks of one `outer` slice behind another for blocked scales.
struct Granularity {
  std::int64_t inner = 1;  // Elements from one index along the axis to the next.
  std::int64_t size = 1;   // Of the axis.
  std::int64_t block = 0;  // 0: one scale an index (or one in all).
  bool one = true;

  [[nodiscard]] std::int64_t at(std::int64_t i) const {
    if (one) return 0;
    const std::int64_t index = i / inner % size;
    if (block == 0) return index;
    const std::int64_t blocks = (size + block - 1) / block;
    return (i / (inner * size) * blocks + index / block) * inner + i % inner;
  }
};

Result<Granularity> read_granularity(const OpContext& c) {
  const ValueInfo& x = c.input(0);
  const ValueInfo& scale = c.input(1);
  Granularity g;
  if (scale.size() == 1) return g;
  g.one = false;
  INTACT_ASSIGN(const int axis, normalize_axis(c.node().get_int("axis", 1), x.rank()));
  const auto a = static_cast<std::size_t>(axis);
  const auto strides = x.strides();
  g.inner = strides[a];
  g.size = x.shape[a];
  g.block = c.node().get_int("block_size", 0);
  if (g.block > 0) {
    Shape wanted = x.shape;
    wanted[a] = (wanted[a] + g.block - 1) / g.block;
    if (scale.shape != wanted || x.layout != Layout::kPlain)
      return fail(ErrorCode::kInvalidModel,
                  fmt::format("scales {} for blocks of {} along axis {} of {}",
                              to_string(scale.shape), g.block, axis, to_string(x.shape)));
  } else if (scale.size() != g.size) {
    return fail(ErrorCode::kInvalidModel,
                fmt::format("{} scales for {} indices of axis {}", scale.size(), g.size, axis));
  }
  return g;
}

struct Range {
  double lo, hi;
};
std::optional<Range> code_range(Dtype dtype) {
  switch (dtype) {
    case Dtype::kUint8:
      return Range{0, 255};
    case Dtype::kInt8:
      return Range{-128, 127};
    case Dtype::kUint16:
      return Range{0, 65535};
    case Dtype::kInt16:
      return Range{-32768, 32767};
    case Dtype::kUint4:
      return Range{0, 15};
    case Dtype::kInt4:
      return Range{-8, 7};
    default:
      return std::nullopt;
  }
}

std::int64_t load_code(Dtype dtype, const std::byte* data, std::int64_t i) {
  switch (dtype) {
    case Dtype::kUint8:
      return reinterpret_cast<const std::uint8_t*>(data)[i];
    case Dtype::kInt8:
      return reinterpret_cast<const std::int8_t*>(data)[i];
    case Dtype::kUint16:
      return reinterpret_cast<const std::uint16_t*>(data)[i];
    case Dtype::kInt16:
      return reinterpret_cast<const std::int16_t*>(data)[i];
    case Dtype::kInt32:
      return reinterpret_cast<const std::int32_t*>(data)[i];
    case Dtype::kUint4:
    case Dtype::kInt4: {
      const int code = (std::to_integer<int>(data[i / 2]) >> (i % 2 * 4)) & 0xF;
      return dtype == Dtype::kInt4 && code > 7 ? code - 16 : code;
    }
    default:
      return 0;
  }
}

void store_code(Dtype dtype, std::byte* data, std::int64_t i, std::int64_t code) {
  switch (dtype) {
    case Dtype::kUint8:
    case Dtype::kInt8:
      data[i] = static_cast<std::byte>(code & 0xFF);
      break;
    case Dtype::kUint16:
    case Dtype::kInt16:
      reinterpret_cast<std::uint16_t*>(data)[i] = static_cast<std::uint16_t>(code & 0xFFFF);
      break;
    default: {
      std::byte& byte = data[i / 2];
      const auto nibble = static_cast<std::byte>(code & 0xF);
      byte = i % 2 == 0 ? nibble : (byte | (nibble << 4));
    }
  }
}

Status plan_quantize(OpContext& c) {
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  INTACT_TRY(c.require(1, Dtype::kFloat32));
  const ValueInfo x = c.input(0);
  auto dtype = static_cast<Dtype>(c.node().get_int("output_dtype", 0));
  if (c.has(2)) dtype = c.input(2).dtype;
  if (dtype == Dtype::kUndefined) dtype = Dtype::kUint8;
  const auto range = code_range(dtype);
  if (!range)
    return fail(ErrorCode::kUnsupported, fmt::format("QuantizeLinear to {}", name_of(dtype)));
  if (c.has(2) && c.input(2).size() != c.input(1).size())
    return fail(ErrorCode::kInvalidModel, "scale and zero point differ in shape");
  INTACT_ASSIGN(const Granularity g, read_granularity(c));
  INTACT_TRY(c.output(0, dtype, x.shape, x.layout));
  const bool has_zero = c.has(2);
  const std::int64_t n = x.size();
  if (dtype == Dtype::kUint8 && g.one) {
    INTACT_ASSIGN(const IsaLevel isa, host_isa());
    const auto* kernel = &select_kernel<CodesU8Kernel>(isa);
    const Tensor* scale = c.input(1).constant;
    const float inverse = scale == nullptr ? 0.0f : exact_inverse(*scale->values<float>().data());
    const ElementCut cut = ElementCut::of(c);
    run_elements(c, cut, [=](const StepArgs& args, const ElementPiece& part) {
      const std::int32_t zero = has_zero ? *args.input<std::uint8_t>(2) : 0;
      const QuantParams p{args.input<float>(1), &zero, false, 0, 255, inverse};
      kernel->quantize(args.input<float>(0) + part.begin, 1, part.end - part.begin, p,
                       args.output<std::uint8_t>(0) + part.begin);
    });
    return {};
  }
  const Tensor* scales = c.input(1).constant;
  const Tensor* zeros = has_zero ? c.input(2).constant : nullptr;
  if (dtype == Dtype::kUint8 && g.block == 0 && g.inner == 1 && scales != nullptr &&
      (zeros != nullptr || !has_zero)) {
    std::vector<std::int32_t> zero(static_cast<std::size_t>(g.size), 0);
    if (zeros != nullptr) std::ranges::copy(zeros->values<std::uint8_t>(), zero.begin());
    const ColumnQuantizer columns(scales->values<float>(), zero);
    INTACT_ASSIGN(const IsaLevel isa, host_isa());
    const auto* kernel = &select_kernel<CodesU8Kernel>(isa);
    const std::int64_t cols = std::max<std::int64_t>(1, g.size);
    const ElementCut cut = ElementCut::of(c, cols);
    run_elements(c, cut, [=](const StepArgs& args, const ElementPiece& part) {
      columns.run(*kernel, args.input<float>(0) + part.begin, cols, (part.end - part.begin) / cols,
                  cols, 0, args.output<std::uint8_t>(0) + part.begin, cols);
    });
    return {};
  }
  c.run([=, r = *range](const StepArgs& args) {
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t at = g.at(i);
      const std::int64_t zero = has_zero ? load_code(dtype, args.in[2], at) : 0;
      const float ratio = args.input<float>(0)[i] / args.input<float>(1)[at];
      const double code = std::clamp(
          static_cast<double>(round_half_even(ratio)) + static_cast<double>(zero), r.lo, r.hi);
      store_code(dtype, args.out[0], i, ratio != ratio ? zero : static_cast<std::int64_t>(code));
    }
  });
  return {};
}

Status plan_dequantize(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_TRY(c.require(1, Dtype::kFloat32));
  const ValueInfo x = c.input(0);
  if (!code_range(x.dtype) && x.dtype != Dtype::kInt32)
    return fail(ErrorCode::kUnsupported, fmt::format("DequantizeLinear of {}", name_of(x.dtype)));
  if (c.has(2) && (c.input(2).size() != c.input(1).size() || c.input(2).dtype != x.dtype))
    return fail(ErrorCode::kInvalidModel,
                "the zero point does not have the codes' type or the scale's shape");
  INTACT_ASSIGN(const Granularity g, read_granularity(c));
  INTACT_TRY(c.output(0, Dtype::kFloat32, x.shape, x.layout));
  const bool has_zero = c.has(2);
  const std::int64_t n = x.size();
  if (x.dtype == Dtype::kUint8 && g.one) {
    INTACT_ASSIGN(const IsaLevel isa, host_isa());
    const auto* kernel = &select_kernel<CodesU8Kernel>(isa);
    const ElementCut cut = ElementCut::of(c);
    run_elements(c, cut, [=](const StepArgs& args, const ElementPiece& part) {
      const std::int32_t zero = has_zero ? *args.input<std::uint8_t>(2) : 0;
      const QuantParams p{args.input<float>(1), &zero, false, 0, 255};
      kernel->dequantize(args.input<std::uint8_t>(0) + part.begin, 1, part.end - part.begin, p,
                         args.output<float>(0) + part.begin);
    });
    return {};
  }
  c.run([=, dtype = x.dtype](const StepArgs& args) {
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t at = g.at(i);
      const std::int64_t zero = has_zero ? load_code(dtype, args.in[2], at) : 0;
      const auto steps = static_cast<float>(load_code(dtype, args.in[0], i) - zero);
      args.output<float>(0)[i] = steps * args.input<float>(1)[at];
    }
  });
  return {};
}

Status plan_recode(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  const Dtype to = x.dtype == Dtype::kInt8 ? Dtype::kUint8 : Dtype::kInt8;
  INTACT_TRY(c.output(0, to, x.shape, x.layout));
  const ElementCut cut = ElementCut::of(c);
  run_elements(c, cut, [](const StepArgs& args, const ElementPiece& part) {
    for (std::int64_t i = part.begin; i < part.end; ++i)
      args.out[0][i] = args.in[0][i] ^ std::byte{0x80};
  });
  return {};
}

constexpr OpRow kRows[] = {
    {"", "QuantizeLinear", 10, plan_quantize},
    {"", "DequantizeLinear", 10, plan_dequantize},
    {"intact", "Recode", 1, plan_recode},
};

}  // namespace

std::span<const OpRow> quantize_ops() { return kRows; }

}  // namespace intact
