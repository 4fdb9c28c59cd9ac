#include "runtime/ops/strided.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "base/check.h"

namespace intact {
namespace {

struct Wide {
  std::uint64_t words[2];
};

// Elements a task copies at least: below this, waking a thread costs more than it saves.
constexpr std::int64_t kTaskElements = 32768;
// Side of the square blocks in which a transposition walks both sides.
constexpr std::int64_t kBlock = 32;

// y[r * kWidth + c] = x[r + c * x_stride]: a few planes interleaved.
template <int kWidth, class T>
void interleave(const T* x, std::int64_t x_stride, std::int64_t height, T* __restrict y) {
  for (std::int64_t r = 0; r < height; ++r)
    for (int c = 0; c < kWidth; ++c) y[r * kWidth + c] = x[r + c * x_stride];
}

// y[c * y_stride + r] = x[r * kWidth + c]: the other way round.
template <int kWidth, class T>
void deinterleave(const T* __restrict x, std::int64_t height, T* __restrict y,
                  std::int64_t y_stride) {
  for (std::int64_t r = 0; r < height; ++r)
    for (int c = 0; c < kWidth; ++c) y[c * y_stride + r] = x[r * kWidth + c];
}

template <class Run>
void with_width(std::int64_t width, const Run& run) {
  if (width == 2) run(std::integral_constant<int, 2>{});
  if (width == 3) run(std::integral_constant<int, 3>{});
  if (width == 4) run(std::integral_constant<int, 4>{});
}

// y[r * y_stride + c] = x[r + c * x_stride], four by four in registers.
template <class T>
void turn(const T* x, std::int64_t x_stride, std::int64_t height, std::int64_t width, T* y,
          std::int64_t y_stride) {
  constexpr std::int64_t kTile = 4;
  using Four [[gnu::vector_size(4 * sizeof(T))]] = T;
  const std::int64_t whole_rows = height / kTile * kTile, whole_cols = width / kTile * kTile;
  for (std::int64_t c = 0; c < whole_cols; c += kTile)
    for (std::int64_t r = 0; r < whole_rows; r += kTile) {
      Four a[kTile];
      for (int i = 0; i < kTile; ++i) std::memcpy(&a[i], x + r + (c + i) * x_stride, sizeof a[i]);
      const Four low02 = __builtin_shufflevector(a[0], a[2], 0, 4, 1, 5);
      const Four high02 = __builtin_shufflevector(a[0], a[2], 2, 6, 3, 7);
      const Four low13 = __builtin_shufflevector(a[1], a[3], 0, 4, 1, 5);
      const Four high13 = __builtin_shufflevector(a[1], a[3], 2, 6, 3, 7);
      const Four b[kTile] = {__builtin_shufflevector(low02, low13, 0, 4, 1, 5),
                             __builtin_shufflevector(low02, low13, 2, 6, 3, 7),
                             __builtin_shufflevector(high02, high13, 0, 4, 1, 5),
                             __builtin_shufflevector(high02, high13, 2, 6, 3, 7)};
      for (int i = 0; i < kTile; ++i) std::memcpy(y + (r + i) * y_stride + c, &b[i], sizeof b[i]);
    }
  for (std::int64_t r = 0; r < height; ++r)
    for (std::int64_t c = r < whole_rows ? whole_cols : 0; c < width; ++c)
      y[r * y_stride + c] = x[r + c * x_stride];
}

// The same for bytes, eight by eight.
void turn_bytes(const std::uint8_t* x, std::int64_t x_stride, std::int64_t height,
                std::int64_t width, std::uint8_t* y, std::int64_t y_stride) {
  constexpr std::int64_t kTile = 8;
  using Bytes [[gnu::vector_size(16)]] = std::uint8_t;
  using Pairs [[gnu::vector_size(16)]] = std::uint16_t;
  using Fours [[gnu::vector_size(16)]] = std::uint32_t;
  using Words [[gnu::vector_size(16)]] = std::uint64_t;
  // Through registers: a vector assembled in memory is slow to read.
  const auto load = [&](const std::uint8_t* p) {
    std::uint64_t word;
    std::memcpy(&word, p, kTile);
    return reinterpret_cast<Bytes>(Words{word, 0});
  };
  const auto store = [&](std::uint8_t* p, std::uint64_t word) { std::memcpy(p, &word, kTile); };
  const std::int64_t whole_rows = height / kTile * kTile, whole_cols = width / kTile * kTile;
  for (std::int64_t c = 0; c < whole_cols; c += kTile)
    for (std::int64_t r = 0; r < whole_rows; r += kTile) {
      Pairs two[4];  // Of columns 2 i and 2 i + 1.
      for (std::int64_t i = 0; i < 4; ++i) {
        const Bytes a = load(x + r + (c + 2 * i) * x_stride);
        const Bytes b = load(x + r + (c + 2 * i + 1) * x_stride);
        two[i] = reinterpret_cast<Pairs>(
            __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
      }
      Fours four[2][2];  // Of columns 4 i and on: rows 0 to 3, rows 4 to 7.
      for (std::int64_t i = 0; i < 2; ++i) {
        four[i][0] = reinterpret_cast<Fours>(
            __builtin_shufflevector(two[2 * i], two[2 * i + 1], 0, 8, 1, 9, 2, 10, 3, 11));
        four[i][1] = reinterpret_cast<Fours>(
            __builtin_shufflevector(two[2 * i], two[2 * i + 1], 4, 12, 5, 13, 6, 14, 7, 15));
      }
      for (std::int64_t half = 0; half < 2; ++half) {
        const auto low = reinterpret_cast<Words>(
            __builtin_shufflevector(four[0][half], four[1][half], 0, 4, 1, 5));
        const auto high = reinterpret_cast<Words>(
            __builtin_shufflevector(four[0][half], four[1][half], 2, 6, 3, 7));
        std::uint8_t* row = y + (r + 4 * half) * y_stride + c;
        store(row, low[0]);
        store(row + y_stride, low[1]);
        store(row + 2 * y_stride, high[0]);
        store(row + 3 * y_stride, high[1]);
      }
    }
  for (std::int64_t r = 0; r < height; ++r)
    for (std::int64_t c = r < whole_rows ? whole_cols : 0; c < width; ++c)
      y[r * y_stride + c] = x[r + c * x_stride];
}

// A block of a transposition.
template <class T>
void copy_block(const T* x, std::int64_t x_stride, std::int64_t height, std::int64_t width, T* y,
                std::int64_t y_stride, std::int64_t y_step) {
  if constexpr (sizeof(T) == 4)
    if (y_step == 1) return turn(x, x_stride, height, width, y, y_stride);
  if constexpr (sizeof(T) == 1)
    if (y_step == 1) return turn_bytes(x, x_stride, height, width, y, y_stride);
  for (std::int64_t r = 0; r < height; ++r)
    for (std::int64_t c = 0; c < width; ++c) y[r * y_stride + c * y_step] = x[r + c * x_stride];
}

}  // namespace

StridedCopy::StridedCopy(std::vector<std::int64_t> sizes, std::vector<std::int64_t> in_strides,
                         std::vector<std::int64_t> out_strides, std::size_t element_bytes,
                         std::int64_t in_offset, std::int64_t out_offset)
    : element_bytes_(element_bytes), in_offset_(in_offset), out_offset_(out_offset) {
  std::vector<Axis> axes;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 0) empty_ = true;
    if (sizes[d] > 1) axes.push_back({sizes[d], in_strides[d], out_strides[d]});
  }
  std::stable_sort(axes.begin(), axes.end(),
                   [](const Axis& a, const Axis& b) { return a.out > b.out; });
  for (const Axis& axis : axes) {
    if (!axes_.empty() && axes_.back().out == axis.out * axis.size &&
        axes_.back().in == axis.in * axis.size) {
      axes_.back().size *= axis.size;
      axes_.back().in = axis.in;
      axes_.back().out = axis.out;
    } else {
      axes_.push_back(axis);
    }
  }
  if (axes_.empty()) axes_.push_back({1, 1, 1});
  if (axes_.size() == 1) axes_.insert(axes_.begin(), {1, 0, 0});
  // A transposition walks blocks of two axes: put the one that is dense in the input next to last.
  if (axes_.back().in != 1) {
    for (std::size_t d = 0; d + 2 < axes_.size(); ++d)
      if (axes_[d].in == 1)
        std::rotate(axes_.begin() + static_cast<std::ptrdiff_t>(d),
                    axes_.begin() + static_cast<std::ptrdiff_t>(d) + 1, axes_.end() - 1);
  }
}

void StridedCopy::run(const std::byte* in, std::byte* out) const { run(in, out, ThreadPool(1)); }

void StridedCopy::run(const std::byte* in, std::byte* out, const ThreadPool& pool) const {
  if (empty_) return;
  const auto go = [&]<class T>(T) {
    run_typed(reinterpret_cast<const T*>(in), reinterpret_cast<T*>(out), pool);
  };
  switch (element_bytes_) {
    case 1:
      return go(std::uint8_t{});
    case 2:
      return go(std::uint16_t{});
    case 4:
      return go(std::uint32_t{});
    case 8:
      return go(std::uint64_t{});
    case 16:
      return go(Wide{});
    default:
      INTACT_CHECK(false, "a copy of {}-byte elements", element_bytes_);
  }
}

// The axes but the last two are counted in one flat index of planes.
template <class T>
void StridedCopy::run_typed(const T* in, T* out, const ThreadPool& pool) const {
  std::int64_t planes = 1;
  for (std::size_t d = 0; d + 2 < axes_.size(); ++d) planes *= axes_[d].size;
  const Axis& row = axes_[axes_.size() - 2];
  const Axis& col = axes_.back();
  // A unit is `height` rows of one plane.
  const std::int64_t plane_elements = row.size * col.size;
  const std::int64_t height =
      plane_elements <= kTaskElements
          ? row.size
          : std::min(row.size, std::max(kBlock, kTaskElements / col.size / kBlock * kBlock));
  const std::int64_t units_a_plane = (row.size + height - 1) / height;
  const std::int64_t units = planes * units_a_plane;
  const std::int64_t units_a_task = std::max<std::int64_t>(1, kTaskElements / (height * col.size));
  const auto tasks = static_cast<std::size_t>((units + units_a_task - 1) / units_a_task);
  pool.run(tasks, [&](std::size_t t) {
    const auto begin = static_cast<std::int64_t>(t) * units_a_task;
    const std::int64_t end = std::min(units, begin + units_a_task);
    for (std::int64_t unit = begin; unit < end; ++unit) {
      std::int64_t plane = unit / units_a_plane;
      const std::int64_t first = unit % units_a_plane * height;
      std::int64_t from = in_offset_ + first * row.in;
      std::int64_t to = out_offset_ + first * row.out;
      for (std::size_t d = axes_.size() - 2; d-- > 0;) {
        const std::int64_t i = plane % axes_[d].size;
        plane /= axes_[d].size;
        from += i * axes_[d].in;
        to += i * axes_[d].out;
      }
      copy_rows(in + from, out + to, std::min(height, row.size - first));
    }
  });
}

// `rows` rows of one plane.
template <class T>
void StridedCopy::copy_rows(const T* from, T* to, std::int64_t rows) const {
  const Axis row = axes_[axes_.size() - 2];
  const Axis col = axes_.back();
  if (col.in == 1 && col.out == 1) {
    for (std::int64_t r = 0; r < rows; ++r, from += row.in, to += row.out)
      copy_bytes(to, from, static_cast<std::size_t>(col.size) * sizeof(T));
  } else if (row.in == 1 && col.out == 1 && row.out == col.size && col.size <= 4) {
    with_width(col.size, [&](auto width) { interleave<width.value>(from, col.in, rows, to); });
  } else if (row.in == 1 && col.out == 1 && col.in == row.size && row.size <= 4 &&
             rows == row.size) {
    with_width(rows, [&](auto width) { deinterleave<width.value>(from, col.size, to, row.out); });
  } else if (row.in == 1) {  // Blocks, so that both sides stay in the cache.
    for (std::int64_t r0 = 0; r0 < rows; r0 += kBlock) {
      const std::int64_t height = std::min(kBlock, rows - r0);
      for (std::int64_t c0 = 0; c0 < col.size; c0 += kBlock)
        copy_block(from + r0 + c0 * col.in, col.in, height, std::min(kBlock, col.size - c0),
                   to + r0 * row.out + c0 * col.out, row.out, col.out);
    }
  } else {
    for (std::int64_t r = 0; r < rows; ++r, from += row.in, to += row.out) {
      if (col.in == 0 && col.out == 1)
        std::fill_n(to, col.size, *from);
      else
        for (std::int64_t c = 0; c < col.size; ++c) to[c * col.out] = from[c * col.in];
    }
  }
}

}  // namespace intact
