// intact.QConv of an image of few channels, codes or reals, plain or channels-last.

#include <algorithm>

#include "base/align.h"
#include "runtime/ops/image_rows.h"
#include "runtime/ops/integer_op.h"

namespace intact {
namespace {

// What zero points z by channel add to the int32 bias of each output channel, so that kernels see
// codes whose zero point is 0: -sum_c,t z[c] (w[c,t] - zero of w).   w: [out, in, kernel...]
std::vector<std::int32_t> zeros_in_bias(const Tensor& w, const WeightMap& weights,
                                        const ImageMap& map, std::span<const std::int32_t> bias) {
  const std::vector<std::int64_t> values = to_int64(w);
  const std::int64_t out = w.shape()[0], in = w.shape()[1];
  const std::int64_t taps = w.size() / std::max<std::int64_t>(1, out * in);
  std::vector<std::int32_t> sums;
  for (std::int64_t o = 0; o < out; ++o) {
    std::int64_t sum = bias.empty() ? 0 : bias[static_cast<std::size_t>(o)];
    for (std::int64_t i = 0; i < in; ++i)
      for (std::int64_t t = 0; t < taps; ++t)
        sum -= map.zeros[static_cast<std::size_t>(i)] *
               (values[static_cast<std::size_t>((o * in + i) * taps + t)] - weights.zero_of(o));
    sums.push_back(static_cast<std::int32_t>(sum));
  }
  return sums;
}

}  // namespace

Status plan_image_conv(OpContext& c, const IntEpilogue& e, const Window& window,
                       const ImageMap& x_map, const WeightMap& weights, const Bias& bias) {
  const ValueInfo x = c.input(0);
  const Tensor& w = *c.input(1).constant;
  const std::int64_t batch = x.shape[0], in_channels = x.shape[1], out_channels = w.shape()[0];
  const WindowGeometry& outer = window.geometry;
  const auto pack = [&]() -> Result<std::shared_ptr<PackedIntGemm>> {
    const Tensor turned = channels_innermost(w);
    IntGemmSource s = joined_source(turned, outer);
    s.weights = &weights;
    s.x = x_map.tensor();
    s.int_bias = bias.codes;
    s.float_bias = bias.reals;
    std::vector<std::int32_t> sums;
    if (!x_map.one_zero()) {
      s.x.zero = 0;
      s.int_bias = sums = zeros_in_bias(w, weights, x_map, bias.codes);
    }
    return pack_int_gemm(s, e);
  };
  INTACT_ASSIGN(const auto packed, c.packed<PackedIntGemm>(e.packed_tag("image"), pack));
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const ImageRows image_rows(x, x_map.scale, x_map.zeros, c.node().get_floats("x_factor"), window,
                             select_kernel<CodesU8Kernel>(isa));
  const Cut cut = Cut::of(outer.out_h, c.parts(batch));
  // Worked on at a time: enough pixels for the kernel, and rows that stay in the first-level cache.
  constexpr std::int64_t kPixels = 1024;
  const std::int64_t strip_rows =
      std::clamp<std::int64_t>((kPixels + outer.out_w - 1) / outer.out_w, 1, cut.largest());
  const std::size_t slab = align_up(image_rows.scratch_bytes(strip_rows));
  const std::size_t scratch = slab + int_gemm_scratch(*packed, e);
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  run_windows(c, {cut, {out_channels}}, outer,
              [=, outer = window.geometry](const StepArgs& args, const WindowPiece& piece) {
                const std::int64_t image = piece.image;
                const auto element = static_cast<std::ptrdiff_t>(e.element_bytes());
                const auto run_strip = [&](std::int64_t first, std::int64_t last) {
                  std::byte* own = args.scratch + ThreadPool::worker() * scratch;
                  auto* rows = reinterpret_cast<std::uint8_t*>(own);
                  image_rows.fill(args, image, first, last, rows);
                  WindowGeometry inner =
                      outer;  // Over the padded rows, with runs of pixels for taps.
                  inner.in_h = image_rows.rows_for(last - first);
                  inner.in_w = image_rows.width();
                  inner.out_h = last - first;
                  inner.kernel_w = 1;
                  inner.pad_top = inner.pad_left = 0;
                  IntGemmRows a;
                  a.count = inner.out_h * inner.out_w;
                  a.a = rows;
                  a.window = &inner;
                  a.in_pixel_bytes = in_channels;
                  a.in_row_bytes = image_rows.pitch();
                  IntGemmOut out;
                  out.row_bytes = out_channels * element;
                  out.offset = (image * outer.out_h + first) * outer.out_w * out_channels;
                  out.out = args.out[0] + out.offset * element;
                  out.image = image;
                  out.residual = e.residual(args, out.offset);
                  out.residual_row_bytes = e.residual_bytes(out_channels);
                  run_int_gemm(*packed, e, a, out, args, 0, a.count, 0, panels_of(out_channels),
                               own + slab);
                };
                for (std::int64_t row = piece.lines.begin; row < piece.lines.end; row += strip_rows)
                  run_strip(row, std::min(piece.lines.end, row + strip_rows));
              });
  declare_operands(c, e);
  return {};
}

}  // namespace intact
