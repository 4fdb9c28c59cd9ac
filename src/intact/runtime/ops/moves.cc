#include "runtime/ops/moves.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <span>
#include <tuple>

#include "runtime/ops/extents.h"
#include "runtime/ops/strided.h"

namespace intact {
namespace {

// True when indices [i, j) of the axis are, for every move, the same rectangle of its whole output.
bool in_common(const OpContext& c, std::span<const Move> moves, std::size_t axis) {
  return std::all_of(moves.begin(), moves.end(), [&](const Move& m) {
    const std::int64_t size = m.sizes[axis], stride = m.out_strides[axis];
    return size == moves[0].sizes[axis] && c.outputs_[m.output].size() % (size * stride) == 0 &&
           m.out_offset / stride % size == 0;
  });
}

// The axis to cut so many parts along: even ones if there are, of large pieces on both sides, that
// lie together in the input. Nothing when moves have none in common.
std::optional<std::size_t> choose_axis(const OpContext& c, std::span<const Move> moves,
                                       std::int64_t wanted) {
  constexpr double kUneven = 1.15;
  std::optional<std::size_t> best;
  std::tuple<bool, std::int64_t, std::int64_t> most{};
  for (std::size_t axis = 0; axis < moves[0].sizes.size(); ++axis) {
    const Move& m = moves[0];
    if (m.sizes[axis] < 1 || !in_common(c, moves, axis)) continue;
    const auto largest = static_cast<double>(Cut::of(m.sizes[axis], wanted).largest());
    const bool even =
        largest * static_cast<double>(wanted) <= kUneven * static_cast<double>(m.sizes[axis]);
    const std::int64_t out = m.out_strides[axis];
    const std::int64_t in = m.in_strides[axis] == 0 ? out : std::abs(m.in_strides[axis]);
    const std::tuple value{even, std::min(in, out), in};
    if (best && value <= most) continue;
    best = axis;
    most = value;
  }
  return best;
}

// Columns [first, last) of a tensor seen as rows.
Extent columns(std::int64_t row, std::int64_t size, std::int64_t first, std::int64_t last) {
  return row == size ? element_range(first, last) : Extent{row, 0, size / row, first, last};
}

// What indices [begin, end) of the axis read of an input of that size.
Extent read_by(const Move& m, std::size_t axis, std::int64_t begin, std::int64_t end,
               std::int64_t size) {
  const Extent all = element_range(0, size);
  const std::int64_t stride = m.in_strides[axis];
  // Rows as long as the least stride that is larger.
  std::int64_t row = size, reach = (end - 1) * stride;
  for (std::size_t d = 0; d < m.sizes.size(); ++d) {
    if (m.in_strides[d] < 0 || stride == 0) return all;
    if (d == axis || m.sizes[d] == 1) continue;
    if (m.in_strides[d] > stride)
      row = std::min(row, m.in_strides[d]);
    else
      reach += (m.sizes[d] - 1) * m.in_strides[d];
  }
  // A step of a Slice over rows of an odd number: those of the next matrix begin within such a row.
  for (std::size_t d = 0; d < m.sizes.size(); ++d)
    if (m.sizes[d] > 1 && m.in_strides[d] > stride && m.in_strides[d] % row != 0) return all;
  const std::int64_t first = m.in_offset % row + begin * stride;
  const std::int64_t last = m.in_offset % row + reach + 1;
  return size % row != 0 || last > row ? all : columns(row, size, first, last);
}

Extent around(const Extent& a, const Extent& b, std::int64_t size) {
  if (a.empty()) return b;
  if (a.row != b.row) return element_range(0, size);
  return {a.row, std::min(a.begin, b.begin), std::max(a.end, b.end), std::min(a.first, b.first),
          std::max(a.last, b.last)};
}

void declare(OpContext& c, const std::vector<Move>& moves, std::size_t axis, const Cut& cut) {
  std::vector<std::vector<Extent>> read(c.input_count());
  for (const Move& m : moves) {
    const std::int64_t size = c.outputs_[m.output].size();
    const std::int64_t stride = m.out_strides[axis];
    c.writes(m.output, [=, row = stride * m.sizes[axis]](std::size_t t) {
      const auto part = static_cast<std::int64_t>(t);
      return columns(row, size, cut.begin(part) * stride, cut.end(part) * stride);
    });
    std::vector<Extent>& tasks = read[m.input];
    tasks.resize(static_cast<std::size_t>(cut.parts));
    const std::int64_t in_size = c.input(m.input).size();
    for (std::int64_t part = 0; part < cut.parts; ++part) {
      Extent& e = tasks[static_cast<std::size_t>(part)];
      e = around(e, read_by(m, axis, cut.begin(part), cut.end(part), in_size), in_size);
    }
  }
  for (std::size_t i = 0; i < read.size(); ++i)
    if (!read[i].empty())
      c.reads(i, [tasks = std::move(read[i])](std::size_t t) { return tasks[t]; });
}

}  // namespace

void plan_moves(OpContext& c, const std::vector<Move>& moves, std::size_t element_bytes) {
  struct Piece {
    std::size_t input, output;
    StridedCopy copy;
  };
  std::vector<Move> all;
  std::copy_if(moves.begin(), moves.end(), std::back_inserter(all), [&](const Move& m) {
    return c.node().out(m.output) != kNoValue && num_elements(m.sizes) > 0;
  });
  const std::int64_t wanted = c.parts();
  std::vector<std::vector<Piece>> pieces(static_cast<std::size_t>(wanted));
  const auto cut_up = [&](const Move& m, std::size_t axis, const Cut& cut) {
    for (std::int64_t part = 0; part < cut.parts; ++part) {
      const std::int64_t begin = cut.begin(part);
      std::vector<std::int64_t> sizes = m.sizes;
      sizes[axis] = cut.end(part) - begin;
      pieces[static_cast<std::size_t>(part)].push_back(
          {m.input, m.output,
           StridedCopy(sizes, m.in_strides, m.out_strides, element_bytes,
                       m.in_offset + begin * m.in_strides[axis],
                       m.out_offset + begin * m.out_strides[axis])});
    }
  };
  if (all.empty()) return c.run([](const StepArgs&) {});
  if (const auto axis = all[0].sizes.empty() ? std::nullopt : choose_axis(c, all, wanted)) {
    const Cut cut = Cut::of(all[0].sizes[*axis], wanted);
    pieces.resize(static_cast<std::size_t>(cut.parts));
    declare(c, all, *axis, cut);
    for (const Move& m : all) cut_up(m, *axis, cut);
  } else {
    for (const Move& m : all) {
      const auto longest = std::max_element(m.sizes.begin(), m.sizes.end());
      if (longest == m.sizes.end())
        pieces[0].push_back(
            {m.input, m.output, StridedCopy({}, {}, {}, element_bytes, m.in_offset, m.out_offset)});
      else
        cut_up(m, static_cast<std::size_t>(longest - m.sizes.begin()), Cut::of(*longest, wanted));
    }
  }
  c.run_tasks(std::ssize(pieces), [pieces](const StepArgs& args, std::size_t t) {
    for (const Piece& p : pieces[t]) p.copy.run(args.in[p.input], args.out[p.output]);
  });
}

}  // namespace intact
