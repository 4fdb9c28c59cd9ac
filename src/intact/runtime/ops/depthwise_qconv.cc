// Depthwise intact.QConv: a channel at a time makes a channel.

#include "base/align.h"
#include "kernels/dwconv_u8s8.h"
#include "runtime/ops/integer_op.h"

namespace intact {
namespace {

struct PackedDwconv {
  const DwconvU8S8Kernel* kernel = nullptr;
  std::shared_ptr<Buffer> packed;
  ChannelMaps maps;

  auto fields() { return std::tie(kernel, packed, maps); }
};

}  // namespace

Status plan_depthwise(OpContext& c, const IntEpilogue& e, const Window& window,
                      const TensorMap& x_map, const WeightMap& weights, const Bias& bias) {
  const ValueInfo& x = c.input(0);
  const std::int64_t channels = x.shape[1];
  const Tensor& w = *c.input(1).constant;
  const DwconvShape shape{channels, window.geometry};
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const auto pack = [&]() -> Result<std::shared_ptr<PackedDwconv>> {
    auto p = std::make_shared<PackedDwconv>();
    std::vector<std::int32_t> zw(static_cast<std::size_t>(channels));
    std::vector<std::int32_t> int_bias(static_cast<std::size_t>(padded_n(channels)), 0);
    std::vector<double> scales;
    bool fits = true;
    const std::int64_t taps = w.size() / channels;
    const auto values = to_int64(w);
    for (std::int64_t i = 0; i < channels; ++i) {
      const auto at = static_cast<std::size_t>(i);
      zw[at] = weights.zero_of(i);
      if (!bias.codes.empty()) int_bias[at] = bias.codes[at];
      scales.push_back(x_map.scale * weights.scale_of(i));
      std::int64_t sum = 0;
      for (std::int64_t t = 0; t < taps; ++t)
        sum += std::abs(values[static_cast<std::size_t>(i * taps + t)] - zw[at]);
      fits &=
          sum < (1 << 30) && fits_int32(static_cast<std::int32_t>(sum), x_map.zero, int_bias[at]);
    }
    const bool plain = w.dtype() == Dtype::kInt8 && !weights.has_zero() && fits;
    p->kernel = plain ? &select_kernel<DwconvU8S8Kernel>(isa) : &dwconv_u8s8_int64();
    p->packed = Buffer::allocate(p->kernel->packed_bytes(shape));
    const auto taps_w = static_cast<std::ptrdiff_t>(window.geometry.kernel_w);
    p->kernel->pack(shape,
                    {w.raw(), w.dtype() == Dtype::kUint8, static_cast<std::ptrdiff_t>(taps), taps_w,
                     1, int_bias.data(), x_map.zero, plain ? nullptr : zw.data()},
                    p->packed->data());
    p->maps = e.channel_maps(scales, bias.reals);
    return p;
  };
  INTACT_ASSIGN(const auto packed, c.packed<PackedDwconv>(e.packed_tag("dwconv"), pack));
  const auto pad = zero_line(channels, x_map.zero);
  const std::int64_t batch = x.shape[0];
  const std::int64_t out_h = window.geometry.out_h;
  const std::int64_t out_w = window.geometry.out_w;
  const std::size_t kernel_scratch = align_up(packed->kernel->scratch_bytes(shape));
  const bool through_float = e.through_float();
  // What is left to do for whole pixels keeps them together.
  const bool by_channel = !through_float && e.chain.empty() && !e.end.has_limits();
  const WindowCut cut = by_channel ? cut_by_channel(c, window.geometry, kDwconvChannels)
                                   : WindowCut{Cut::of(out_h, c.parts(batch)), {channels}};
  const std::size_t strip =
      through_float ? static_cast<std::size_t>(padded_n(channels) * out_w) * sizeof(float) : 0;
  const std::size_t scratch = kernel_scratch + align_up(strip);
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  const WindowGeometry& g = window.geometry;
  run_windows(c, cut, g, [=, window = g](const StepArgs& args, const WindowPiece& piece) {
    const std::int64_t image = piece.image;
    const LineRange& lines = piece.lines;
    const auto out_pixel =
        static_cast<std::ptrdiff_t>(channels) * static_cast<std::ptrdiff_t>(e.element_bytes());
    std::byte* own = args.scratch + ThreadPool::worker() * scratch;
    DwconvU8S8Args a;
    a.shape = shape;
    a.in = args.input<std::uint8_t>(0) + image * window.in_h * window.in_w * channels;
    a.in_pixel_bytes = channels;
    a.in_row_bytes = channels * window.in_w;
    a.pad = reinterpret_cast<const std::uint8_t*>(pad->data());
    a.packed = packed->packed->data();
    a.epilogue = e.base;
    packed->maps.put_into(a.epilogue);
    std::byte* image_out = args.out[0] + image * out_h * out_w * out_pixel;
    a.out = image_out;
    a.out_pixel_bytes = out_pixel;
    a.out_row_bytes = out_pixel * out_w;
    a.channel_begin = piece.first;
    a.channel_end = piece.last;
    a.scratch = own;
    a.epilogue.r = e.residual(args, image * out_h * out_w * channels);
    a.epilogue.r_row_bytes = e.residual_bytes(channels);
    auto* floats = reinterpret_cast<float*>(own + kernel_scratch);
    if (through_float) {
      a.out_pixel_bytes = channels * static_cast<std::ptrdiff_t>(sizeof(float));
      a.out_row_bytes = a.out_pixel_bytes * out_w;
    }
    // What goes through float stays in a strip of one row.
    const std::int64_t step = through_float ? 1 : lines.count();
    for (std::int64_t first = lines.begin; first < lines.end; first += step) {
      a.row_begin = first;
      a.row_end = first + step;
      if (through_float) a.out = reinterpret_cast<std::byte*>(floats) - first * a.out_row_bytes;
      packed->kernel->run(a);
      e.finish_pixels(static_cast<float*>(a.out) + first * out_w * channels, image_out, image,
                      first * out_w, step * out_w, out_h * out_w, channels, args);
    }
  });
  declare_operands(c, e);
  return {};
}

}  // namespace intact
