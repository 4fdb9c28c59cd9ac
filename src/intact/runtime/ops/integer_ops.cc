// integer_ops.cc: convolution, linear and matrix products on codes (domain "intact").
//
//   intact.QConv(x, w, bias?, residual?)   as Conv        attributes: Conv's, chain.h
//          with few channels x may be plain, and reals with attributes x_scale and x_zero_point,
//          or codes with a zero point a channel; x_factor, a value a channel, is what reals are
//          multiplied by before they become codes
//   intact.QLinear(x, w, bias?, residual?) as MatMul with a constant right side [K, N], or [N, K]
//   with transB intact.QMatMul(a, b)                   as MatMul of two computed values
//   intact.QConvTranspose(x, w, bias?)     as ConvTranspose, one group
//   intact.QGather(table, index)           rows of constant codes, as reals
//
// x, a, b: uint8 codes with one scale. w: int8 or uint8 constant, one scale or one a channel.
// bias: int32 constant with scale s_x s_w[n], or float32. Images are channels-last.

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/align.h"
#include "kernels/dwconv_u8s8.h"
#include "runtime/ops/batches.h"
#include "runtime/ops/image_rows.h"
#include "runtime/ops/int_gemm.h"
#include "runtime/ops/tables.h"
#include "runtime/ops/window.h"
#include "runtime/ops/winograd.h"

namespace intact {
namespace {

struct Bias {
  std::span<const std::int32_t> codes;
  std::span<const float> reals;
};

Result<Bias> read_bias(const OpContext& c, std::int64_t channels) {
  Bias bias;
  if (!c.has(2)) return bias;
  const Tensor* t = c.input(2).constant;
  if (t == nullptr) return fail(ErrorCode::kUnsupported, "the bias depends on data");
  if (t->size() != channels)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("a bias of {} for {} channels", t->size(), channels));
  if (t->dtype() == Dtype::kInt32)
    bias.codes = t->values<std::int32_t>();
  else if (t->dtype() == Dtype::kFloat32)
    bias.reals = t->values<float>();
  else
    return fail(ErrorCode::kUnsupported, fmt::format("a bias of type {}", name_of(t->dtype())));
  return bias;
}

// Codes when the output value carries a map of them.
Status declare_output(OpContext& c, Shape shape, Layout layout) {
  const bool codes = c.graph().value(c.node().outputs[0]).quant.has_value();
  return c.output(0, codes ? Dtype::kUint8 : Dtype::kFloat32, std::move(shape), layout);
}

// Tasks that are rows of an image: what they write, and what of the input their windows read.
void declare_rows(OpContext& c, const IntEpilogue& e, const Cut& rows, std::int64_t out_row,
                  const WindowGeometry& g, std::int64_t in_row) {
  const auto image = [parts = rows.parts](std::size_t t) {
    return static_cast<std::int64_t>(t) / parts;
  };
  const auto part = [parts = rows.parts](std::size_t t) {
    return static_cast<std::int64_t>(t) % parts;
  };
  const auto written = [=, height = g.out_h](std::size_t t) {
    const std::int64_t top = image(t) * height;
    return Extent{out_row, top + rows.begin(part(t)), top + rows.end(part(t)), 0, out_row};
  };
  c.writes(written);
  if (e.residual_input >= 0) c.reads(static_cast<std::size_t>(e.residual_input), written);
  c.reads(0, [=](std::size_t t) {
    const std::int64_t top = image(t) * g.in_h;
    const std::int64_t first = rows.begin(part(t)) * g.stride_h - g.pad_top;
    const std::int64_t last =
        (rows.end(part(t)) - 1) * g.stride_h - g.pad_top + (g.kernel_h - 1) * g.dilation_h + 1;
    return Extent{in_row, top + std::max<std::int64_t>(0, first),
                  top + std::min<std::int64_t>(g.in_h, last), 0, in_row};
  });
}

// Tasks that are rows and columns of a product. k: of the rows of A, 0 where they overlap.
void declare_product(OpContext& c, const IntEpilogue& e, const ProductCut& cut, std::int64_t n,
                     std::int64_t k) {
  const auto written = [=](std::size_t t) {
    const auto task = static_cast<std::int64_t>(t);
    const auto column = [&](std::int64_t panel) { return std::min(n, panel * kPanelCols); };
    return Extent{n, cut.rows.begin(cut.row_part(task)), cut.rows.end(cut.row_part(task)),
                  column(cut.panels.begin(cut.panel_part(task))),
                  column(cut.panels.end(cut.panel_part(task)))};
  };
  c.writes(written);
  if (e.residual_input >= 0) c.reads(static_cast<std::size_t>(e.residual_input), written);
  if (k == 0) return;
  c.reads(0, [=](std::size_t t) {
    const std::int64_t part = cut.row_part(static_cast<std::int64_t>(t));
    return Extent{k, cut.rows.begin(part), cut.rows.end(part), 0, k};
  });
}

struct PackedDwconv {
  const DwconvU8S8Kernel* kernel = nullptr;
  std::shared_ptr<Buffer> packed;
  ChannelMaps maps;

  auto fields() { return std::tie(kernel, packed, maps); }
};

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
  const Cut rows = Cut::of(out_h, c.parts(batch));
  const std::size_t strip =
      through_float ? static_cast<std::size_t>(padded_n(channels) * out_w) * sizeof(float) : 0;
  const std::size_t scratch = kernel_scratch + align_up(strip);
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  const WindowGeometry& g = window.geometry;
  declare_rows(c, e, rows, out_w * channels, g, g.in_w * channels);
  c.run_tasks(batch * rows.parts, [=, window = g](const StepArgs& args, std::size_t t) {
    const auto out_pixel =
        static_cast<std::ptrdiff_t>(channels) * static_cast<std::ptrdiff_t>(e.element_bytes());
    const std::int64_t image = static_cast<std::int64_t>(t) / rows.parts;
    const std::int64_t part = static_cast<std::int64_t>(t) % rows.parts;
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
    a.scratch = own;
    a.epilogue.r = e.residual(args, image * out_h * out_w * channels);
    a.epilogue.r_row_bytes = e.residual_bytes(channels);
    auto* floats = reinterpret_cast<float*>(own + kernel_scratch);
    if (through_float) {
      a.out_pixel_bytes = channels * static_cast<std::ptrdiff_t>(sizeof(float));
      a.out_row_bytes = a.out_pixel_bytes * out_w;
    }
    // What goes through float stays in a strip of one row.
    const std::int64_t step = through_float ? 1 : rows.end(part) - rows.begin(part);
    for (std::int64_t first = rows.begin(part); first < rows.end(part); first += step) {
      a.row_begin = first;
      a.row_end = first + step;
      if (through_float) a.out = reinterpret_cast<std::byte*>(floats) - first * a.out_row_bytes;
      packed->kernel->run(a);
      e.finish_pixels(static_cast<float*>(a.out) + first * out_w * channels, image_out, image,
                      first * out_w, step * out_w, out_h * out_w, channels, args);
    }
  });
  return {};
}

// Weights [out, in, kernel...] as [out, taps, in].
Tensor channels_innermost(const Tensor& w) {
  const std::int64_t out = w.shape()[0], in = w.shape()[1];
  const std::int64_t taps = num_elements({w.shape().begin() + 2, w.shape().end()});
  Tensor turned(w.dtype(), {out, taps, in});
  std::byte* to = turned.raw();
  for (std::int64_t o = 0; o < out; ++o)
    for (std::int64_t t = 0; t < taps; ++t)
      for (std::int64_t i = 0; i < in; ++i) *to++ = w.raw()[(o * in + i) * taps + t];
  return turned;
}

// Such weights where a row of the kernel is one tap.
IntGemmSource joined_source(const Tensor& turned, const WindowGeometry& g) {
  const std::int64_t run = g.kernel_w * turned.shape()[2];
  IntGemmSource s;
  s.shape = {turned.shape()[0], g.kernel_h, run};
  s.b.b = turned.raw();
  s.b.is_unsigned = turned.dtype() == Dtype::kUint8;
  s.b.tap_bytes = run;
  s.b.k_bytes = 1;
  s.b.n_bytes = g.kernel_h * run;
  return s;
}

// An image's codes: one scale, and a zero point for each channel.
struct ImageMap {
  double scale = 1;
  std::vector<std::int32_t> zeros;

  [[nodiscard]] bool one_zero() const {
    return std::count(zeros.begin(), zeros.end(), zeros[0]) ==
           static_cast<std::ptrdiff_t>(zeros.size());
  }
  [[nodiscard]] TensorMap tensor() const { return {scale, zeros[0]}; }
};

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

// A convolution of few channels: padded rows are made first, and a row of the kernel is one tap.
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
  declare_rows(c, e, cut, outer.out_w * out_channels, outer, outer.in_w * in_channels);
  c.run_tasks(batch * cut.parts, [=, outer = window.geometry](const StepArgs& args, std::size_t t) {
    const auto element = static_cast<std::ptrdiff_t>(e.element_bytes());
    const auto run_strip = [&](std::int64_t image, std::int64_t first, std::int64_t last) {
      std::byte* own = args.scratch + ThreadPool::worker() * scratch;
      auto* rows = reinterpret_cast<std::uint8_t*>(own);
      image_rows.fill(args, image, first, last, rows);
      WindowGeometry inner = outer;  // Over the padded rows, with runs of pixels for taps.
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
      run_int_gemm(*packed, e, a, out, args, 0, a.count, 0, panels_of(out_channels), own + slab);
    };
    const std::int64_t image = static_cast<std::int64_t>(t) / cut.parts;
    const std::int64_t end = cut.end(static_cast<std::int64_t>(t) % cut.parts);
    std::int64_t row = cut.begin(static_cast<std::int64_t>(t) % cut.parts);
    for (; row < end; row += strip_rows) run_strip(image, row, std::min(end, row + strip_rows));
  });
  return {};
}

Result<ImageMap> image_map(const Node& node, const ValueInfo& x) {
  const auto channels = static_cast<std::size_t>(x.shape[1]);
  const auto all = [&](const TensorMap& map) {
    return ImageMap{map.scale,
                    std::vector<std::int32_t>(std::max<std::size_t>(1, channels), map.zero)};
  };
  if (x.dtype == Dtype::kFloat32)
    return all({static_cast<double>(node.get_float("x_scale", 1)),
                static_cast<std::int32_t>(node.get_int("x_zero_point", 0))});
  // By channel: fuse_qdq has seen that the scales are equal.
  if (x.quant != nullptr && x.quant->axis == 1 && x.quant->zero_point.size() == channels)
    return ImageMap{static_cast<double>(x.quant->scale[0]), x.quant->zero_point};
  INTACT_ASSIGN(const TensorMap map, tensor_map(x, "the input"));
  return all(map);
}

Status plan_qconv(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_TRY(c.require(1));
  const ValueInfo x = c.input(0);
  const Tensor* w = c.input(1).constant;
  INTACT_CHECK(w != nullptr, "node '{}': QConv wants constant weights", c.node().name);
  INTACT_ASSIGN(const ImageMap by_channel, image_map(c.node(), x));
  const TensorMap x_map = by_channel.tensor();
  const std::int64_t groups = c.node().get_int("group", 1);
  const std::int64_t in_channels = x.shape[1];
  const std::int64_t out_channels = w->shape().empty() ? 0 : w->shape()[0];
  if (w->rank() != x.rank() || groups < 1 || w->shape()[1] * groups != in_channels ||
      out_channels % groups != 0)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("weights {} in {} groups do not fit an input {}", to_string(w->shape()),
                            groups, to_string(x.shape)));
  INTACT_ASSIGN(const Window window,
                read_window(c.node(), x, {w->shape().begin() + 2, w->shape().end()}));
  INTACT_ASSIGN(const WeightMap weights, weight_map(c.input(1), out_channels));
  INTACT_ASSIGN(const Bias bias, read_bias(c, out_channels));
  const std::int64_t batch = x.shape[0];
  INTACT_TRY(declare_output(c, window.out_shape(batch, out_channels), Layout::kChannelsLast));
  INTACT_ASSIGN(const IntEpilogue e, read_int_epilogue(c, c.outputs_[0]));
  if (groups == in_channels && out_channels == in_channels && groups > 1)
    return plan_depthwise(c, e, window, x_map, weights, bias);
  // With whole panels, nothing of another task's rows is read.
  if (e.adds_codes() && groups == 1 && out_channels % kPanelCols == 0)
    c.may_overwrite(static_cast<std::size_t>(e.residual_input));
  const bool by_rows = groups == 1 && in_channels <= 4 && w->rank() == 4 &&
                       w->shape()[2] * w->shape()[3] > 1 && window.geometry.dilation_w == 1 &&
                       window.geometry.pad_left >= 0;
  if (by_rows) return plan_image_conv(c, e, window, by_channel, weights, bias);
  INTACT_CHECK(by_channel.one_zero(), "node '{}': QConv wants one zero point", c.node().name);
  INTACT_CHECK(x.layout == Layout::kChannelsLast, "node '{}': QConv wants a channels-last image",
               c.node().name);
  INTACT_ASSIGN(const bool planned,
                plan_winograd(c, e, window, {&weights, x_map, bias.codes, bias.reals}));
  if (planned) return {};

  const std::int64_t group_in = in_channels / groups;
  const std::int64_t group_out = out_channels / groups;
  const std::int64_t taps =
      static_cast<std::int64_t>(window.geometry.kernel_h) * window.geometry.kernel_w;
  // A row of the kernel is one tap where it can be: fewer pointers to write and to follow.
  const bool joined =
      groups == 1 && window.geometry.kernel_w > 1 && ConvRuns::can_join(window.geometry);
  std::vector<std::shared_ptr<const PackedIntGemm>> packed;
  for (std::int64_t g = 0; g < groups; ++g) {
    const auto pack = [&]() -> Result<std::shared_ptr<PackedIntGemm>> {
      const Tensor turned = joined ? channels_innermost(*w) : Tensor();
      IntGemmSource s;
      if (joined) {
        s = joined_source(turned, window.geometry);
      } else {
        s.shape = {group_out, taps, group_in};
        s.b.b = w->raw() + g * group_out * group_in * taps;
        s.b.is_unsigned = w->dtype() == Dtype::kUint8;
        s.b.tap_bytes = 1;
        s.b.k_bytes = taps;
        s.b.n_bytes = group_in * taps;
      }
      s.first_channel = g * group_out;
      s.weights = &weights;
      s.x = x_map;
      s.int_bias = bias.codes;
      s.float_bias = bias.reals;
      return pack_int_gemm(s, e);
    };
    INTACT_ASSIGN(auto p,
                  c.packed<PackedIntGemm>(
                      e.packed_tag(fmt::format("{}{}", joined ? "runs" : "gemm", g)), pack));
    packed.push_back(std::move(p));
  }
  const WindowGeometry geometry = window.geometry;
  const bool pointwise = taps == 1 && geometry.stride_h == 1 && geometry.stride_w == 1 &&
                         geometry.pad_left == 0 && geometry.pad_top == 0 && window.pad_right == 0 &&
                         window.pad_bottom == 0;
  const auto pad = zero_line(in_channels, x_map.zero);
  const ConvRuns runs(geometry, in_channels);
  const std::size_t edges = joined ? int_gemm_edge_bytes(runs) : 0;
  const std::size_t scratch = edges + int_gemm_scratch(*packed[0], e);
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  // Pointwise rows run on over the images of a batch; a window, or an operand of one row an image,
  // stays inside one.
  const std::int64_t pixels = geometry.out_h * geometry.out_w;
  const bool one_span = pointwise && e.chain.empty();
  const std::int64_t spans = one_span ? 1 : batch;
  const std::int64_t rows = one_span ? pixels * batch : pixels;
  const ProductCut cut = cut_int_gemm(*packed[0], rows, c.parts(spans * groups), geometry.out_w);
  if (groups == 1 && spans == 1)
    declare_product(c, e, cut, out_channels, pointwise ? in_channels : 0);
  c.run_tasks(spans * groups * cut.tasks(),
              [=, packed = std::move(packed)](const StepArgs& args, std::size_t t) {
                const auto element = static_cast<std::ptrdiff_t>(e.element_bytes());
                std::byte* own = args.scratch + ThreadPool::worker() * scratch;
                const std::int64_t task = static_cast<std::int64_t>(t) % cut.tasks();
                const std::int64_t product = static_cast<std::int64_t>(t) / cut.tasks();
                const std::int64_t row_part = cut.row_part(task), panel_part = cut.panel_part(task);
                const std::int64_t g = product % groups, image = product / groups;
                IntGemmRows a;
                a.count = rows;
                a.a = args.input<std::uint8_t>(0) +
                      image * geometry.in_h * geometry.in_w * in_channels + g * group_in;
                a.row_bytes = in_channels;
                if (!pointwise) {
                  a.window = &geometry;
                  a.in_pixel_bytes = in_channels;
                  a.in_row_bytes = in_channels * geometry.in_w;
                  a.pad = reinterpret_cast<const std::uint8_t*>(pad->data());
                }
                if (joined) {
                  a.runs = &runs;
                  a.edges = reinterpret_cast<std::uint8_t*>(own);
                }
                IntGemmOut out;
                out.row_bytes = out_channels * element;
                out.out = args.out[0] + image * pixels * out.row_bytes + g * group_out * element;
                out.residual = e.residual(args, image * pixels * out_channels + g * group_out);
                out.residual_row_bytes = e.residual_bytes(out_channels);
                out.offset = image * pixels * out_channels + g * group_out;
                out.image = image;
                out.channel = g * group_out;
                run_int_gemm(*packed[static_cast<std::size_t>(g)], e, a, out, args,
                             cut.rows.begin(row_part), cut.rows.end(row_part),
                             cut.panels.begin(panel_part), cut.panels.end(panel_part), own + edges);
              });
  return {};
}

Status plan_qlinear(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_TRY(c.require(1));
  const ValueInfo x = c.input(0);
  const Tensor* w = c.input(1).constant;
  INTACT_CHECK(w != nullptr && x.layout == Layout::kPlain,
               "node '{}': QLinear wants constant weights", c.node().name);
  const std::size_t k_axis = c.node().get_int("transB", 0) != 0 ? 1 : 0;
  if (w->rank() != 2 || x.rank() < 1 || x.shape.back() != w->shape()[k_axis])
    return fail(ErrorCode::kInvalidModel,
                fmt::format("{} times {}", to_string(x.shape), to_string(w->shape())));
  INTACT_ASSIGN(const TensorMap x_map, tensor_map(x, "the input"));
  const std::int64_t k = w->shape()[k_axis];
  const std::int64_t n = w->shape()[1 - k_axis];
  INTACT_ASSIGN(const WeightMap weights, weight_map(c.input(1), n));
  INTACT_ASSIGN(const Bias bias, read_bias(c, n));
  Shape shape = x.shape;
  shape.back() = n;
  INTACT_TRY(declare_output(c, shape, Layout::kPlain));
  INTACT_ASSIGN(const IntEpilogue e, read_int_epilogue(c, c.outputs_[0]));
  const auto pack = [&]() -> Result<std::shared_ptr<PackedIntGemm>> {
    IntGemmSource s;
    s.shape = {n, 1, k};
    s.b.b = w->raw();
    s.b.is_unsigned = w->dtype() == Dtype::kUint8;
    s.b.k_bytes = k_axis == 0 ? n : 1;
    s.b.n_bytes = k_axis == 0 ? 1 : k;
    s.weights = &weights;
    s.x = x_map;
    s.int_bias = bias.codes;
    s.float_bias = bias.reals;
    return pack_int_gemm(s, e);
  };
  INTACT_ASSIGN(const auto packed, c.packed<PackedIntGemm>(e.packed_tag("gemm"), pack));
  const std::int64_t rows = k == 0 ? 0 : x.size() / k;
  const std::size_t scratch = int_gemm_scratch(*packed, e);
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  const ProductCut cut = cut_int_gemm(*packed, rows, c.parts());
  declare_product(c, e, cut, n, k);
  c.run_tasks(cut.tasks(), [=](const StepArgs& args, std::size_t t) {
    const auto element = static_cast<std::ptrdiff_t>(e.element_bytes());
    const std::int64_t row_part = cut.row_part(static_cast<std::int64_t>(t));
    const std::int64_t panel_part = cut.panel_part(static_cast<std::int64_t>(t));
    IntGemmRows a;
    a.count = rows;
    a.a = args.input<std::uint8_t>(0);
    a.row_bytes = k;
    IntGemmOut out;
    out.out = args.out[0];
    out.row_bytes = n * element;
    out.residual = e.residual(args, 0);
    out.residual_row_bytes = e.residual_bytes(n);
    run_int_gemm(*packed, e, a, out, args, cut.rows.begin(row_part), cut.rows.end(row_part),
                 cut.panels.begin(panel_part), cut.panels.end(panel_part),
                 args.scratch + ThreadPool::worker() * scratch);
  });
  return {};
}

// Both sides are computed: the right one is packed at run time, a batch entry a task.
Status plan_qmatmul(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_TRY(c.require(1));
  const ValueInfo a = c.input(0);
  const ValueInfo b = c.input(1);
  INTACT_ASSIGN(const TensorMap a_map, tensor_map(a, "the left operand"));
  INTACT_ASSIGN(const TensorMap b_map, tensor_map(b, "the right operand"));
  INTACT_ASSIGN(const BatchedProduct p, read_batches(a, b));
  const auto [m, k, n] = std::array{p.m, p.k, p.n};
  INTACT_TRY(declare_output(c, p.shape, Layout::kPlain));
  INTACT_ASSIGN(const IntEpilogue e, read_int_epilogue(c, c.outputs_[0]));
  INTACT_ASSIGN(const ComputedIntGemm gemm,
                ComputedIntGemm::make({n, 1, k}, a_map.zero, b_map.zero));
  const std::size_t strip =
      e.through_float() ? align_up(static_cast<std::size_t>(m * n) * sizeof(float)) : 0;
  const std::size_t scratch = gemm.bytes() + strip;
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  const std::vector<double> scales(static_cast<std::size_t>(n), a_map.scale * b_map.scale);
  const auto maps = std::make_shared<ChannelMaps>(e.channel_maps(scales, {}));
  c.run([=](const StepArgs& args) {
    const auto element = static_cast<std::ptrdiff_t>(e.element_bytes());
    args.pool.run(p.a_offset.size(), [&](std::size_t t) {
      const auto i = static_cast<std::int64_t>(t);
      std::byte* own = args.scratch + ThreadPool::worker() * scratch;
      gemm.pack(args.input<std::uint8_t>(1) + p.b_offset[t], n, 1, own);
      GemmU8S8Args g = gemm.call(own);
      g.a = args.input<std::uint8_t>(0) + p.a_offset[t];
      g.a_row_bytes = k;
      g.epilogue = e.base;
      maps->put_into(g.epilogue);
      g.out = args.out[0] + i * m * n * element;
      g.out_row_bytes = n * element;
      g.row_end = m;
      auto* floats = reinterpret_cast<float*>(own + gemm.bytes());
      if (e.through_float()) {
        g.out = floats;
        g.out_row_bytes = n * static_cast<std::ptrdiff_t>(sizeof(float));
      }
      g.epilogue.r = e.residual(args, i * m * n);
      g.epilogue.r_row_bytes = e.residual_bytes(n);
      gemm.kernel().run(g);
      if (e.codes_out && e.chain.empty())
        e.end.limit(static_cast<std::uint8_t*>(g.out), n, m, n, 0);
      if (e.chain.empty()) return;
      ChainPiece piece;
      piece.x = static_cast<float*>(g.out);
      piece.x_stride = piece.cols = piece.offset_stride = n;
      piece.rows = m;
      piece.offset = i * m * n;
      if (e.through_float())
        e.chain.run(piece, args, e.end, args.output<std::uint8_t>(0) + i * m * n, n);
      else
        e.chain.run(piece, args);
    });
  });
  return {};
}

bool same_window(const WindowGeometry& a, const WindowGeometry& b) {
  return a.out_h == b.out_h && a.out_w == b.out_w && a.kernel_h == b.kernel_h &&
         a.kernel_w == b.kernel_w && a.pad_top == b.pad_top && a.pad_left == b.pad_left;
}

// Runs of phases that are neighbours along x and see the same input; of one phase each unless
// `join`.
std::vector<std::vector<TransposedPhase>> neighbours(const std::vector<TransposedPhase>& phases,
                                                     bool join) {
  std::vector<std::vector<TransposedPhase>> runs;
  for (const TransposedPhase& p : phases) {
    const TransposedPhase* last = runs.empty() ? nullptr : &runs.back().back();
    if (join && last != nullptr && p.first_y == last->first_y && p.first_x == last->first_x + 1 &&
        p.kernel.empty() == last->kernel.empty() && same_window(p.window, last->window))
      runs.back().push_back(p);
    else
      runs.push_back({p});
  }
  return runs;
}

// Joins such runs that lie below each other, where all their columns fit one panel. Returns how
// many rows each has.
std::vector<std::int64_t> join_rows(std::vector<std::vector<TransposedPhase>>& runs,
                                    std::int64_t channels) {
  std::vector<std::vector<TransposedPhase>> joined;
  std::vector<std::int64_t> rows;
  for (std::vector<TransposedPhase>& run : runs) {
    const TransposedPhase* first = joined.empty() ? nullptr : &joined.back().front();
    const bool fits =
        first != nullptr &&
        joined.back().size() == run.size() * static_cast<std::size_t>(rows.back()) &&
        static_cast<std::int64_t>(joined.back().size() + run.size()) * channels <= kPanelCols;
    if (fits && run[0].first_x == first->first_x &&
        run[0].first_y == first->first_y + rows.back() &&
        run[0].kernel.empty() == first->kernel.empty() &&
        same_window(run[0].window, first->window)) {
      joined.back().insert(joined.back().end(), run.begin(), run.end());
      ++rows.back();
    } else {
      joined.push_back(std::move(run));
      rows.push_back(1);
    }
  }
  runs = std::move(joined);
  return rows;
}

// Copies `count` pieces of `bytes` bytes, so far apart.
void copy_pieces(std::byte* to, std::ptrdiff_t to_step, const std::byte* from,
                 std::ptrdiff_t from_step, std::size_t bytes, std::int64_t count) {
  if (bytes == 8) {  // Two reals, a register.
    for (std::int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step, from + i * from_step, 8);
    return;
  }
  for (std::int64_t i = 0; i < count; ++i)
    std::memcpy(to + i * to_step, from + i * from_step, bytes);
}

Status plan_qconv_transpose(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_TRY(c.require(1));
  const ValueInfo x = c.input(0);
  const Tensor* w = c.input(1).constant;
  INTACT_CHECK(w != nullptr && x.layout == Layout::kChannelsLast,
               "node '{}': QConvTranspose wants constant weights and a channels-last image",
               c.node().name);
  INTACT_ASSIGN(const TensorMap x_map, tensor_map(x, "the input"));
  INTACT_ASSIGN(const TransposedWindow window, read_transposed_window(c.node(), x, w->shape()));
  const std::int64_t in_channels = x.shape[1], channels = w->shape()[1];
  INTACT_ASSIGN(const WeightMap weights, weight_map(c.input(1), channels));
  INTACT_ASSIGN(const Bias bias, read_bias(c, channels));
  const std::int64_t batch = x.shape[0];
  INTACT_TRY(declare_output(c, window.out_shape(batch, channels), Layout::kChannelsLast));
  INTACT_ASSIGN(const IntEpilogue e, read_int_epilogue(c, c.outputs_[0]));
  // Phases that differ only in where along x they begin, one behind the other, are one product
  // whose columns are (phase, channel): what it leaves for a row of pixels is a row of the output.
  const bool by_channel = e.chain.has_operand_by_channel() || e.end.has_limits() ||
                          (e.through_float() && e.end.per_channel());
  std::vector<std::vector<TransposedPhase>> runs = neighbours(window.phases, !by_channel);
  // Runs of one panel are one product too. What that leaves is moved to its rows.
  const bool moves = !by_channel && e.residual_input < 0 && e.end.residual_input < 0 &&
                     !e.chain.reads_output_places();
  const std::vector<std::int64_t> run_rows =
      moves ? join_rows(runs, channels) : std::vector<std::int64_t>(runs.size(), 1);
  struct Part {
    TransposedPhase phase;  // The first of the run.
    std::int64_t columns;
    std::int64_t rows;  // Of the output, that a row of the product is for.
    std::shared_ptr<const PackedIntGemm> b;
  };
  std::vector<Part> parts;
  std::size_t scratch = 0, strip = 0;
  for (const std::vector<TransposedPhase>& run : runs) {
    const auto pack = [&]() -> Result<std::shared_ptr<PackedIntGemm>> {
      // Weights [in, out, kh, kw] become [tap, in, phase, out]; a phase without taps multiplies by
      // zero.
      const auto taps = std::max<std::int64_t>(1, static_cast<std::int64_t>(run[0].kernel.size()));
      const auto phases = static_cast<std::int64_t>(run.size());
      Tensor part(w->dtype(), {taps, in_channels, phases, channels});
      std::byte* to = part.raw();
      for (std::int64_t t = 0; t < taps; ++t)
        for (std::int64_t i = 0; i < in_channels; ++i)
          for (const TransposedPhase& phase : run)
            for (std::int64_t o = 0; o < channels; ++o)
              *to++ = phase.kernel.empty() ? static_cast<std::byte>(weights.zero_of(o))
                                           : w->raw()[(i * channels + o) * window.kernel_size +
                                                      phase.kernel[static_cast<std::size_t>(t)]];
      IntGemmSource s;
      s.shape = {phases * channels, taps, in_channels};
      s.b.b = part.raw();
      s.b.is_unsigned = w->dtype() == Dtype::kUint8;
      s.b.tap_bytes = in_channels * phases * channels;
      s.b.k_bytes = phases * channels;
      s.b.n_bytes = 1;
      s.channels = channels;
      s.weights = &weights;
      s.x = x_map;
      s.int_bias = bias.codes;
      s.float_bias = bias.reals;
      return pack_int_gemm(s, e);
    };
    // With `output_shape`, pads depend on the image's size, and which phases join on the pads.
    const std::string tag = fmt::format("phase{}.{}.{}", parts.size(), run.size(),
                                        run[0].kernel.empty() ? -1 : run[0].kernel[0]);
    INTACT_ASSIGN(auto packed, c.packed<PackedIntGemm>(e.packed_tag(tag), pack));
    scratch = std::max(scratch, int_gemm_scratch(*packed, e));
    const std::int64_t columns = packed->shape.n;
    const std::int64_t rows = run_rows[parts.size()];
    if (rows > 1)
      strip = std::max(strip, align_up(static_cast<std::size_t>(run[0].window.out_w * columns) *
                                       e.element_bytes()));
    parts.push_back({run[0], columns, rows, std::move(packed)});
  }
  scratch += strip;
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  const auto pad = zero_line(in_channels, x_map.zero);
  struct Task {
    std::size_t part;
    std::int64_t y;
  };
  std::vector<Task> tasks;  // One row of a part each: their pixels are evenly spaced.
  for (std::size_t i = 0; i < parts.size(); ++i)
    for (std::int64_t y = 0; y < parts[i].phase.window.out_h; ++y) tasks.push_back({i, y});
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const Task& a, const Task& b) { return a.y < b.y; });
  c.run([=, parts = std::move(parts), tasks = std::move(tasks)](const StepArgs& args) {
    const auto element = static_cast<std::ptrdiff_t>(e.element_bytes());
    args.pool.run(tasks.size() * static_cast<std::size_t>(batch), [&](std::size_t t) {
      const auto image = static_cast<std::int64_t>(t / tasks.size());
      const Task& task = tasks[t % tasks.size()];
      const Part& part = parts[task.part];
      const WindowGeometry& g = part.phase.window;
      IntGemmRows a;
      a.count = g.out_w;
      a.a = args.input<std::uint8_t>(0) + image * g.in_h * g.in_w * in_channels;
      a.window = &g;
      a.in_pixel_bytes = in_channels;
      a.in_row_bytes = in_channels * g.in_w;
      a.pad = reinterpret_cast<const std::uint8_t*>(pad->data());
      // Row `begin` of the part is pixel 0 of its row y.
      const std::int64_t begin = task.y * g.out_w;
      const std::int64_t pixel =
          (part.phase.first_y + task.y * window.stride_h) * window.out_w + part.phase.first_x;
      IntGemmOut out;
      out.row_bytes = window.stride_w * channels * element;
      out.offset = (image * window.out_h * window.out_w + pixel) * channels -
                   begin * window.stride_w * channels;
      out.out = args.out[0] + out.offset * element;
      out.image = image;
      out.residual = e.residual(args, out.offset);
      out.residual_row_bytes = e.residual_bytes(window.stride_w * channels);
      std::byte* own = args.scratch + ThreadPool::worker() * scratch;
      std::byte* to = out.out + begin * out.row_bytes;
      if (part.rows > 1) {
        out.row_bytes = part.columns * element;
        out.out = own - begin * out.row_bytes;
      }
      run_int_gemm(*part.b, e, a, out, args, begin, begin + g.out_w, 0, panels_of(part.columns),
                   own + strip);
      const std::int64_t piece = part.columns / part.rows * element;
      for (std::int64_t r = 0; part.rows > 1 && r < part.rows; ++r)
        copy_pieces(to + r * window.out_w * channels * element,
                    window.stride_w * channels * element, own + r * piece, out.row_bytes,
                    static_cast<std::size_t>(piece), g.out_w);
    });
  });
  return {};
}

// Rows of a constant table of codes, as reals.
Status plan_qgather(OpContext& c) {
  INTACT_TRY(c.require(1));
  const Tensor* table = c.input(0).constant;
  const ValueInfo index = c.input(1);
  INTACT_CHECK(table != nullptr && table->rank() >= 1, "node '{}': QGather wants a constant table",
               c.node().name);
  INTACT_ASSIGN(const WeightMap map, weight_map(c.input(0), table->shape()[0]));
  Shape shape = index.shape;
  shape.insert(shape.end(), table->shape().begin() + 1, table->shape().end());
  INTACT_TRY(c.output(0, Dtype::kFloat32, shape));
  const std::int64_t rows = table->shape()[0];
  const std::int64_t row = rows == 0 ? 0 : table->size() / rows;
  const bool is_signed = table->dtype() == Dtype::kInt8;
  if (index.dtype != Dtype::kInt64 && index.dtype != Dtype::kInt32)
    return fail(ErrorCode::kInvalidModel, "indices of Gather must be int32 or int64");
  c.run([=, codes = *table, wide = index.dtype == Dtype::kInt64,
         n = index.size()](const StepArgs& args) {
    for (std::int64_t i = 0; i < n; ++i) {
      std::int64_t at = wide ? args.input<std::int64_t>(1)[i] : args.input<std::int32_t>(1)[i];
      if (at < -rows || at >= rows) {
        args.status = fail(ErrorCode::kDataMismatch,
                           fmt::format("index {} is outside [{}, {})", at, -rows, rows));
        return;
      }
      at = at < 0 ? at + rows : at;
      const auto scale = static_cast<float>(map.scale_of(at));
      const std::int32_t zero = map.zero_of(at);
      float* y = args.output<float>(0) + i * row;
      for (std::int64_t k = 0; k < row; ++k) {
        const std::byte byte = codes.raw()[at * row + k];
        const std::int32_t code =
            is_signed ? static_cast<std::int8_t>(byte) : static_cast<std::uint8_t>(byte);
        y[k] = static_cast<float>(code - zero) * scale;
      }
    }
  });
  return {};
}

constexpr OpRow kRows[] = {
    {"intact", "QConvTranspose", 1, plan_qconv_transpose},
    {"intact", "QGather", 1, plan_qgather},
    {"intact", "QConv", 1, plan_qconv},
    {"intact", "QLinear", 1, plan_qlinear},
    {"intact", "QMatMul", 1, plan_qmatmul},
};

}  // namespace

std::span<const OpRow> integer_ops() { return kRows; }

}  // namespace intact
