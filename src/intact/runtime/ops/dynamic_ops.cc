// dynamic_ops.cc: codes whose map is found while the model runs, and exact products of codes.
//
//   DynamicQuantizeLinear(x)                        y, scale, zero point: of this tensor's own
//   range MatMulInteger(a, b, a_zero?, b_zero?)           int32; a zero point for all rows or for
//   each,
//                                                   for all columns or for each
//   ConvInteger(x, w, x_zero?, w_zero?)             int32; one zero point, one or one a channel
//
// Sums are modulo 2^32, as int32 says. Int8 on the left is read as uint8 with both the codes and
// their zero points moved by 128. Weights that are constant are packed once a model.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/align.h"
#include "base/round.h"
#include "kernels/codes_u8.h"
#include "kernels/conv_rows.h"
#include "kernels/gemm_u8s8.h"
#include "runtime/ops/batches.h"
#include "runtime/ops/tables.h"
#include "runtime/ops/window.h"

namespace intact {
namespace {

Status plan_dynamic_quantize(OpContext& c) {
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  const ValueInfo x = c.input(0);
  INTACT_TRY(c.output(0, Dtype::kUint8, x.shape, x.layout));
  INTACT_TRY(c.output(1, Dtype::kFloat32, {}));
  INTACT_TRY(c.output(2, Dtype::kUint8, {}));
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const auto* kernel = &select_kernel<CodesU8Kernel>(isa);
  c.run([=, n = x.size()](const StepArgs& args) {
    const float* reals = args.input<float>(0);
    float lo = 0, hi = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      lo = std::min(lo, reals[i]);
      hi = std::max(hi, reals[i]);
    }
    const float scale = hi == lo ? 1.0F : (hi - lo) / 255.0F;
    const float at_zero = std::clamp(round_half_even(-lo / scale), 0.0F, 255.0F);
    const std::int32_t zero = at_zero == at_zero ? static_cast<std::int32_t>(at_zero) : 0;
    *args.output<float>(1) = scale;
    *args.output<std::uint8_t>(2) = static_cast<std::uint8_t>(zero);
    const QuantParams p{&scale, &zero, false, 0, 255};
    constexpr std::int64_t kChunk = 16384;
    args.pool.run(static_cast<std::size_t>((n + kChunk - 1) / kChunk), [&](std::size_t t) {
      const auto begin = static_cast<std::int64_t>(t) * kChunk;
      kernel->quantize(reals + begin, 1, std::min(kChunk, n - begin), p,
                       args.output<std::uint8_t>(0) + begin);
    });
  });
  return {};
}

bool is_byte(Dtype dtype) { return dtype == Dtype::kUint8 || dtype == Dtype::kInt8; }

const std::byte* input_or_null(const StepArgs& args, std::size_t i) {
  return i < args.in.size() ? args.in[i] : nullptr;
}

// Code i of a tensor of bytes, or 0 where there is no tensor.
std::int32_t code_at(const std::byte* codes, bool is_signed, std::int64_t i) {
  if (codes == nullptr) return 0;
  return is_signed ? static_cast<std::int8_t>(codes[i]) : static_cast<std::uint8_t>(codes[i]);
}

// Checks that input i, when there, is zero points of type `dtype`: one, or `count`.
Status check_zeros(const OpContext& c, std::size_t i, Dtype dtype, std::int64_t count) {
  if (!c.has(i)) return {};
  const ValueInfo& zero = c.input(i);
  if (zero.dtype != dtype)
    return fail(ErrorCode::kInvalidModel, fmt::format("zero points of {} for codes of {}",
                                                      name_of(zero.dtype), name_of(dtype)));
  if (zero.size() != 1 && zero.size() != count)
    return fail(ErrorCode::kUnsupported,
                fmt::format("zero points {} for {} rows or columns", to_string(zero.shape), count));
  return {};
}

// One right-hand matrix as the kernel wants it, in one block of memory: the packed codes, then the
// sums and the zero points of its columns.
struct RightSide {
  const GemmU8S8Kernel* kernel = nullptr;
  GemmShape shape;
  bool is_signed = true;

  [[nodiscard]] std::size_t column_bytes() const {
    return align_up(static_cast<std::size_t>(padded_n(shape.n)) * sizeof(std::int32_t));
  }
  [[nodiscard]] std::size_t packed_bytes() const { return align_up(kernel->packed_bytes(shape)); }
  [[nodiscard]] std::size_t bytes() const { return packed_bytes() + 2 * column_bytes(); }

  // Packs the codes at `source.b` with `zeros` zero points (0, 1 or one a column) from `zero` on.
  void pack(GemmBSource source, const std::byte* zero, std::int64_t zeros, std::byte* block) const {
    source.is_unsigned = !is_signed;
    std::vector<std::int32_t> each(static_cast<std::size_t>(padded_n(shape.n)), 0);
    for (std::int64_t n = 0; n < shape.n; ++n)
      each[static_cast<std::size_t>(n)] = code_at(zero, is_signed, zeros > 1 ? n : 0);
    source.zb = each.data();
    std::memset(block + packed_bytes(), 0, 2 * column_bytes());
    kernel->pack_b(shape, source, 0, panels_of(shape.n), reinterpret_cast<std::int8_t*>(block),
                   {columns(block, 0), nullptr, columns(block, 1)});
  }

  [[nodiscard]] std::int32_t* columns(std::byte* block, std::size_t i) const {
    return reinterpret_cast<std::int32_t*>(block + packed_bytes() + i * column_bytes());
  }

  // The block as an operand; `init` is filled for a left side whose codes of zero are za.
  [[nodiscard]] GemmB operand(std::byte* block, std::int32_t za, std::int32_t* init) const {
    kernel->make_init(shape, nullptr, za, columns(block, 0), init);
    return {reinterpret_cast<const std::int8_t*>(block),
            init,
            columns(block, 0),
            columns(block, 1),
            nullptr,
            za};
  }
};

// Blocks, one behind the other, that are packed once a model.
struct PackedBlocks {
  const GemmU8S8Kernel* kernel = nullptr;
  std::shared_ptr<Buffer> memory;
  auto fields() { return std::tie(kernel, memory); }
};

// The left side's bytes as uint8: themselves, or moved into `to`.
const std::uint8_t* as_uint8(const std::byte* codes, bool is_signed, std::int64_t n,
                             std::byte* to) {
  if (!is_signed) return reinterpret_cast<const std::uint8_t*>(codes);
  for (std::int64_t i = 0; i < n; ++i) to[i] = codes[i] ^ std::byte{0x80};
  return reinterpret_cast<const std::uint8_t*>(to);
}

Status plan_matmul_integer(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_TRY(c.require(1));
  const ValueInfo a = c.input(0), b = c.input(1);
  if (!is_byte(a.dtype) || !is_byte(b.dtype))
    return fail(ErrorCode::kInvalidModel,
                fmt::format("a product of {} and {}", name_of(a.dtype), name_of(b.dtype)));
  INTACT_ASSIGN(const BatchedProduct p, read_batches(a, b));
  INTACT_TRY(check_zeros(c, 2, a.dtype, p.m));
  INTACT_TRY(check_zeros(c, 3, b.dtype, p.n));
  INTACT_TRY(c.output(0, Dtype::kInt32, p.shape));
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const bool a_signed = a.dtype == Dtype::kInt8;
  RightSide right{&select_kernel<GemmU8S8Kernel>(isa), {p.n, 1, p.k}, b.dtype == Dtype::kInt8};
  const GemmBSource source{nullptr, false, 0, p.n, 1};
  const std::int64_t b_zeros = c.has(3) ? c.input(3).size() : 0;
  const bool a_zero_rows = c.has(2) && c.input(2).size() > 1;
  std::shared_ptr<const PackedBlocks> packed;
  if (b.constant != nullptr && b.rank() <= 2 && (!c.has(3) || c.input(3).constant != nullptr)) {
    const auto pack = [&]() -> Result<std::shared_ptr<PackedBlocks>> {
      auto made = std::make_shared<PackedBlocks>();
      made->kernel = right.kernel;
      made->memory = Buffer::allocate(right.bytes());
      GemmBSource from = source;
      from.b = b.constant->raw();
      right.pack(from, c.has(3) ? c.input(3).constant->raw() : nullptr, b_zeros,
                 made->memory->data());
      return made;
    };
    INTACT_ASSIGN(packed, c.packed<PackedBlocks>("integers", pack));
    right.kernel = packed->kernel;
  }
  const std::size_t flipped =
      a_signed ? align_up(static_cast<std::size_t>(a.size()) + kSlackBytes) : 0;
  const std::size_t row_zeros = a_zero_rows ? align_up(static_cast<std::size_t>(p.m)) : 0;
  const std::size_t kernel_scratch = align_up(right.kernel->scratch_bytes(right.shape));
  const std::size_t own_bytes =
      (packed ? 0 : right.bytes()) + right.column_bytes() + kernel_scratch;
  c.scratch(flipped + row_zeros + own_bytes * static_cast<std::size_t>(c.threads()));
  // A matrix that is packed for one product is not shared out.
  const std::int64_t tile = right.kernel->tile_m;
  const std::int64_t share =
      packed ? std::max<std::int64_t>(1, (p.m / (2 * c.threads()) + tile - 1) / tile * tile) : p.m;
  const std::int64_t shares = p.m == 0 ? 0 : (p.m + share - 1) / share;
  c.run([=](const StepArgs& args) {
    const std::uint8_t* left = as_uint8(args.in[0], a_signed, a.size(), args.scratch);
    const std::byte* a_zero = input_or_null(args, 2);
    const std::int32_t shift = a_signed ? 128 : 0;
    auto* zeros = reinterpret_cast<std::uint8_t*>(args.scratch + flipped);
    if (a_zero_rows)
      for (std::int64_t r = 0; r < p.m; ++r)
        zeros[r] = static_cast<std::uint8_t>(code_at(a_zero, a_signed, r) + shift);
    const std::int32_t za = a_zero_rows ? 0 : code_at(a_zero, a_signed, 0) + shift;
    args.pool.run(static_cast<std::size_t>(p.count() * shares), [&](std::size_t t) {
      const std::size_t i = t / static_cast<std::size_t>(shares);
      const std::int64_t first = static_cast<std::int64_t>(t) % shares * share;
      std::byte* own = args.scratch + flipped + row_zeros + ThreadPool::worker() * own_bytes;
      auto* init = reinterpret_cast<std::int32_t*>(own + kernel_scratch);
      std::byte* block =
          packed ? packed->memory->data() : own + kernel_scratch + right.column_bytes();
      if (!packed) {
        GemmBSource from = source;
        from.b = args.in[1] + p.b_offset[i];
        right.pack(from, input_or_null(args, 3), b_zeros, block);
      }
      GemmU8S8Args g;
      g.shape = right.shape;
      g.a = left + p.a_offset[i];
      g.a_row_bytes = p.k;
      g.za_rows = a_zero_rows ? zeros : nullptr;
      g.b = right.operand(block, za, init);
      g.epilogue.kind = EpilogueKind::kRaw;
      g.out = args.output<std::int32_t>(0) + static_cast<std::int64_t>(i) * p.m * p.n;
      g.out_row_bytes = p.n * static_cast<std::ptrdiff_t>(sizeof(std::int32_t));
      g.row_begin = first;
      g.row_end = std::min(p.m, first + share);
      g.panel_end = panels_of(p.n);
      g.scratch = own;
      right.kernel->run(g);
    });
  });
  return {};
}

// A window over a channels-last image; each group of channels is a product of its own.
Status plan_conv_integer(OpContext& c) {
  INTACT_TRY(require_image(c));
  INTACT_TRY(c.require(1));
  const ValueInfo x = c.input(0);
  if (!is_byte(x.dtype) || !is_byte(c.input(1).dtype))
    return fail(ErrorCode::kInvalidModel, fmt::format("a convolution of {} with {}",
                                                      name_of(x.dtype), name_of(c.input(1).dtype)));
  INTACT_ASSIGN(const Tensor* w, c.known(1));
  const Tensor* w_zero = nullptr;
  if (c.has(3)) {
    INTACT_ASSIGN(w_zero, c.known(3));
  }
  const std::int64_t groups = c.node().get_int("group", 1);
  const std::int64_t channels = x.shape[1], outputs = w->shape().empty() ? 0 : w->shape()[0];
  if (w->rank() != x.rank() || groups < 1 || w->shape()[1] * groups != channels ||
      outputs % groups != 0)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("weights {} in {} groups do not fit an input {}", to_string(w->shape()),
                            groups, to_string(x.shape)));
  INTACT_ASSIGN(const Window window,
                read_window(c.node(), x, {w->shape().begin() + 2, w->shape().end()}));
  INTACT_TRY(check_zeros(c, 2, x.dtype, 1));
  INTACT_TRY(check_zeros(c, 3, w->dtype(), outputs));
  const std::int64_t batch = x.shape[0];
  INTACT_TRY(c.output(0, Dtype::kInt32, window.out_shape(batch, outputs), Layout::kChannelsLast));
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const std::int64_t taps =
      static_cast<std::int64_t>(window.geometry.kernel_h) * window.geometry.kernel_w;
  const std::int64_t group_in = channels / groups, group_out = outputs / groups;
  RightSide right{
      &select_kernel<GemmU8S8Kernel>(isa), {group_out, taps, group_in}, w->dtype() == Dtype::kInt8};
  const auto pack = [&]() -> Result<std::shared_ptr<PackedBlocks>> {
    auto made = std::make_shared<PackedBlocks>();
    made->kernel = right.kernel;
    made->memory = Buffer::allocate(right.bytes() * static_cast<std::size_t>(groups));
    const std::int64_t zeros = w_zero != nullptr ? w_zero->size() : 0;
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::byte* zero = w_zero != nullptr ? w_zero->raw() : nullptr;
      right.pack({w->raw() + g * group_out * group_in * taps, false, 1, taps, group_in * taps},
                 zeros > 1 ? zero + g * group_out : zero, zeros,
                 made->memory->data() + static_cast<std::size_t>(g) * right.bytes());
    }
    return made;
  };
  INTACT_ASSIGN(const auto packed, c.packed<PackedBlocks>("integers", pack));
  right.kernel = packed->kernel;
  const bool is_signed = x.dtype == Dtype::kInt8;
  const std::size_t flipped =
      is_signed ? align_up(static_cast<std::size_t>(x.size()) + kSlackBytes) : 0;
  const std::size_t pad_bytes = align_up(static_cast<std::size_t>(channels) + kSlackBytes);
  const std::size_t kernel_scratch = align_up(right.kernel->scratch_bytes(right.shape));
  const std::int64_t rows_a_task = right.kernel->tile_m * 4;
  const std::size_t pointers =
      align_up(static_cast<std::size_t>(rows_a_task * taps) * sizeof(std::uint8_t*));
  const std::size_t own_bytes = kernel_scratch + pointers + right.column_bytes();
  c.scratch(flipped + pad_bytes + own_bytes * static_cast<std::size_t>(c.threads()));
  const WindowGeometry& g = window.geometry;
  const std::int64_t pixels = g.out_h * g.out_w;
  const std::int64_t row_tasks = (pixels + rows_a_task - 1) / rows_a_task;
  c.run([=, g = window.geometry](const StepArgs& args) {
    const std::uint8_t* image = as_uint8(args.in[0], is_signed, x.size(), args.scratch);
    const std::int32_t za = code_at(input_or_null(args, 2), is_signed, 0) + (is_signed ? 128 : 0);
    std::byte* pad = args.scratch + flipped;
    std::memset(pad, za, pad_bytes);
    args.pool.run(static_cast<std::size_t>(batch * groups * row_tasks), [&](std::size_t t) {
      const auto task = static_cast<std::int64_t>(t);
      const std::int64_t first = task % row_tasks * rows_a_task;
      const std::int64_t last = std::min(pixels, first + rows_a_task);
      const std::int64_t group = task / row_tasks % groups, n = task / row_tasks / groups;
      std::byte* own = args.scratch + flipped + pad_bytes + ThreadPool::worker() * own_bytes;
      auto** rows = reinterpret_cast<const std::uint8_t**>(own + kernel_scratch);
      fill_conv_rows(g, image + n * g.in_h * g.in_w * channels + group * group_in,
                     channels * g.in_w, channels, reinterpret_cast<const std::uint8_t*>(pad), first,
                     last, rows, rows_a_task);
      GemmU8S8Args product;
      product.shape = right.shape;
      product.rows = rows;
      product.rows_stride = rows_a_task;
      product.b =
          right.operand(packed->memory->data() + static_cast<std::size_t>(group) * right.bytes(),
                        za, reinterpret_cast<std::int32_t*>(own + kernel_scratch + pointers));
      product.epilogue.kind = EpilogueKind::kRaw;
      product.out =
          args.output<std::int32_t>(0) + (n * pixels + first) * outputs + group * group_out;
      product.out_row_bytes = outputs * static_cast<std::ptrdiff_t>(sizeof(std::int32_t));
      product.row_end = last - first;
      product.panel_end = panels_of(group_out);
      product.scratch = own;
      right.kernel->run(product);
    });
  });
  return {};
}

constexpr OpRow kRows[] = {
    {"", "ConvInteger", 10, plan_conv_integer},
    {"", "DynamicQuantizeLinear", 11, plan_dynamic_quantize},
    {"", "MatMulInteger", 10, plan_matmul_integer},
};

}  // namespace

std::span<const OpRow> dynamic_ops() { return kRows; }

}  // namespace intact
