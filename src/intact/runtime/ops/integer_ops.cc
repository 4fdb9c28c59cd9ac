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

#include "base/align.h"
#include "kernels/dwconv_u8s8.h"
#include "runtime/ops/batches.h"
#include "runtime/ops/integer_op.h"
#include "runtime/ops/tables.h"
#include "runtime/ops/winograd.h"

namespace intact {
namespace {

// True when depthwise convolutions alone read the node's output.
bool is_read_by_channel(const OpContext& c) {
  const ValueId y = c.node().outputs[0];
  const auto depthwise = [&](const Node& n) {
    return n.is("QConv", "intact") && n.in(0) == y &&
           n.get_int("group", 1) == c.outputs_[0].shape[1] && c.outputs_[0].shape[1] > 1;
  };
  bool any = false;
  for (const Node& n : c.graph().nodes) {
    if (std::find(n.inputs.begin(), n.inputs.end(), y) == n.inputs.end()) continue;
    if (!depthwise(n)) return false;
    any = true;
  }
  return any;
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
  const ProductCut cut = cut_int_gemm(*packed[0], rows, c.parts(spans * groups), geometry.out_w,
                                      is_read_by_channel(c) ? kDwconvChannels / kPanelCols : 0);
  const ProductTasks tasks{cut, rows, group_out, groups};
  declare_products(c, tasks, group_in, pointwise ? nullptr : &geometry);
  declare_operands(c, e);
  // Rows and panels of one group's product.
  const auto product = [=, packed = std::move(packed)](const StepArgs& args, std::int64_t image,
                                                       std::int64_t g, const LineRange& pixels_made,
                                                       const LineRange& panels) {
    const auto element = static_cast<std::ptrdiff_t>(e.element_bytes());
    std::byte* own = args.scratch + ThreadPool::worker() * scratch;
    const std::uint8_t* in = args.input<std::uint8_t>(0) +
                             image * geometry.in_h * geometry.in_w * in_channels + g * group_in;
    IntGemmRows a = IntGemmRows::of_window(geometry, in, in_channels, *pad);
    if (pointwise) {
      a.count = rows;
      a.window = nullptr;
      a.row_bytes = in_channels;
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
    run_int_gemm(*packed[static_cast<std::size_t>(g)], e, a, out, args, pixels_made.begin,
                 pixels_made.end, panels.begin, panels.end, own + edges);
  };
  c.run_tasks(spans * groups * cut.tasks(), [=](const StepArgs& args, std::size_t t) {
    const std::int64_t row_part = cut.row_part(tasks.task(t));
    const std::int64_t panel_part = cut.panel_part(tasks.task(t));
    product(args, tasks.image(t), tasks.group(t),
            {cut.rows.begin(row_part), cut.rows.end(row_part)},
            {cut.panels.begin(panel_part), cut.panels.end(panel_part)});
  });
  declare_lines(c, geometry, [=](const StepArgs& args, const LineRange& lines) {
    for (std::int64_t g = 0; g < groups; ++g)
      product(args, 0, g, {lines.begin * geometry.out_w, lines.end * geometry.out_w},
              {0, panels_of(group_out)});
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
  declare_products(c, {cut, rows, n}, k);
  declare_operands(c, e);
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
