// The runs of conv_runs.h against the tap pointers of conv_rows.h: the same elements.
#include "kernels/conv_runs.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace intact {
namespace {

template <class T>
void check_elements(const WindowGeometry& g, std::int64_t channels, std::int64_t begin,
                    std::int64_t end) {
  std::vector<T> image(static_cast<std::size_t>(g.in_h * g.in_w * channels));
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<T>(i % 251 + 1);
  constexpr T kPad = 254;
  const std::vector<T> pad(static_cast<std::size_t>(channels), kPad);
  const std::int64_t count = end - begin;
  std::vector<const T*> taps(static_cast<std::size_t>(g.kernel_h * g.kernel_w * count));
  constexpr std::ptrdiff_t kBytes = sizeof(T);
  fill_conv_rows(g, reinterpret_cast<const std::uint8_t*>(image.data()), g.in_w * channels * kBytes,
                 channels * kBytes, reinterpret_cast<const std::uint8_t*>(pad.data()), begin, end,
                 reinterpret_cast<const std::uint8_t**>(taps.data()), count);
  const ConvRuns runs(g, channels);
  ASSERT_EQ(runs.run(), g.kernel_w * channels);
  std::vector<T> edges(static_cast<std::size_t>(runs.edge_elems(count)), T{255});
  std::vector<const T*> rows(static_cast<std::size_t>(g.kernel_h * count));
  runs.fill(image.data(), kPad, begin, end, edges.data(), rows.data(), count);
  for (std::int64_t ky = 0; ky < g.kernel_h; ++ky)
    for (std::int64_t p = 0; p < count; ++p)
      for (std::int64_t i = 0; i < runs.run(); ++i) {
        const T* row = rows[static_cast<std::size_t>(ky * count + p)];
        const auto tap = static_cast<std::size_t>((ky * g.kernel_w + i / channels) * count + p);
        ASSERT_EQ(row[i], taps[tap][i % channels]) << ky << " " << p << " " << i;
      }
}

void check(const WindowGeometry& g, std::int64_t channels, std::int64_t begin, std::int64_t end) {
  check_elements<float>(g, channels, begin, end);
  check_elements<std::uint8_t>(g, channels, begin, end);
}

TEST(ConvRuns, HoldTheElementsOfTheTaps) {
  for (const int stride : {1, 2, 3})
    for (const int kernel_h : {1, 3})
      for (const int kernel_w : {1, 2, 5, 9})
        for (const int pad : {-1, 0, 1, 6}) {
          WindowGeometry g{.in_h = 6, .in_w = 7};
          g.kernel_h = kernel_h;
          g.kernel_w = kernel_w;
          g.stride_h = g.stride_w = stride;
          g.dilation_h = 2;
          g.pad_top = g.pad_left = pad;
          for (const std::int64_t width : {1, 4, 8}) {
            g.out_h = 4;
            g.out_w = width;
            const std::int64_t pixels = g.out_h * g.out_w;
            check(g, 3, 0, pixels);
            check(g, 1, pixels / 3, pixels);
            check(g, 2, 1, pixels / 2 + 1);
          }
        }
}

}  // namespace
}  // namespace intact
