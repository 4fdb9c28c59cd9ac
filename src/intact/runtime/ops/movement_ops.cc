// movement_ops.cc: operators that move elements without computing on them.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/ops/moves.h"
#include "runtime/ops/strided.h"
#include "runtime/ops/tables.h"

namespace intact {
namespace {

Result<std::size_t> element_bytes(Dtype dtype) {
  const int bits = bits_of(dtype);
  if (bits < 8)
    return fail(ErrorCode::kUnsupported, fmt::format("moving {} elements", name_of(dtype)));
  return static_cast<std::size_t>(bits / 8);
}

std::vector<std::int64_t> permuted(const std::vector<std::int64_t>& v,
                                   const std::vector<std::int64_t>& perm) {
  std::vector<std::int64_t> out;
  for (const std::int64_t p : perm) out.push_back(v[static_cast<std::size_t>(p)]);
  return out;
}

// Input 0 to output 0.
void plan_move(OpContext& c, std::size_t width, std::vector<std::int64_t> sizes,
               std::vector<std::int64_t> in_strides, std::vector<std::int64_t> out_strides,
               std::int64_t in_offset = 0) {
  plan_moves(c,
             {{0, 0, std::move(sizes), std::move(in_strides), std::move(out_strides), in_offset}},
             width);
}

Status plan_transpose(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo& x = c.input(0);
  std::vector<std::int64_t> reversed;
  for (std::size_t i = x.rank(); i-- > 0;) reversed.push_back(static_cast<std::int64_t>(i));
  const auto perm = c.node().get_ints("perm", reversed);
  auto sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  std::reverse(reversed.begin(), reversed.end());
  if (sorted != reversed)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("perm {} is not a permutation of {} axes", to_string(perm), x.rank()));
  Shape out = permuted(x.shape, perm);
  // A transposition that only moves axes of size 1 keeps the bytes.
  std::vector<std::int64_t> moved;
  for (const std::int64_t p : perm)
    if (x.shape[static_cast<std::size_t>(p)] != 1) moved.push_back(p);
  if (x.layout == Layout::kPlain && std::is_sorted(moved.begin(), moved.end()))
    return c.view(0, 0, std::move(out));
  INTACT_ASSIGN(const std::size_t width, element_bytes(x.dtype));
  const auto in_strides = permuted(x.strides(), perm);
  const auto out_strides = row_major_strides(out);
  INTACT_TRY(c.output(0, x.dtype, out));
  plan_move(c, width, out, in_strides, out_strides);
  return {};
}

Status plan_layout(OpContext& c, Layout to) {
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  ValueInfo y = x;
  y.layout = to;
  const std::int64_t channels = x.rank() > 1 ? x.shape[1] : 1;
  if (x.layout == to || channels == 1 || x.size() == x.shape[0] * channels)
    return c.view(0, 0, x.shape, to);
  INTACT_ASSIGN(const std::size_t width, element_bytes(x.dtype));
  INTACT_TRY(c.output(0, x.dtype, x.shape, to));
  plan_move(c, width, x.shape, x.strides(), y.strides());
  return {};
}
Status plan_to_channels_last(OpContext& c) { return plan_layout(c, Layout::kChannelsLast); }
Status plan_to_plain(OpContext& c) { return plan_layout(c, Layout::kPlain); }

Status plan_concat(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo first = c.input(0);
  INTACT_ASSIGN(const int axis, normalize_axis(c.node().get_int("axis", 1), first.rank()));
  const auto a = static_cast<std::size_t>(axis);
  Shape out = first.shape;
  out[a] = 0;
  for (std::size_t i = 0; i < c.input_count(); ++i) {
    INTACT_TRY(c.require(i, first.dtype));
    const Shape& s = c.input(i).shape;
    bool fits = s.size() == out.size();
    for (std::size_t d = 0; fits && d < s.size(); ++d) fits = d == a || s[d] == first.shape[d];
    if (!fits)
      return fail(ErrorCode::kInvalidModel,
                  fmt::format("input {} has shape {}; it does not join {} on axis {}", i,
                              to_string(s), to_string(first.shape), axis));
    out[a] += s[a];
  }
  INTACT_ASSIGN(const std::size_t width, element_bytes(first.dtype));
  INTACT_TRY(c.output(0, first.dtype, out, first.layout));
  const auto out_strides = c.outputs_[0].strides();
  std::vector<Move> moves;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < c.input_count(); ++i) {
    const ValueInfo& x = c.input(i);
    moves.push_back({i, 0, x.shape, x.strides(), out_strides, 0, offset * out_strides[a]});
    offset += x.shape[a];
  }
  plan_moves(c, moves, width);
  return {};
}

Status plan_split(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  INTACT_ASSIGN(const int axis, normalize_axis(c.node().get_int("axis", 0), x.rank()));
  const auto a = static_cast<std::size_t>(axis);
  std::vector<std::int64_t> sizes = c.node().get_ints("split");
  if (c.opset() >= 13 && c.has(1)) {
    INTACT_ASSIGN(sizes, c.ints(1));
  }
  const auto count = static_cast<std::int64_t>(c.node().outputs.size());
  if (sizes.empty()) {
    const std::int64_t chunk = (x.shape[a] + count - 1) / count;
    for (std::int64_t i = 0; i < count; ++i)
      sizes.push_back(std::clamp<std::int64_t>(x.shape[a] - i * chunk, 0, chunk));
  }
  std::int64_t total = 0;
  for (const std::int64_t s : sizes) total += s;
  if (static_cast<std::int64_t>(sizes.size()) != count || total != x.shape[a])
    return fail(ErrorCode::kInvalidModel, fmt::format("sizes {} do not split axis {} of {}",
                                                      to_string(sizes), axis, to_string(x.shape)));
  INTACT_ASSIGN(const std::size_t width, element_bytes(x.dtype));
  std::vector<Move> moves;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    Shape out = x.shape;
    out[a] = sizes[i];
    INTACT_TRY(c.output(i, x.dtype, out, x.layout));
    ValueInfo y = x;
    y.shape = out;
    moves.push_back({0, i, out, x.strides(), y.strides(), offset * x.strides()[a], 0});
    offset += sizes[i];
  }
  plan_moves(c, moves, width);
  return {};
}

Status plan_slice(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  std::vector<std::int64_t> starts = c.node().get_ints("starts");
  std::vector<std::int64_t> ends = c.node().get_ints("ends");
  std::vector<std::int64_t> axes = c.node().get_ints("axes");
  std::vector<std::int64_t> steps;
  if (c.opset() >= 10) {
    INTACT_ASSIGN(starts, c.ints(1));
    INTACT_ASSIGN(ends, c.ints(2));
    if (c.has(3)) {
      INTACT_ASSIGN(axes, c.ints(3));
    }
    if (c.has(4)) {
      INTACT_ASSIGN(steps, c.ints(4));
    }
  }
  if (axes.empty())
    for (std::size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  if (steps.empty()) steps.assign(starts.size(), 1);
  if (starts.size() != ends.size() || starts.size() != axes.size() || starts.size() != steps.size())
    return fail(ErrorCode::kInvalidModel, "starts, ends, axes and steps differ in length");
  Shape out = x.shape;
  auto in_strides = x.strides();
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    INTACT_ASSIGN(const int axis, normalize_axis(axes[i], x.rank()));
    const auto a = static_cast<std::size_t>(axis);
    const std::int64_t n = x.shape[a];
    const std::int64_t step = steps[i];
    if (step == 0) return fail(ErrorCode::kInvalidModel, "a step of Slice is 0");
    const auto clip = [n](std::int64_t at, std::int64_t lo, std::int64_t hi) {
      if (at < 0) at = at < -n ? lo : at + n;
      return std::clamp(at, lo, hi);
    };
    const std::int64_t begin = step > 0 ? clip(starts[i], 0, n) : clip(starts[i], -1, n - 1);
    const std::int64_t end = step > 0       ? clip(ends[i], 0, n)
                             : ends[i] < -n ? -1
                                            : clip(ends[i], -1, n - 1);
    const std::int64_t span = step > 0 ? end - begin : begin - end;
    const std::int64_t stride = step > 0 ? step : -step;
    out[a] = span <= 0 ? 0 : (span - 1) / stride + 1;
    offset += begin * in_strides[a];
    in_strides[a] *= step;
  }
  if (out == x.shape && offset == 0 && in_strides == x.strides())
    return c.view(0, 0, out, x.layout);
  INTACT_ASSIGN(const std::size_t width, element_bytes(x.dtype));
  INTACT_TRY(c.output(0, x.dtype, out, x.layout));
  plan_move(c, width, out, in_strides, c.outputs_[0].strides(), offset);
  return {};
}

Status plan_expand_to(OpContext& c, const Shape& out) {
  const ValueInfo& x = c.input(0);
  if (out == x.shape) return c.view(0, 0, out, x.layout);
  INTACT_CHECK(x.layout == Layout::kPlain, "Expand of a channels-last value");
  INTACT_ASSIGN(const std::size_t width, element_bytes(x.dtype));
  std::vector<std::int64_t> in_strides(out.size(), 0);
  const auto strides = x.strides();
  for (std::size_t i = 0; i < x.rank(); ++i)
    if (x.shape[i] != 1) in_strides[out.size() - x.rank() + i] = strides[i];
  INTACT_TRY(c.output(0, x.dtype, out));
  plan_move(c, width, out, in_strides, row_major_strides(out));
  return {};
}

Status plan_expand(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_ASSIGN(const auto wanted, c.ints(1));
  INTACT_ASSIGN(const Shape out, broadcast(c.input(0).shape, wanted));
  return plan_expand_to(c, out);
}

Status plan_tile(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_ASSIGN(const auto repeats, c.ints(1));
  const ValueInfo& x = c.input(0);
  if (repeats.size() != x.rank())
    return fail(ErrorCode::kInvalidModel, "repeats of Tile do not match the rank");
  INTACT_ASSIGN(const std::size_t width, element_bytes(x.dtype));
  Shape out = x.shape;
  std::vector<std::int64_t> sizes, in_strides, out_strides;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (repeats[i] < 0) return fail(ErrorCode::kInvalidModel, "a repeat of Tile is negative");
    out[i] *= repeats[i];
  }
  INTACT_TRY(c.output(0, x.dtype, out));
  const auto from = x.strides();
  const auto to = row_major_strides(out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    sizes.insert(sizes.end(), {repeats[i], x.shape[i]});
    in_strides.insert(in_strides.end(), {0, from[i]});
    out_strides.insert(out_strides.end(), {to[i] * x.shape[i], to[i]});
  }
  plan_move(c, width, sizes, in_strides, out_strides);
  return {};
}

template <class Index>
void gather(const StepArgs& args, std::int64_t outer, std::int64_t axis_size, std::int64_t count,
            std::size_t row_bytes) {
  const Index* index = args.input<Index>(1);
  for (std::int64_t i = 0; i < count; ++i)
    if (index[i] < -axis_size || index[i] >= axis_size) {
      args.status = fail(ErrorCode::kDataMismatch,
                         fmt::format("index {} is outside [{}, {})",
                                     static_cast<std::int64_t>(index[i]), -axis_size, axis_size));
      return;
    }
  args.pool.run(static_cast<std::size_t>(outer), [&](std::size_t o) {
    const std::byte* from = args.in[0] + o * static_cast<std::size_t>(axis_size) * row_bytes;
    std::byte* to = args.out[0] + o * static_cast<std::size_t>(count) * row_bytes;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t k = index[i] < 0 ? index[i] + axis_size : index[i];
      std::memcpy(to + static_cast<std::size_t>(i) * row_bytes,
                  from + static_cast<std::size_t>(k) * row_bytes, row_bytes);
    }
  });
}

Status plan_gather(OpContext& c) {
  INTACT_TRY(c.require(0));
  INTACT_TRY(c.require(1));
  const ValueInfo& x = c.input(0);
  const ValueInfo& index = c.input(1);
  INTACT_CHECK(x.layout == Layout::kPlain, "Gather of a channels-last value");
  INTACT_ASSIGN(const int axis, normalize_axis(c.node().get_int("axis", 0), x.rank()));
  const auto a = static_cast<std::size_t>(axis);
  INTACT_ASSIGN(const std::size_t width, element_bytes(x.dtype));
  Shape out(x.shape.begin(), x.shape.begin() + axis);
  out.insert(out.end(), index.shape.begin(), index.shape.end());
  out.insert(out.end(), x.shape.begin() + axis + 1, x.shape.end());
  INTACT_TRY(c.output(0, x.dtype, out));
  const std::int64_t outer = num_elements(std::span(x.shape).first(a));
  const auto row =
      static_cast<std::size_t>(num_elements(std::span(x.shape).subspan(a + 1))) * width;
  const std::int64_t size = x.shape[a];
  const std::int64_t count = index.size();
  if (index.dtype == Dtype::kInt64)
    c.run([=](const StepArgs& args) { gather<std::int64_t>(args, outer, size, count, row); });
  else if (index.dtype == Dtype::kInt32)
    c.run([=](const StepArgs& args) { gather<std::int32_t>(args, outer, size, count, row); });
  else
    return fail(ErrorCode::kInvalidModel, "indices of Gather must be int32 or int64");
  return {};
}

// Every element of the output comes from one element of the input, or is the pad value: an index
// map per axis, -1 for the value.
Status plan_pad(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  std::vector<std::int64_t> pads = c.node().get_ints("pads");
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < x.rank(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  INTACT_ASSIGN(const std::size_t width, element_bytes(x.dtype));
  std::vector<std::byte> value(width, std::byte{0});
  if (c.opset() >= 11) {
    INTACT_ASSIGN(pads, c.ints(1));
    if (c.has(2)) {
      INTACT_ASSIGN(const Tensor* given, c.known(2));
      if (given->size() == 1) std::memcpy(value.data(), given->raw(), width);
    }
    if (c.has(3)) {
      INTACT_ASSIGN(axes, c.ints(3));
    }
  } else if (x.dtype == Dtype::kFloat32) {
    const float v = c.node().get_float("value", 0);
    std::memcpy(value.data(), &v, width);
  }
  if (pads.size() != 2 * axes.size())
    return fail(ErrorCode::kInvalidModel,
                fmt::format("pads {} need two numbers an axis", to_string(pads)));
  const std::string mode = c.node().get_string("mode", "constant");
  std::vector<std::int64_t> before(x.rank(), 0), after(x.rank(), 0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    INTACT_ASSIGN(const int axis, normalize_axis(axes[i], x.rank()));
    before[static_cast<std::size_t>(axis)] = pads[i];
    after[static_cast<std::size_t>(axis)] = pads[i + axes.size()];
  }
  Shape out = x.shape;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] += before[i] + after[i];
  if (out == x.shape && std::all_of(before.begin(), before.end(), [](auto p) { return p == 0; }))
    return c.view(0, 0, out, x.layout);
  INTACT_TRY(c.output(0, x.dtype, out, x.layout));
  const ValueInfo y = c.outputs_[0];
  if (mode == "constant") {
    // Copy the box of the input that stays visible; negative pads crop.
    Shape box;
    std::int64_t from = 0, to = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::int64_t begin = std::max<std::int64_t>(0, before[i]);
      const std::int64_t end = std::min(out[i], before[i] + x.shape[i]);
      box.push_back(std::max<std::int64_t>(0, end - begin));
      from += (begin - before[i]) * x.strides()[i];
      to += begin * y.strides()[i];
    }
    StridedCopy copy(box, x.strides(), y.strides(), width, from, to);
    c.run([copy, value, n = y.size()](const StepArgs& args) {
      const std::size_t w = value.size();
      if (std::all_of(value.begin(), value.end(), [&](std::byte b) { return b == value[0]; }))
        std::memset(args.out[0], static_cast<int>(value[0]), static_cast<std::size_t>(n) * w);
      else
        for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
          std::memcpy(args.out[0] + i * w, value.data(), w);
      copy.run(args.in[0], args.out[0], args.pool);
    });
    return {};
  }
  std::vector<std::vector<std::int64_t>> maps(out.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int64_t n = x.shape[i];
    if (n == 0 && out[i] > 0) return fail(ErrorCode::kInvalidModel, "padding an empty axis");
    for (std::int64_t o = 0; o < out[i]; ++o) {
      std::int64_t k = o - before[i];
      if (mode == "edge")
        k = std::clamp<std::int64_t>(k, 0, n - 1);
      else if (mode == "wrap")
        k = ((k % n) + n) % n;
      else if (mode == "reflect") {
        const std::int64_t period = std::max<std::int64_t>(1, 2 * (n - 1));
        k = ((k % period) + period) % period;
        if (k >= n) k = period - k;
      } else
        return fail(ErrorCode::kUnsupported, fmt::format("pad mode '{}'", mode));
      maps[i].push_back(k * x.strides()[i]);
    }
  }
  c.run([maps, y, width](const StepArgs& args) {
    const auto strides = y.strides();
    const std::int64_t n = y.size();
    std::vector<std::int64_t> at(y.rank(), 0);
    for (std::int64_t e = 0; e < n; ++e) {
      std::int64_t from = 0, to = 0;
      for (std::size_t i = 0; i < at.size(); ++i) {
        from += maps[i][static_cast<std::size_t>(at[i])];
        to += at[i] * strides[i];
      }
      std::memcpy(args.out[0] + static_cast<std::size_t>(to) * width,
                  args.in[0] + static_cast<std::size_t>(from) * width, width);
      for (std::size_t i = at.size(); i-- > 0;) {
        if (++at[i] < y.shape[i]) break;
        at[i] = 0;
      }
    }
  });
  return {};
}

// DepthToSpace and SpaceToDepth are transpositions of a 6-D view.
Status plan_depth_to_space(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  const std::int64_t b = c.node().get_int("blocksize", 1);
  if (x.rank() != 4 || b < 1 || x.shape[1] % (b * b) != 0)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("DepthToSpace of {} by {}", to_string(x.shape), b));
  const std::int64_t depth = x.shape[1] / (b * b);
  INTACT_ASSIGN(const std::size_t width, element_bytes(x.dtype));
  INTACT_TRY(c.output(0, x.dtype, {x.shape[0], depth, x.shape[2] * b, x.shape[3] * b}, x.layout));
  const auto i = x.strides();
  const auto o = c.outputs_[0].strides();
  const bool dcr = c.node().get_string("mode", "DCR") == "DCR";
  // Axes: batch, depth, row, row block, column, column block.
  const std::int64_t row_in = dcr ? depth * b * i[1] : b * i[1];
  const std::int64_t col_in = dcr ? depth * i[1] : i[1];
  const std::int64_t depth_in = dcr ? i[1] : b * b * i[1];
  plan_move(c, width, {x.shape[0], depth, x.shape[2], b, x.shape[3], b},
            {i[0], depth_in, i[2], row_in, i[3], col_in},
            {o[0], o[1], o[2] * b, o[2], o[3] * b, o[3]});
  return {};
}

Status plan_space_to_depth(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  const std::int64_t b = c.node().get_int("blocksize", 1);
  if (x.rank() != 4 || b < 1 || x.shape[2] % b != 0 || x.shape[3] % b != 0)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("SpaceToDepth of {} by {}", to_string(x.shape), b));
  const std::int64_t depth = x.shape[1];
  INTACT_ASSIGN(const std::size_t width, element_bytes(x.dtype));
  INTACT_TRY(
      c.output(0, x.dtype, {x.shape[0], depth * b * b, x.shape[2] / b, x.shape[3] / b}, x.layout));
  const auto i = x.strides();
  const auto o = c.outputs_[0].strides();
  plan_move(c, width, {x.shape[0], depth, x.shape[2] / b, b, x.shape[3] / b, b},
            {i[0], i[1], i[2] * b, i[2], i[3] * b, i[3]},
            {o[0], o[1], o[2], depth * b * o[1], o[3], depth * o[1]});
  return {};
}

constexpr OpRow kRows[] = {
    {"", "Transpose", 1, plan_transpose},
    {"intact", "ToChannelsLast", 1, plan_to_channels_last},
    {"intact", "ToPlain", 1, plan_to_plain},
    {"", "Concat", 1, plan_concat},
    {"", "Split", 1, plan_split},
    {"", "Slice", 1, plan_slice},
    {"", "Expand", 8, plan_expand},
    {"", "Tile", 6, plan_tile},
    {"", "Gather", 1, plan_gather},
    {"", "Pad", 1, plan_pad},
    {"", "DepthToSpace", 1, plan_depth_to_space},
    {"", "SpaceToDepth", 1, plan_space_to_depth},
};

}  // namespace

std::span<const OpRow> movement_ops() { return kRows; }

}  // namespace intact
