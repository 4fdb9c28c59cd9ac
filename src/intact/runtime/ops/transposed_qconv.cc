// intact.QConvTranspose: a product for each phase of the output, or for several that fit together.

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/align.h"
#include "runtime/ops/integer_op.h"

namespace intact {
namespace {

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

}  // namespace

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
  // A row of all parts is `stride_h` lines of the output.
  const Cut cut = Cut::of(window.rows(), c.parts(batch));
  declare_phases(c, window, cut);
  declare_operands(c, e);
  c.run_tasks(batch * cut.parts, [=, parts = std::move(parts)](const StepArgs& args,
                                                               std::size_t t) {
    const auto element = static_cast<std::ptrdiff_t>(e.element_bytes());
    const std::int64_t image = static_cast<std::int64_t>(t) / cut.parts;
    const auto run_row = [&](const Part& part, std::int64_t y) {
      const WindowGeometry& g = part.phase.window;
      const std::uint8_t* in = args.input<std::uint8_t>(0) + image * g.in_h * g.in_w * in_channels;
      IntGemmRows a = IntGemmRows::of_window(g, in, in_channels, *pad);
      a.count = g.out_w;
      // Row `begin` of the part is pixel 0 of its row y.
      const std::int64_t begin = y * g.out_w;
      const std::int64_t pixel =
          (part.phase.first_y + y * window.stride_h) * window.out_w + part.phase.first_x;
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
    };
    const std::int64_t number = static_cast<std::int64_t>(t) % cut.parts;
    for (std::int64_t y = cut.begin(number); y < cut.end(number); ++y)
      for (const Part& part : parts)
        if (y < part.phase.window.out_h) run_row(part, y);
  });
  return {};
}

}  // namespace intact
