// channel_ops.cc: intact.Channels(x...) -> y...: channels moved between tensors, in one pass.
//
//   channels   ints: for the channels of the y's, one y behind another, the channel of the x's, one
//              x behind another, that it is
//   sizes      ints: the channels of each y
//   axis       where the channels are: innermost in memory
//
// Tensors agree in everything but the channels. Codes whose map (Value::quant) is not that of the
// channel they come from are requantized, which is a table: Q(DQ(q)), evaluated in double and
// rounded once.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>

#include "kernels/channels_u8.h"
#include "runtime/ops/chain.h"
#include "runtime/ops/extents.h"
#include "runtime/ops/moves.h"
#include "runtime/ops/tables.h"

namespace intact {
namespace {

// Bytes that are moved at a time: few enough to stay in the nearer caches.
constexpr std::int64_t kBlockBytes = 32768;

struct Source {
  std::int32_t input;
  std::int32_t channel;
};

// The map of one channel's codes; nothing when the value carries none.
std::optional<TensorMap> map_of_channel(const ValueInfo& x, std::int64_t channel) {
  if (x.quant == nullptr || x.dtype != Dtype::kUint8) return std::nullopt;
  const auto at = static_cast<std::size_t>(x.quant->scale.size() == 1 ? 0 : channel);
  return TensorMap{static_cast<double>(x.quant->scale[at]), x.quant->zero_point[at]};
}

// The tables of a node, each once.
class Tables {
 public:
  std::int32_t find(const TensorMap& from, const TensorMap& to) {
    if (from.scale == to.scale && from.zero == to.zero) return -1;
    const Key key{from.scale, to.scale, from.zero, to.zero};
    const auto [entry, added] = index_.try_emplace(key, static_cast<std::int32_t>(index_.size()));
    if (added) {
      std::array<double, 256> reals;
      for (std::size_t q = 0; q < reals.size(); ++q)
        reals[q] = from.scale * (static_cast<double>(q) - from.zero);
      const auto table = encode_all(reals, to);
      bytes_.insert(bytes_.end(), table.begin(), table.end());
    }
    return entry->second;
  }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  using Key = std::tuple<double, double, std::int32_t, std::int32_t>;
  std::map<Key, std::int32_t> index_;
  std::vector<std::uint8_t> bytes_;
};

// Pixels of the inputs, cut into tasks.
struct PixelCut {
  ElementCut elements;  // Of input 0.
  std::int64_t channels = 1;

  [[nodiscard]] std::int64_t tasks() const { return elements.tasks(); }
  [[nodiscard]] std::int64_t begin(std::size_t t) const { return elements.begin(t) / channels; }
  [[nodiscard]] std::int64_t end(std::size_t t) const { return elements.end(t) / channels; }
};

PixelCut declare_pixels(OpContext& c) {
  PixelCut cut;
  cut.channels = std::max<std::int64_t>(1, c.input(0).memory_shape().back());
  cut.elements = ElementCut::of(c, c.input(0), cut.channels);
  const auto pixels = [&](const ValueInfo& info) {
    return [cut, channels = info.memory_shape().back()](std::size_t t) {
      return Extent{channels, cut.begin(t), cut.end(t), 0, channels};
    };
  };
  for (std::size_t k = 0; k < c.outputs_.size(); ++k)
    if (c.node().out(k) != kNoValue) c.writes(k, pixels(c.outputs_[k]));
  for (std::size_t i = 0; i < c.input_count(); ++i) c.reads(i, pixels(c.input(i)));
  return cut;
}

void run_bytes(OpContext& c, const std::vector<std::vector<Source>>& sources,
               const ChannelsU8Kernel& kernel) {
  struct Output {
    std::size_t at;
    ChannelProgram program;
  };
  Tables tables;
  std::vector<Output> outputs;
  std::vector<std::ptrdiff_t> in_pixel;
  for (std::size_t i = 0; i < c.input_count(); ++i)
    in_pixel.push_back(c.input(i).memory_shape().back());
  std::int64_t pixel_bytes = 1;
  for (std::size_t k = 0; k < sources.size(); ++k) {
    if (c.node().out(k) == kNoValue || sources[k].empty()) continue;
    std::vector<ChannelPick> picks;
    for (std::size_t j = 0; j < sources[k].size(); ++j) {
      const Source& s = sources[k][j];
      const auto from = map_of_channel(c.input(static_cast<std::size_t>(s.input)), s.channel);
      const auto to = map_of_channel(c.outputs_[k], static_cast<std::int64_t>(j));
      picks.push_back({s.input, s.channel, from && to ? tables.find(*from, *to) : -1});
    }
    pixel_bytes += 2 * static_cast<std::int64_t>(picks.size());
    outputs.push_back({k, make_channel_program(picks, kernel.width)});
  }
  const std::int64_t block = std::max<std::int64_t>(1, kBlockBytes / pixel_bytes);
  const PixelCut cut = declare_pixels(c);
  c.run_tasks(cut.tasks(), [=, &kernel, tables = tables.bytes(), outputs = std::move(outputs),
                            in_pixel = std::move(in_pixel)](const StepArgs& args, std::size_t t) {
    std::vector<const std::uint8_t*> in(in_pixel.size());
    for (std::int64_t first = cut.begin(t); first < cut.end(t); first += block) {
      for (std::size_t i = 0; i < in.size(); ++i)
        in[i] = args.input<std::uint8_t>(i) + first * in_pixel[i];
      for (const Output& output : outputs) {
        ChannelsU8Args a;
        a.program = &output.program;
        a.in = in.data();
        a.in_pixel_bytes = in_pixel.data();
        a.tables = tables.data();
        a.y_pixel_bytes = output.program.channels;
        a.y = args.output<std::uint8_t>(output.at) + first * a.y_pixel_bytes;
        a.pixels = std::min(block, cut.end(t) - first);
        kernel.run(a);
      }
    }
  });
}

// The channels from `first` on as a matrix whose rows and columns are equally far apart in one
// input: a run of neighbours, a shuffle.
struct Grid {
  std::int64_t rows = 1, cols = 1;
  std::int64_t row_step = 0, col_step = 0;
};
Grid longest_grid(const std::vector<Source>& from, std::size_t first) {
  const auto left = static_cast<std::int64_t>(from.size() - first);
  const auto channel = [&](std::int64_t i) -> std::optional<std::int64_t> {
    const Source& s = from[first + static_cast<std::size_t>(i)];
    return s.input == from[first].input ? std::optional<std::int64_t>(s.channel) : std::nullopt;
  };
  Grid g;
  const std::int64_t start = *channel(0);
  if (left > 1 && channel(1)) g.col_step = *channel(1) - start;
  while (g.cols < left && channel(g.cols) == start + g.cols * g.col_step) ++g.cols;
  if (g.cols < left && channel(g.cols)) g.row_step = *channel(g.cols) - start;
  const auto fits = [&](std::int64_t row) {
    for (std::int64_t i = 0; i < g.cols; ++i)
      if (channel(row * g.cols + i) != start + row * g.row_step + i * g.col_step) return false;
    return true;
  };
  while ((g.rows + 1) * g.cols <= left && fits(g.rows)) ++g.rows;
  return g;
}

// Elements of more bytes: a move for every such matrix.
void run_moves(OpContext& c, const std::vector<std::vector<Source>>& sources, std::size_t width) {
  // Pixels as lines, so that a cut is one of lines where they are many enough.
  const Shape memory = c.input(0).memory_shape();
  const std::int64_t line = memory.size() < 2 ? 1 : memory[memory.size() - 2];
  const std::int64_t lines =
      num_elements(std::span(memory).first(memory.size() < 2 ? 0 : memory.size() - 2));
  std::vector<Move> moves;
  for (std::size_t k = 0; k < sources.size(); ++k) {
    const auto& from = sources[k];
    const auto out_channels = static_cast<std::int64_t>(from.size());
    for (std::size_t first = 0; first < from.size();) {
      const Grid g = longest_grid(from, first);
      const auto input = static_cast<std::size_t>(from[first].input);
      const std::int64_t in_channels = c.input(input).memory_shape().back();
      moves.push_back({input,
                       k,
                       {lines, line, g.rows, g.cols},
                       {line * in_channels, in_channels, g.row_step, g.col_step},
                       {line * out_channels, out_channels, g.cols, 1},
                       from[first].channel,
                       static_cast<std::int64_t>(first)});
      first += static_cast<std::size_t>(g.rows * g.cols);
    }
  }
  plan_moves(c, moves, width);
}

Status plan_channels(OpContext& c) {
  const auto channels = c.node().get_ints("channels");
  const auto sizes = c.node().get_ints("sizes");
  INTACT_TRY(c.require(0));
  const ValueInfo first = c.input(0);
  INTACT_ASSIGN(const int at, normalize_axis(c.node().get_int("axis", 1), first.rank()));
  const auto axis = static_cast<std::size_t>(at);
  INTACT_CHECK(first.memory_axis(at) + 1 == static_cast<int>(first.rank()),
               "node '{}' moves channels that are not innermost", c.node().name);
  std::vector<Source> all;
  for (std::size_t i = 0; i < c.input_count(); ++i) {
    INTACT_TRY(c.require(i, first.dtype));
    const ValueInfo& x = c.input(i);
    Shape shape = x.shape;
    if (shape.size() == first.rank()) shape[axis] = first.shape[axis];
    if (shape != first.shape || x.layout != first.layout)
      return fail(ErrorCode::kInvalidModel,
                  fmt::format("input {} has shape {}; its pixels are not those of {}", i,
                              to_string(x.shape), to_string(first.shape)));
    for (std::int64_t channel = 0; channel < x.shape[axis]; ++channel)
      all.push_back({static_cast<std::int32_t>(i), static_cast<std::int32_t>(channel)});
  }
  std::vector<std::vector<Source>> sources;
  auto next = channels.begin();
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    std::vector<Source> from;
    for (std::int64_t j = 0; j < sizes[k]; ++j, ++next) {
      INTACT_CHECK(
          next != channels.end() && *next >= 0 && *next < static_cast<std::int64_t>(all.size()),
          "node '{}' moves a channel that is not there", c.node().name);
      from.push_back(all[static_cast<std::size_t>(*next)]);
    }
    Shape shape = first.shape;
    shape[axis] = sizes[k];
    INTACT_TRY(c.output(k, first.dtype, std::move(shape), first.layout));
    sources.push_back(std::move(from));
  }
  const int bits = bits_of(first.dtype);
  if (bits == 8) {
    INTACT_ASSIGN(const IsaLevel isa, host_isa());
    run_bytes(c, sources, select_kernel<ChannelsU8Kernel>(isa));
  } else if (bits > 8) {
    run_moves(c, sources, static_cast<std::size_t>(bits / 8));
  } else {
    return fail(ErrorCode::kUnsupported, fmt::format("moving {} elements", name_of(first.dtype)));
  }
  return {};
}

constexpr OpRow kRows[] = {{"intact", "Channels", 1, plan_channels}};

}  // namespace

std::span<const OpRow> channel_ops() { return kRows; }

}  // namespace intact
