#include "quant/patches.h"

#include <algorithm>

#include "base/check.h"

namespace intact {
namespace {

// splitmix64's output function: a well-mixed 64-bit hash.
std::uint64_t mix(std::uint64_t z) noexcept {
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

}  // namespace

std::vector<std::size_t> sample_positions(std::size_t total, std::size_t wanted,
                                          std::uint64_t seed) {
  const std::size_t n = std::min(total, wanted);
  std::vector<std::size_t> positions(n);
  for (std::size_t i = 0; i < n; ++i) {
    // Stratum i is [i total / n, (i + 1) total / n): never empty, as n <= total. Products fit: both
    // factors are below 2^32 for anything that memory holds.
    const std::size_t from = i * total / n;
    const std::size_t to = (i + 1) * total / n;
    const std::uint64_t h = mix(mix(total + 0x9E3779B97F4A7C15u * (seed + 1)) + i);
    positions[i] = from + static_cast<std::size_t>(h % (to - from));
  }
  return positions;
}

void gather_patches(std::span<const float> x, const PatchGeometry& g,
                    std::span<const std::size_t> positions, std::size_t first, std::size_t count,
                    std::span<float> rows) {
  const std::size_t taps = count * g.kernel_h * g.kernel_w;
  INTACT_CHECK(x.size() == g.batch * g.channels * g.height * g.width &&
                   first + count <= g.channels && rows.size() == positions.size() * taps,
               "patches of {} values, channels {} to {} of {}, into {}", x.size(), first,
               first + count, g.channels, rows.size());
  const std::size_t step = g.channels_last ? g.channels : 1;             // To the next column.
  const std::size_t channel = g.channels_last ? 1 : g.height * g.width;  // To the next channel.
  float* out = rows.data();
  for (const std::size_t p : positions) {
    INTACT_CHECK(p < g.positions(), "position {} of {}", p, g.positions());
    const float* image = x.data() + p / (g.out_h * g.out_w) * g.channels * g.height * g.width;
    const std::size_t top = p / g.out_w % g.out_h * g.stride_h;
    const std::size_t left = p % g.out_w * g.stride_w;
    for (std::size_t c = first; c < first + count; ++c) {
      for (std::size_t i = 0; i < g.kernel_h; ++i) {
        const std::size_t y = top + i * g.dilation_h;  // Counted from the padding's edge.
        for (std::size_t j = 0; j < g.kernel_w; ++j) {
          const std::size_t z = left + j * g.dilation_w;
          const bool inside = y >= g.pad_top && y - g.pad_top < g.height && z >= g.pad_left &&
                              z - g.pad_left < g.width;
          *out++ = inside
                       ? image[c * channel + ((y - g.pad_top) * g.width + (z - g.pad_left)) * step]
                       : 0.0f;
        }
      }
    }
  }
}

}  // namespace intact
