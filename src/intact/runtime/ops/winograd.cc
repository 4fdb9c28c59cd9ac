#include "runtime/ops/winograd.h"

#include <algorithm>

#include "base/align.h"
#include "kernels/conv_cost.h"
#include "kernels/wino43_u8s8.h"
#include "runtime/ops/cut.h"
#include "runtime/ops/int_gemm.h"
#include "runtime/ops/integer_op.h"

namespace intact {
namespace {

// Float rows of one task before they become codes, about.
constexpr std::int64_t kStripBytes = 256 << 10;

struct PackedWinograd {
  const Wino43U8S8Kernel* kernel = nullptr;  // Null: a channel has no proof.
  std::shared_ptr<Buffer> packed;
  PackedArray<std::int32_t> bias;
  ChannelMaps maps;

  auto fields() { return std::tie(kernel, packed, bias, maps); }
};

Result<std::shared_ptr<PackedWinograd>> pack_winograd(const Tensor& w, const Wino43Shape& shape,
                                                      const IntEpilogue& e,
                                                      const WinogradSource& source, IsaLevel isa) {
  auto p = std::make_shared<PackedWinograd>();
  const std::int64_t k = 9 * shape.in_channels;
  std::vector<std::int32_t> bias(static_cast<std::size_t>(padded_n(shape.out_channels)), 0);
  std::copy(source.int_bias.begin(), source.int_bias.end(), bias.begin());
  std::vector<double> scales;
  const auto* codes = reinterpret_cast<const std::int8_t*>(w.raw());
  for (std::int64_t n = 0; n < shape.out_channels; ++n) {
    std::int64_t sum = 0;
    for (const std::int8_t* q = codes + n * k; q < codes + (n + 1) * k; ++q)
      sum += *q < 0 ? -*q : *q;
    if (!wino43_is_exact(sum, source.x.zero, bias[static_cast<std::size_t>(n)])) return p;
    scales.push_back(source.x.scale * source.weights->scale_of(n));
  }
  p->maps = e.channel_maps(scales, source.float_bias);
  const auto& kernel = select_kernel<Wino43U8S8Kernel>(isa);
  p->packed = Buffer::allocate(kernel.packed_bytes(shape));
  kernel.pack(shape, {.b = w.raw(), .tap_bytes = 1, .k_bytes = 9, .n_bytes = k}, 0,
              panels_of(shape.out_channels), p->packed->data());
  p->bias = bias;
  p->kernel = &kernel;
  return p;
}

// Tiles times panels. What a chain works on are whole rows.
ProductCut cut_image(const Wino43U8S8Kernel& kernel, const Wino43Shape& shape, std::int64_t wanted,
                     bool whole_rows) {
  const std::int64_t tiles = wino43_tiles(shape.window);
  const std::int64_t panels = panels_of(shape.out_channels);
  if (whole_rows) return {Cut::of(tiles, wanted, wino43_tiles_x(shape.window)), Cut::of(panels, 1)};
  const std::int64_t k = shape.in_channels * 36 / 16;
  return ProductCut::of({tiles, panels, k, k, wanted, wino43_tiles_x(shape.window)}, wanted,
                        kernel.tile_m, kernel.tile_panels);
}

// What tasks of whole lines of tiles touch. Tasks that end within one touch no rectangle.
void declare_tiles(OpContext& c, const IntEpilogue& e, const ProductCut& cut,
                   const Wino43Shape& shape) {
  if (cut.rows.parts > 1 && cut.rows.unit != wino43_tiles_x(shape.window)) return;
  const WindowGeometry& g = shape.window;
  const ProductCut pixels{{g.out_h * g.out_w, 4 * g.out_w, cut.rows.parts}, cut.panels};
  declare_products(c, {pixels, g.out_h * g.out_w, shape.out_channels}, shape.in_channels, &g);
  declare_operands(c, e);
}

}  // namespace

Result<bool> plan_winograd(OpContext& c, const IntEpilogue& e, const Window& window,
                           const WinogradSource& source) {
  const ValueInfo& x = c.input(0);
  const Tensor& w = *c.input(1).constant;
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const Wino43Shape shape{x.shape[1], w.shape()[0], window.geometry};
  if (w.dtype() != Dtype::kInt8 || source.weights->has_zero() || w.shape()[1] != x.shape[1] ||
      choose_conv_algorithm(shape, isa) != ConvAlgorithm::kWinograd43)
    return false;
  INTACT_ASSIGN(const auto packed, c.packed<PackedWinograd>(e.packed_tag("wino43"), [&] {
    return pack_winograd(w, shape, e, source, isa);
  }));
  if (packed->kernel == nullptr) return false;

  const std::int64_t batch = x.shape[0];
  const bool through_float = e.through_float();
  const bool whole_rows = through_float || !e.chain.empty() || e.end.has_limits();
  const ProductCut cut = cut_image(*packed->kernel, shape, c.parts(batch), whole_rows);
  const std::int64_t tiles_x = wino43_tiles_x(shape.window);
  const std::int64_t row_floats = shape.out_channels * shape.window.out_w;
  const std::int64_t strip_rows = std::max<std::int64_t>(4, kStripBytes / (row_floats * 4) / 4 * 4);
  const std::size_t kernel_scratch = align_up(packed->kernel->scratch_bytes(shape));
  const std::size_t strip =
      through_float ? align_up(static_cast<std::size_t>(strip_rows * row_floats) * sizeof(float))
                    : 0;
  const std::size_t scratch = kernel_scratch + strip;
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  const auto pad = zero_line(shape.in_channels, source.x.zero);
  const std::int32_t za = source.x.zero;
  declare_tiles(c, e, cut, shape);
  c.run_tasks(batch * cut.tasks(), [=](const StepArgs& args, std::size_t t) {
    const WindowGeometry& g = shape.window;
    const auto pixel = shape.out_channels * static_cast<std::ptrdiff_t>(e.element_bytes());
    const auto run_tiles = [&](std::int64_t image, std::int64_t begin, std::int64_t end,
                               std::int64_t panel_part) {
      const std::int64_t first = begin / tiles_x * 4;
      std::byte* own = args.scratch + ThreadPool::worker() * scratch;
      Wino43U8S8Args a;
      a.shape = shape;
      a.in = args.input<std::uint8_t>(0) + image * g.in_h * g.in_w * shape.in_channels;
      a.in_pixel_bytes = shape.in_channels;
      a.in_row_bytes = shape.in_channels * g.in_w;
      a.pad = reinterpret_cast<const std::uint8_t*>(pad->data());
      a.za = za;
      a.packed = packed->packed->data();
      a.bias = packed->bias.data();
      a.epilogue = e.base;
      packed->maps.put_into(a.epilogue);
      a.epilogue.r = e.residual(args, image * g.out_h * row_floats);
      a.epilogue.r_row_bytes = e.residual_bytes(shape.out_channels);
      a.tile_begin = begin;
      a.tile_end = end;
      a.panel_begin = cut.panels.begin(panel_part);
      a.panel_end = cut.panels.end(panel_part);
      a.scratch = own;
      std::byte* image_out = args.out[0] + image * g.out_h * g.out_w * pixel;
      auto* floats = reinterpret_cast<float*>(own + kernel_scratch);
      a.out = image_out;
      a.out_pixel_bytes = pixel;
      if (through_float) {
        a.out_pixel_bytes = shape.out_channels * static_cast<std::ptrdiff_t>(sizeof(float));
        a.out = reinterpret_cast<std::byte*>(floats) - first * g.out_w * a.out_pixel_bytes;
      }
      a.out_row_bytes = a.out_pixel_bytes * g.out_w;
      packed->kernel->run(a);
      if (!whole_rows) return;
      const std::int64_t last = std::min<std::int64_t>(g.out_h, end / tiles_x * 4);
      e.finish_pixels(static_cast<float*>(a.out) + first * row_floats, image_out, image,
                      first * g.out_w, (last - first) * g.out_w, g.out_h * g.out_w,
                      shape.out_channels, args);
    };
    const std::int64_t task = static_cast<std::int64_t>(t) % cut.tasks();
    const std::int64_t end = cut.rows.end(cut.row_part(task));
    std::int64_t tile = cut.rows.begin(cut.row_part(task));
    const std::int64_t step = through_float ? strip_rows / 4 * tiles_x : cut.rows.size;
    for (; tile < end; tile += step)
      run_tiles(static_cast<std::int64_t>(t) / cut.tasks(), tile, std::min(end, tile + step),
                cut.panel_part(task));
  });
  return true;
}

}  // namespace intact
