// conv_ops.cc: float convolution, transposed convolution and pooling on channels-last images.

#include <fmt/format.h>

#include <algorithm>

#include "base/align.h"
#include "kernels/conv_runs.h"
#include "kernels/gemm_bf16.h"
#include "kernels/pool_u8.h"
#include "kernels/window_f32.h"
#include "runtime/ops/extents.h"
#include "runtime/ops/float_epilogue.h"
#include "runtime/ops/int_epilogue.h"
#include "runtime/ops/tables.h"
#include "runtime/ops/window.h"

namespace intact {
namespace {

constexpr std::int64_t kMaxRows = 192;  // Output pixels whose tap pointers are in flight.

// Codes when the output value carries a map of them.
Status declare_output(OpContext& c, Shape shape) {
  const bool codes = c.graph().value(c.node().outputs[0]).quant.has_value();
  return c.output(0, codes ? Dtype::kUint8 : Dtype::kFloat32, std::move(shape),
                  Layout::kChannelsLast);
}

struct PackedDepthwise {
  std::shared_ptr<Buffer> weights;  // float [kernel_h][kernel_w][channels], on a cache line.
  PackedArray<float> bias;

  auto fields() { return std::tie(weights, bias); }
};

Status plan_depthwise(OpContext& c, const FloatEpilogue& e, const Window& window, const Tensor& w) {
  const ValueInfo& x = c.input(0);
  const std::int64_t channels = x.shape[1];
  const auto pack = [&]() -> Result<std::shared_ptr<PackedDepthwise>> {
    auto p = std::make_shared<PackedDepthwise>();
    const std::int64_t taps = w.size() / channels;
    const Tensor aligned = w.aligned();
    const auto values = aligned.values<float>();
    p->weights = Buffer::allocate(values.size_bytes());
    auto* to = reinterpret_cast<float*>(p->weights->data());
    for (std::int64_t i = 0; i < channels; ++i)
      for (std::int64_t t = 0; t < taps; ++t)
        to[t * channels + i] = values[static_cast<std::size_t>(i * taps + t)];
    INTACT_ASSIGN(p->bias, read_float_bias(c, 2, channels));
    return p;
  };
  INTACT_ASSIGN(const auto packed, c.packed<PackedDepthwise>("depthwise", pack));
  c.needs_not(1);
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const auto* kernel = &select_kernel<WindowF32Kernel>(isa);
  const WindowGeometry g = window.geometry;
  const std::int64_t batch = x.shape[0];
  const Cut cut = Cut::of(g.out_h, c.parts(batch));
  // Rows that are worked on again stay in the first-level cache until then.
  constexpr std::int64_t kStripElements = 8192;
  const std::int64_t row_elements = g.out_w * channels;
  const std::int64_t strip_rows =
      e.codes_out || !e.chain.empty()
          ? std::clamp<std::int64_t>(kStripElements / std::max<std::int64_t>(1, row_elements), 1,
                                     std::max<std::int64_t>(1, cut.largest()))
          : std::max<std::int64_t>(1, cut.largest());
  const std::size_t strip =
      e.codes_out ? align_up(static_cast<std::size_t>(strip_rows * row_elements) * sizeof(float))
                  : 0;
  c.scratch(strip * static_cast<std::size_t>(c.threads()));
  run_windows(c, {cut, {}}, g, [=](const StepArgs& args, const WindowPiece& piece) {
    const std::int64_t image = piece.image;
    const auto run_rows = [&](std::int64_t first, std::int64_t last) {
      const std::int64_t offset = (image * g.out_h + first) * row_elements;
      // Rows that become codes live in scratch until then.
      float* rows = e.codes_out
                        ? reinterpret_cast<float*>(args.scratch + ThreadPool::worker() * strip)
                        : args.output<float>(0) + offset;
      WindowF32Args a;
      a.channels = channels;
      a.window = g;
      a.in = args.input<float>(0) + image * g.in_h * g.in_w * channels;
      a.in_pixel_stride = channels;
      a.in_row_stride = channels * g.in_w;
      a.out = rows - first * g.out_w * channels;
      a.out_pixel_stride = channels;
      a.out_row_stride = channels * g.out_w;
      a.row_begin = first;
      a.row_end = last;
      a.weights = reinterpret_cast<const float*>(packed->weights->data());
      a.epilogue.bias = packed->bias.data();
      a.epilogue.lo = e.lo;
      a.epilogue.hi = e.hi;
      if (e.residual_input >= 0) {
        a.epilogue.residual = args.input<float>(static_cast<std::size_t>(e.residual_input)) +
                              image * g.out_h * g.out_w * channels;
        a.epilogue.residual_stride = channels;
      }
      kernel->depthwise(a);
      ChainPiece chained{rows,  channels, (a.row_end - first) * g.out_w, channels, offset, channels,
                         image, 0};
      e.chain.run(chained, args);
      if (e.codes_out)
        Chain::store_codes(e.chain.codes_kernel(), e.code, rows, channels, chained.rows, channels,
                           args.output<std::uint8_t>(0) + offset, channels);
    };
    for (std::int64_t row = piece.lines.begin; row < piece.lines.end; row += strip_rows)
      run_rows(row, std::min(piece.lines.end, row + strip_rows));
  });
  return {};
}

// One convolution as a GEMM over output pixels, with the results of pixel row y, column x stored at
// out + y * out_y + x * out_x. The parts of a transposed convolution are such convolutions.
struct GemmConv {
  WindowGeometry window;
  std::shared_ptr<const PackedFloatGemm> b;
  std::int64_t in_channels = 0;  // Of the image; a group reads a part of them.
  std::int64_t first_in = 0;
  std::int64_t first_out = 0;
  std::ptrdiff_t out_start = 0;  // Elements from the image's output to pixel (0, 0).
  std::ptrdiff_t out_y = 0;
  std::ptrdiff_t out_x = 0;
  std::int64_t out_pixels =
      1;                 // Neighbours whose channels are the columns; more than 1 fill out_x.
  bool by_rows = false;  // Output rows are apart: a task stays inside one.

  // The image's pixels are the rows of A as they lie.
  [[nodiscard]] bool is_plain() const {
    const WindowGeometry& g = window;
    return g.kernel_h == 1 && g.kernel_w == 1 && g.stride_h == 1 && g.stride_w == 1 &&
           g.pad_top == 0 && g.pad_left == 0 && g.out_w == g.in_w && g.out_h <= g.in_h;
  }
  [[nodiscard]] bool joins_taps() const {
    return ConvRuns::can_join(window) && b->shape.k_per_tap == in_channels;
  }
};

// What of a worker's scratch a convolution fills: the pointers to the rows of A, and the rows that
// do not lie in the image.
struct ConvScratch {
  std::size_t pointers = 0, edges = 0;  // Bytes.
  explicit ConvScratch(const GemmConv& conv) {
    if (conv.is_plain()) return;
    const bool joined = conv.joins_taps();
    const std::int64_t taps = joined ? conv.window.kernel_h : conv.b->shape.taps;
    pointers = align_up(static_cast<std::size_t>(kMaxRows * taps) * sizeof(void*));
    const std::int64_t floats =
        joined ? ConvRuns(conv.window, conv.in_channels).edge_elems(kMaxRows) : conv.in_channels;
    edges = align_up(static_cast<std::size_t>(floats) * sizeof(float));
  }
};

// Points A at the output pixels [begin, end).
void set_rows(const GemmConv& conv, const float* image, std::int64_t begin, std::int64_t end,
              std::byte* scratch, GemmF32Args& a) {
  if (conv.is_plain()) {
    a.a = image + begin * conv.in_channels + conv.first_in;
    a.a_stride = conv.in_channels;
    return;
  }
  const WindowGeometry& g = conv.window;
  const auto** pointers = reinterpret_cast<const float**>(scratch);
  auto* edges = reinterpret_cast<float*>(scratch + ConvScratch(conv).pointers);
  a.rows = pointers;
  a.rows_stride = end - begin;
  if (conv.joins_taps()) {
    const ConvRuns runs(g, conv.in_channels);
    runs.fill(image, 0.0f, begin, end, edges, pointers, a.rows_stride);
    a.shape.taps = g.kernel_h;
    a.shape.k_per_tap = runs.run();
    return;
  }
  constexpr std::ptrdiff_t kBytes = sizeof(float);
  std::fill_n(edges, conv.in_channels, 0.0f);
  fill_conv_rows(g, reinterpret_cast<const std::uint8_t*>(image),
                 conv.in_channels * g.in_w * kBytes, conv.in_channels * kBytes,
                 reinterpret_cast<const std::uint8_t*>(edges), begin, end,
                 reinterpret_cast<const std::uint8_t**>(pointers), a.rows_stride);
  a.row_offset = conv.first_in;
}

struct ConvRun {
  const StepArgs& args;
  std::int64_t image;
  const float* in;        // The image.
  std::int64_t out_base;  // Element of the output that is the image's first.
  std::byte* scratch;
  float* strip;  // Rows that become codes.
};

void run_gemm_conv(const GemmConv& conv, const FloatEpilogue& e, const ConvRun& r,
                   std::int64_t begin, std::int64_t end, std::int64_t panel_begin,
                   std::int64_t panel_end) {
  const auto& [args, image, in, out_base, scratch, strip] = r;
  const std::int64_t n = conv.b->shape.n;
  const std::int64_t limit = conv.by_rows ? std::min(kMaxRows, conv.window.out_w) : kMaxRows;
  for (std::int64_t row = begin; row < end;) {
    std::int64_t count = std::min(limit, end - row);
    if (conv.by_rows) count = std::min(count, conv.window.out_w - row % conv.window.out_w);
    GemmF32Args a;
    a.shape = conv.b->shape;
    set_rows(conv, in, row, row + count, scratch, a);
    a.packed = reinterpret_cast<const float*>(conv.b->packed->data());
    const std::ptrdiff_t at = conv.out_start + row / conv.window.out_w * conv.out_y +
                              row % conv.window.out_w * conv.out_x + conv.first_out;
    a.out = e.codes_out ? strip : args.output<float>(0) + out_base + at;
    a.out_stride = e.codes_out ? n : conv.out_x;
    a.epilogue.bias = conv.b->bias.data();
    a.epilogue.lo = e.lo;
    a.epilogue.hi = e.hi;
    if (e.residual_input >= 0) {
      a.epilogue.residual =
          args.input<float>(static_cast<std::size_t>(e.residual_input)) + out_base + at;
      a.epilogue.residual_stride = conv.out_x;
    }
    a.row_end = count;
    a.panel_begin = panel_begin;
    a.panel_end = panel_end;
    conv.b->kernel->run(a);
    const std::int64_t first = panel_begin * kPanelCols;
    const std::int64_t cols = std::min(n, panel_end * kPanelCols) - first;
    ChainPiece piece{a.out + first,         a.out_stride, count, cols,
                     out_base + at + first, conv.out_x,   image, conv.first_out + first};
    if (conv.out_pixels > 1) {
      piece.rows = count * conv.out_pixels;
      piece.cols = piece.x_stride = piece.offset_stride = n / conv.out_pixels;
    }
    e.chain.run(piece, args);
    if (e.codes_out)
      Chain::store_codes(e.chain.codes_kernel(), e.code, piece.x, piece.x_stride, piece.rows,
                         piece.cols, args.output<std::uint8_t>(0) + piece.offset,
                         piece.offset_stride);
    row += count;
  }
}

// Runs convolutions that together fill one output, over all images of a batch.
// `rounded`: channels of the input, which become pairs of bfloat16 first (convs speak of those
// then); 0: it is read as it is.
Status run_all(OpContext& c, std::vector<GemmConv> convs, const FloatEpilogue& e,
               std::int64_t batch, std::int64_t in_elems, std::int64_t out_elems,
               std::int64_t rounded = 0) {
  std::int64_t max_n = 1;
  std::size_t conv_bytes = 0;
  std::int64_t total = 0;
  struct Task {
    std::size_t conv;
    std::int64_t begin, end, panel_begin, panel_end;
  };
  std::vector<Task> tasks;
  const std::int64_t wanted = c.parts(batch * static_cast<std::int64_t>(convs.size()));
  for (std::size_t i = 0; i < convs.size(); ++i) {
    const GemmConv& conv = convs[i];
    const ConvScratch own(conv);
    conv_bytes = std::max(conv_bytes, own.pointers + own.edges);
    max_n = std::max(max_n, padded_n(conv.b->shape.n));
    const std::int64_t rows = conv.window.out_h * conv.window.out_w;
    const ProductCut cut =
        cut_float_gemm(c, *conv.b->kernel, rows, conv.b->shape, wanted, conv.out_pixels == 1);
    for (std::int64_t t = 0; t < cut.tasks(); ++t) {
      const std::int64_t r = cut.row_part(t), p = cut.panel_part(t);
      tasks.push_back(
          {i, cut.rows.begin(r), cut.rows.end(r), cut.panels.begin(p), cut.panels.end(p)});
    }
    total += rows;
  }
  if (total == 0) return {};
  // Phases of a transposed convolution fill the same rows: side by side.
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const Task& a, const Task& b) { return a.begin < b.begin; });
  const std::size_t scratch =
      conv_bytes +
      (e.codes_out ? align_up(static_cast<std::size_t>(kMaxRows * max_n) * sizeof(float)) : 0);
  // Behind what is each worker's, the images as pairs.
  const std::size_t workers = scratch * static_cast<std::size_t>(c.threads());
  const std::int64_t pixels = rounded > 0 ? batch * in_elems / rounded : 0;
  const std::int64_t pixel_pairs = pairs_of(rounded);
  const std::int64_t image_elems = rounded > 0 ? in_elems / rounded * pixel_pairs : in_elems;
  c.scratch(workers + align_up(static_cast<std::size_t>(pixels * pixel_pairs) * sizeof(float)));
  const Cut rounding = Cut::of(pixels, c.parts());
  if (convs.size() == 1 && rounded == 0 && !convs[0].by_rows) {
    const GemmConv& conv = convs[0];
    declare_lines(c, conv.window, [=](const StepArgs& args, const LineRange& l) {
      std::byte* own = args.scratch + ThreadPool::worker() * scratch;
      run_gemm_conv(
          conv, e,
          {args, 0, args.input<float>(0), 0, own, reinterpret_cast<float*>(own + conv_bytes)},
          l.begin * conv.window.out_w, l.end * conv.window.out_w, 0, panels_of(conv.b->shape.n));
    });
  }
  c.run([=, convs = std::move(convs), tasks = std::move(tasks)](const StepArgs& args) {
    const float* in = args.input<float>(0);
    if (rounded > 0) {
      auto* pairs = reinterpret_cast<float*>(args.scratch + workers);
      args.pool.run(static_cast<std::size_t>(rounding.parts), [&](std::size_t t) {
        const std::int64_t begin = rounding.begin(static_cast<std::int64_t>(t));
        const std::int64_t end = rounding.end(static_cast<std::int64_t>(t));
        gemm_bf16()->round(in + begin * rounded, end - begin, rounded, pairs + begin * pixel_pairs);
      });
      in = pairs;
    }
    args.pool.run(static_cast<std::size_t>(batch) * tasks.size(), [&](std::size_t t) {
      const auto image = static_cast<std::int64_t>(t / tasks.size());
      const Task& task = tasks[t % tasks.size()];
      std::byte* own = args.scratch + ThreadPool::worker() * scratch;
      run_gemm_conv(convs[task.conv], e,
                    {args, image, in + image * image_elems, image * out_elems, own,
                     reinterpret_cast<float*>(own + conv_bytes)},
                    task.begin, task.end, task.panel_begin, task.panel_end);
    });
  });
  return {};
}

Status plan_conv(OpContext& c) {
  INTACT_TRY(require_image(c));
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  INTACT_TRY(c.require(1, Dtype::kFloat32));
  const ValueInfo x = c.input(0);
  INTACT_ASSIGN(const Tensor* w, c.known(1));
  const std::int64_t groups = c.node().get_int("group", 1);
  const std::int64_t in_channels = x.shape[1];
  if (w->rank() != x.rank() || groups < 1 || w->shape()[1] * groups != in_channels ||
      w->shape()[0] % groups != 0)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("weights {} in {} groups do not fit an input {}", to_string(w->shape()),
                            groups, to_string(x.shape)));
  const std::int64_t out_channels = w->shape()[0];
  INTACT_ASSIGN(const Window window,
                read_window(c.node(), x, {w->shape().begin() + 2, w->shape().end()}));
  const WindowGeometry& g = window.geometry;
  INTACT_TRY(declare_output(c, window.out_shape(x.shape[0], out_channels)));
  INTACT_ASSIGN(const FloatEpilogue e, read_float_epilogue(c, c.outputs_[0]));
  if (groups == in_channels && out_channels == in_channels && groups > 1)
    return plan_depthwise(c, e, window, *w);
  const std::int64_t group_in = in_channels / groups;
  const std::int64_t group_out = out_channels / groups;
  const std::int64_t taps = static_cast<std::int64_t>(g.kernel_h) * g.kernel_w;
  const bool fast = is_fast(c);  // Then groups hold whole pairs.
  const std::int64_t unit = fast ? 2 : 1;
  std::vector<GemmConv> convs;
  Tensor aligned;  // Made by the first pack, for all.
  for (std::int64_t group = 0; group < groups; ++group) {
    const auto pack = [&]() -> Result<std::shared_ptr<PackedFloatGemm>> {
      INTACT_ASSIGN(const auto bias, read_float_bias(c, 2, out_channels));
      const auto first = static_cast<std::size_t>(group * group_out);
      if (!aligned.defined()) aligned = w->aligned();
      return pack_float_gemm(
          {group_out, taps, group_in},
          {aligned.values<float>().data() + group * group_out * group_in * taps, 1, taps,
           group_in * taps},
          bias.empty() ? std::span<const float>()
                       : std::span(bias).subspan(first, static_cast<std::size_t>(group_out)),
          fast);
    };
    INTACT_ASSIGN(auto packed, c.packed<PackedFloatGemm>(
                                   fmt::format("{}{}", fast ? "bf16.conv" : "conv", group), pack));
    convs.push_back({g, std::move(packed), (in_channels + unit - 1) / unit, group * group_in / unit,
                     group * group_out, 0, out_channels * g.out_w, out_channels, false});
  }
  c.needs_not(1);
  return run_all(c, std::move(convs), e, x.shape[0], g.in_h * g.in_w * in_channels,
                 g.out_h * g.out_w * out_channels, fast ? in_channels : 0);
}

// How many phases from p on read the same pixels and write neighbouring ones, a whole stride of
// them: those are one product whose columns are the channels of all these pixels. Otherwise 1.
std::size_t joined_phases(const TransposedWindow& window, std::size_t p) {
  const auto count = static_cast<std::size_t>(window.stride_w);
  const TransposedPhase& first = window.phases[p];
  if (first.first_x != 0 || p + count > window.phases.size()) return 1;
  for (std::size_t i = 1; i < count; ++i) {
    const TransposedPhase& next = window.phases[p + i];
    if (next.first_y != first.first_y || next.first_x != static_cast<std::int64_t>(i) ||
        next.window.out_w != first.window.out_w || next.window.kernel_w != first.window.kernel_w ||
        next.window.pad_left != first.window.pad_left || next.kernel.size() != first.kernel.size())
      return 1;
  }
  return count;
}

Status plan_conv_transpose(OpContext& c) {
  INTACT_TRY(require_image(c));
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  INTACT_TRY(c.require(1, Dtype::kFloat32));
  const ValueInfo x = c.input(0);
  INTACT_ASSIGN(const Tensor* w, c.known(1));
  INTACT_ASSIGN(const TransposedWindow window, read_transposed_window(c.node(), x, w->shape()));
  const std::int64_t groups = c.node().get_int("group", 1);
  const std::int64_t in_channels = x.shape[1];
  const std::int64_t group_in = in_channels / groups;
  const std::int64_t group_out = w->shape()[1];
  const std::int64_t out_channels = group_out * groups;
  INTACT_TRY(declare_output(c, window.out_shape(x.shape[0], out_channels)));
  INTACT_ASSIGN(const FloatEpilogue e, read_float_epilogue(c, c.outputs_[0]));
  INTACT_ASSIGN(const auto bias, read_float_bias(c, 2, out_channels));
  std::vector<GemmConv> convs;
  Tensor aligned;  // Made by the first pack, for all.
  for (std::int64_t group = 0; group < groups; ++group)
    for (std::size_t p = 0; p < window.phases.size();) {
      const std::size_t joined = groups == 1 ? joined_phases(window, p) : 1;
      const std::span phases = std::span(window.phases).subspan(p, joined);
      const std::int64_t n = group_out * static_cast<std::int64_t>(joined);
      const auto pack = [&]() {
        // Weights [in, out, kh, kw] become [tap, in, phase, out]; a phase without taps is the bias
        // alone.
        const std::int64_t taps =
            std::max<std::int64_t>(1, static_cast<std::int64_t>(phases[0].kernel.size()));
        std::vector<float> part(static_cast<std::size_t>(taps * group_in * n), 0.0f);
        if (!aligned.defined()) aligned = w->aligned();
        const float* all =
            aligned.values<float>().data() + group * group_in * group_out * window.kernel_size;
        auto to = part.begin();
        for (std::size_t t = 0; t < phases[0].kernel.size(); ++t)
          for (std::int64_t i = 0; i < group_in; ++i)
            for (const TransposedPhase& phase : phases)
              for (std::int64_t o = 0; o < group_out; ++o)
                *to++ = all[(i * group_out + o) * window.kernel_size + phase.kernel[t]];
        std::vector<float> own_bias;
        for (std::size_t j = 0; j < joined && !bias.empty(); ++j)
          own_bias.insert(own_bias.end(), bias.begin() + group * group_out,
                          bias.begin() + (group + 1) * group_out);
        return pack_float_gemm({n, taps, group_in}, {part.data(), group_in * n, n, 1}, own_bias);
      };
      // With `output_shape`, pads depend on the image's size, and which phases join on the pads.
      const std::string tag = fmt::format("phase{}.{}.{}", convs.size(), joined,
                                          phases[0].kernel.empty() ? -1 : phases[0].kernel[0]);
      INTACT_ASSIGN(auto packed, c.packed<PackedFloatGemm>(tag, pack));
      const TransposedPhase& phase = phases[0];
      GemmConv conv;
      conv.window = phase.window;
      conv.b = std::move(packed);
      conv.in_channels = in_channels;
      conv.first_in = group * group_in;
      conv.first_out = group * group_out;
      conv.out_start = (phase.first_y * window.out_w + phase.first_x) * out_channels;
      conv.out_y = window.stride_h * window.out_w * out_channels;
      conv.out_x = window.stride_w * out_channels;
      conv.out_pixels = static_cast<std::int64_t>(joined);
      conv.by_rows = true;
      convs.push_back(std::move(conv));
      p += joined;
    }
  c.needs_not(1);
  return run_all(c, std::move(convs), e, x.shape[0],
                 num_elements(x.shape) / std::max<std::int64_t>(1, x.shape[0]),
                 window.out_h * window.out_w * out_channels);
}

enum class Pool { kMax, kAverage };

Status plan_pool(OpContext& c, Pool kind, bool global) {
  INTACT_TRY(require_image(c));
  const ValueInfo x = c.input(0);
  Window window;
  if (global) {
    if (x.rank() > 4)
      return fail(ErrorCode::kUnsupported, "global pooling over three spatial axes");
    window.spatial = static_cast<int>(x.rank()) - 2;
    WindowGeometry& g = window.geometry;
    g.in_w = x.shape.back();
    g.in_h = window.spatial == 2 ? x.shape[2] : 1;
    g.out_h = g.out_w = 1;
    g.kernel_h = static_cast<std::int32_t>(g.in_h);
    g.kernel_w = static_cast<std::int32_t>(g.in_w);
  } else {
    INTACT_ASSIGN(window, read_window(c.node(), x, {}));
  }
  if (c.node().outputs.size() > 1 && c.node().outputs[1] != kNoValue)
    return fail(ErrorCode::kUnsupported, "the second output of MaxPool");
  const WindowGeometry g = window.geometry;
  const std::int64_t batch = x.shape[0], channels = x.shape[1];
  const bool include_pad = c.node().get_int("count_include_pad", 0) != 0;
  const bool codes = x.dtype == Dtype::kUint8;
  INTACT_TRY(c.output(0, x.dtype, window.out_shape(batch, channels), Layout::kChannelsLast));
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  const WindowCut cut = cut_by_channel(c, g, codes ? 64 : 16);
  if (codes) {
    const auto* kernel = &select_kernel<PoolU8Kernel>(isa);
    PoolU8Args base;
    base.channels = channels;
    base.window = g;
    base.in_pixel_bytes = base.out_pixel_bytes = channels;
    base.in_row_bytes = channels * g.in_w;
    base.out_row_bytes = channels * g.out_w;
    base.include_pad = include_pad;
    base.pad_bottom = window.pad_bottom;
    base.pad_right = window.pad_right;
    IntEpilogue e;
    if (kind == Pool::kAverage) {
      INTACT_ASSIGN(const TensorMap map, tensor_map(x, "the input"));
      INTACT_ASSIGN(e, read_int_epilogue(c, c.outputs_[0]));
      INTACT_CHECK(e.codes_out && e.chain.empty(), "an average of codes that leaves no codes");
      base.za = map.zero;
      base.ratio = map.scale / e.code.scale;
      base.codes = e.base.codes;
    }
    const std::size_t scratch = align_up(kernel->scratch_bytes(channels));
    c.scratch(scratch * static_cast<std::size_t>(c.threads()));
    run_windows(c, cut, g, [=](const StepArgs& args, const WindowPiece& p) {
      PoolU8Args a = base;
      a.channels = p.last - p.first;
      a.in = args.input<std::uint8_t>(0) + p.image * g.in_h * a.in_row_bytes + p.first;
      a.out = args.output<std::uint8_t>(0) + p.image * g.out_h * a.out_row_bytes + p.first;
      a.row_begin = p.lines.begin;
      a.row_end = p.lines.end;
      a.scratch = args.scratch + ThreadPool::worker() * scratch;
      kind == Pool::kMax ? kernel->max(a) : kernel->average(a);
    });
    return {};
  }
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  const auto* kernel = &select_kernel<WindowF32Kernel>(isa);
  run_windows(c, cut, g,
              [=, pad_bottom = window.pad_bottom, pad_right = window.pad_right](
                  const StepArgs& args, const WindowPiece& p) {
                WindowF32Args a;
                a.channels = p.last - p.first;
                a.window = g;
                a.in_pixel_stride = a.out_pixel_stride = channels;
                a.in_row_stride = channels * g.in_w;
                a.out_row_stride = channels * g.out_w;
                a.in = args.input<float>(0) + p.image * g.in_h * a.in_row_stride + p.first;
                a.out = args.output<float>(0) + p.image * g.out_h * a.out_row_stride + p.first;
                a.row_begin = p.lines.begin;
                a.row_end = p.lines.end;
                a.include_pad = include_pad;
                a.pad_bottom = pad_bottom;
                a.pad_right = pad_right;
                kind == Pool::kMax ? kernel->max(a) : kernel->average(a);
              });
  return {};
}

Status plan_max_pool(OpContext& c) { return plan_pool(c, Pool::kMax, false); }
Status plan_average_pool(OpContext& c) { return plan_pool(c, Pool::kAverage, false); }
Status plan_global_max_pool(OpContext& c) { return plan_pool(c, Pool::kMax, true); }
Status plan_global_average_pool(OpContext& c) { return plan_pool(c, Pool::kAverage, true); }

constexpr OpRow kRows[] = {
    {"", "Conv", 1, plan_conv},
    {"intact", "Conv", 1, plan_conv},
    {"", "ConvTranspose", 1, plan_conv_transpose},
    {"intact", "ConvTranspose", 1, plan_conv_transpose},
    {"", "MaxPool", 1, plan_max_pool},
    {"", "AveragePool", 1, plan_average_pool},
    {"", "GlobalMaxPool", 1, plan_global_max_pool},
    {"", "GlobalAveragePool", 1, plan_global_average_pool},
    {"intact", "QAveragePool", 1, plan_average_pool},
    {"intact", "QGlobalAveragePool", 1, plan_global_average_pool},
};

}  // namespace

std::span<const OpRow> conv_ops() { return kRows; }

}  // namespace intact
