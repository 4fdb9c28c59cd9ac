#include "kernels/conv_runs.h"

#include <algorithm>

namespace intact {
namespace {

// Runs are mostly shorter than what a call to memcpy or memset costs.
constexpr std::int64_t kFew = 16;

template <class T>
void copy_few(const T* from, std::int64_t count, T* to) noexcept {
  if (count > kFew) {
    std::copy_n(from, count, to);
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    to[i] = from[i];
    asm volatile("");  // Or the loop becomes that call.
  }
}

template <class T>
void fill_few(T* to, std::int64_t count, T value) noexcept {
  if (count > kFew) {
    std::fill_n(to, count, value);
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    to[i] = value;
    asm volatile("");
  }
}

}  // namespace

ConvRuns::ConvRuns(const WindowGeometry& g, std::int64_t channels) noexcept
    : g_(g), channels_(channels), run_(g.kernel_w * channels) {
  const std::int64_t stride = g.stride_w;
  left_ = std::clamp<std::int64_t>((g.pad_left + stride - 1) / stride, 0, g.out_w);
  const std::int64_t room = g.in_w - g.kernel_w + g.pad_left;  // Of the last whole run's ox stride.
  right_ = std::clamp<std::int64_t>(room < 0 ? 0 : room / stride + 1, left_, g.out_w);
}

ConvRuns::Rows ConvRuns::input_rows(std::int64_t oy_begin, std::int64_t oy_end) const noexcept {
  const std::int64_t first = oy_begin * g_.stride_h - g_.pad_top;
  const std::int64_t last =
      (oy_end - 1) * g_.stride_h - g_.pad_top + (g_.kernel_h - 1) * g_.dilation_h + 1;
  const std::int64_t begin = std::clamp<std::int64_t>(first, 0, g_.in_h);
  return {begin, std::clamp<std::int64_t>(last, begin, g_.in_h)};
}

std::int64_t ConvRuns::edge_elems(std::int64_t pixels) const noexcept {
  const std::int64_t out_rows = std::min(g_.out_h, (pixels + g_.out_w - 2) / g_.out_w + 1);
  const std::int64_t in_rows = std::min<std::int64_t>(
      g_.in_h, (out_rows - 1) * g_.stride_h + (g_.kernel_h - 1) * g_.dilation_h + 1);
  return run_ * (1 + in_rows * edges_a_row());
}

template <class T>
void ConvRuns::copy_edge(const T* row, T pad, std::int64_t ox, T* to) const noexcept {
  const std::int64_t ix = ox * g_.stride_w - g_.pad_left;
  const std::int64_t begin = std::clamp<std::int64_t>(-ix, 0, g_.kernel_w);
  const std::int64_t end = std::clamp<std::int64_t>(g_.in_w - ix, begin, g_.kernel_w);
  fill_few(to, begin * channels_, pad);
  copy_few(row + (ix + begin) * channels_, (end - begin) * channels_, to + begin * channels_);
  fill_few(to + end * channels_, (g_.kernel_w - end) * channels_, pad);
}

template <class T>
void ConvRuns::fill(const T* image, T pad, std::int64_t pixel_begin, std::int64_t pixel_end,
                    T* edges, const T** rows, std::ptrdiff_t rows_stride) const noexcept {
  if (pixel_begin >= pixel_end) return;
  const std::ptrdiff_t row_elems = g_.in_w * channels_;
  const std::int64_t first_oy = pixel_begin / g_.out_w;
  const std::int64_t first_ox = pixel_begin % g_.out_w;
  const Rows touched = input_rows(first_oy, (pixel_end - 1) / g_.out_w + 1);
  const std::int64_t count = edges_a_row();
  // edges: a run of padding, then the runs of each input row that stick out on the left, on the
  // right.
  std::fill_n(edges, run_, pad);
  T* const copies = edges + run_;
  for (std::int64_t iy = touched.first; iy < touched.last; ++iy)
    for (std::int64_t i = 0; i < count; ++i)
      copy_edge(image + iy * row_elems, pad, i < left_ ? i : right_ + i - left_,
                copies + ((iy - touched.first) * count + i) * run_);
  for (std::int64_t ky = 0; ky < g_.kernel_h; ++ky, rows += rows_stride) {
    const T** out = rows;
    std::int64_t iy = first_oy * g_.stride_h + ky * g_.dilation_h - g_.pad_top;
    std::int64_t ox = first_ox;
    for (std::int64_t left = pixel_end - pixel_begin; left > 0; iy += g_.stride_h, ox = 0) {
      const std::int64_t end = std::min(g_.out_w, ox + left);
      left -= end - ox;
      if (iy < 0 || iy >= g_.in_h) {
        for (; ox < end; ++ox) *out++ = edges;
        continue;
      }
      const T* edge = copies + (iy - touched.first) * count * run_;
      for (; ox < std::min(left_, end); ++ox) *out++ = edge + ox * run_;
      const T* in = image + iy * row_elems + (ox * g_.stride_w - g_.pad_left) * channels_;
      for (; ox < std::min(right_, end); ++ox, in += g_.stride_w * channels_) *out++ = in;
      for (; ox < end; ++ox) *out++ = edge + (left_ + ox - right_) * run_;
    }
  }
}

template void ConvRuns::fill(const float*, float, std::int64_t, std::int64_t, float*, const float**,
                             std::ptrdiff_t) const noexcept;
template void ConvRuns::fill(const std::uint8_t*, std::uint8_t, std::int64_t, std::int64_t,
                             std::uint8_t*, const std::uint8_t**, std::ptrdiff_t) const noexcept;

}  // namespace intact
