// Resizing 8-bit pictures, one direction after the other.
//
// Antialiased, as Pillow does it: rounded to 8 bits after each pass,
//
//   out[i] = clip((2^21 + sum_j round(2^22 w[j]) in[first + j]) / 2^22)           (1)
//
// with r = in / out, s = max(r, 1), centre c = (i + 1/2) r and weights w[j] = f((first + j + 1/2 -
// c) / s), normalized to sum 1, over the window [c - support s, c + support s] inside the picture.
// Rows come first when the height loses more than twice what the width loses (Pillow 13; up to
// Pillow 12 the width always came first, which moves bicubic codes by a few in such cases).
//
// Without antialiasing s = 1, taps outside of the picture take the edge's pixel, and only the end
// result is rounded.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/round.h"
#include "data/image_prep.h"

namespace intact {
namespace {

constexpr int kFractionBits = 22;

double bilinear(double x) { return std::max(0.0, 1 - std::abs(x)); }

// Keys' cubic convolution.
double bicubic(double x, double a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

struct Taps {
  int first = 0;
  std::vector<double> exact;          // Sum 1.
  std::vector<std::int32_t> weights;  // Times 2^22.
};

// One row of weights per output pixel.
std::vector<Taps> make_taps(int in, int out, ResizeFilter filter, bool antialias) {
  const double ratio = static_cast<double>(in) / out;
  const double stretch = antialias ? std::max(ratio, 1.0) : 1.0;
  const double support = (filter == ResizeFilter::kBicubic ? 2.0 : 1.0) * stretch;
  const double a = antialias ? -0.5 : -0.75;
  const auto kernel = [&](double x) {
    return filter == ResizeFilter::kBicubic ? bicubic(x, a) : bilinear(x);
  };
  const double inv_stretch = 1.0 / stretch;
  std::vector<Taps> all(static_cast<std::size_t>(out));
  std::vector<double> w;
  for (int i = 0; i < out; ++i) {
    const double center = (i + 0.5) * ratio;
    const int window_lo = static_cast<int>(std::floor(center - support + 0.5));
    const int window_hi = static_cast<int>(std::floor(center + support + 0.5));
    const int lo = std::clamp(window_lo, 0, in - 1);
    const int hi = std::clamp(window_hi, lo + 1, in);
    w.assign(static_cast<std::size_t>(hi - lo), 0.0);
    double sum = 0;
    for (int j = antialias ? lo : window_lo; j < (antialias ? hi : window_hi); ++j) {
      const double weight = kernel((j - center + 0.5) * inv_stretch);
      w[static_cast<std::size_t>(std::clamp(j, lo, hi - 1) - lo)] += weight;
      sum += weight;
    }
    Taps& taps = all[static_cast<std::size_t>(i)];
    taps.first = lo;
    for (const double weight : w) {
      taps.exact.push_back(weight / sum);
      const double scaled = taps.exact.back() * (1 << kFractionBits);
      taps.weights.push_back(static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
    }
  }
  return all;
}

std::uint8_t clip(std::int32_t sum) noexcept {
  return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

Image resize_width(const Image& in, int width, ResizeFilter filter) {
  const auto taps = make_taps(in.width, width, filter, /*antialias=*/true);
  Image out{width, in.height, in.channels, {}};
  const auto channels = static_cast<std::size_t>(in.channels);
  out.pixels.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(in.height) *
                    channels);
  std::uint8_t* to = out.pixels.data();
  for (int y = 0; y < in.height; ++y) {
    const std::uint8_t* row = in.pixels.data() + static_cast<std::size_t>(y) *
                                                     static_cast<std::size_t>(in.width) * channels;
    for (const Taps& t : taps)
      for (std::size_t c = 0; c < channels; ++c) {
        const std::uint8_t* from = row + static_cast<std::size_t>(t.first) * channels + c;
        std::int32_t sum = 1 << (kFractionBits - 1);
        for (const std::int32_t w : t.weights) {
          sum += w * *from;
          from += channels;
        }
        *to++ = clip(sum);
      }
  }
  return out;
}

Image resize_height(const Image& in, int height, ResizeFilter filter) {
  const auto taps = make_taps(in.height, height, filter, /*antialias=*/true);
  Image out{in.width, height, in.channels, {}};
  const std::size_t stride =
      static_cast<std::size_t>(in.width) * static_cast<std::size_t>(in.channels);
  out.pixels.resize(stride * static_cast<std::size_t>(height));
  std::vector<std::int32_t> sums(stride);
  std::uint8_t* to = out.pixels.data();
  for (const Taps& t : taps) {
    std::fill(sums.begin(), sums.end(), 1 << (kFractionBits - 1));
    const std::uint8_t* row = in.pixels.data() + static_cast<std::size_t>(t.first) * stride;
    for (const std::int32_t w : t.weights) {
      for (std::size_t x = 0; x < stride; ++x) sums[x] += w * row[x];
      row += stride;
    }
    for (const std::int32_t sum : sums) *to++ = clip(sum);
  }
  return out;
}

// Two or four taps a direction.
Image resize_plain(const Image& in, int width, int height, ResizeFilter filter) {
  const auto columns = make_taps(in.width, width, filter, /*antialias=*/false);
  const auto lines = make_taps(in.height, height, filter, /*antialias=*/false);
  const auto channels = static_cast<std::size_t>(in.channels);
  const std::size_t stride = static_cast<std::size_t>(in.width) * channels;
  Image out{width, height, in.channels, {}};
  out.pixels.reserve(columns.size() * lines.size() * channels);
  std::vector<double> row(stride);
  for (const Taps& line : lines) {
    std::fill(row.begin(), row.end(), 0.0);
    const std::uint8_t* from = in.pixels.data() + static_cast<std::size_t>(line.first) * stride;
    for (const double w : line.exact) {
      for (std::size_t x = 0; x < stride; ++x) row[x] += w * from[x];
      from += stride;
    }
    for (const Taps& column : columns)
      for (std::size_t c = 0; c < channels; ++c) {
        double sum = 0;
        const double* at = row.data() + static_cast<std::size_t>(column.first) * channels + c;
        for (const double w : column.exact) {
          sum += w * *at;
          at += channels;
        }
        out.pixels.push_back(
            static_cast<std::uint8_t>(round_half_even(std::clamp(sum, 0.0, 255.0))));
      }
  }
  return out;
}

// The pixel under each output pixel's centre. Pillow adds the ratio up, and so do we: at exact
// borders between pixels the rounding of the sum decides.
std::vector<std::size_t> nearest_index(int in, int out) {
  const double ratio = static_cast<double>(in) / out;
  std::vector<std::size_t> index;
  double at = ratio * 0.5;
  for (int i = 0; i < out; ++i, at += ratio)
    index.push_back(static_cast<std::size_t>(std::min(static_cast<int>(at), in - 1)));
  return index;
}

Image resize_nearest(const Image& in, int width, int height) {
  const auto columns = nearest_index(in.width, width);
  const auto lines = nearest_index(in.height, height);
  const auto channels = static_cast<std::size_t>(in.channels);
  Image out{width, height, in.channels, {}};
  out.pixels.reserve(columns.size() * lines.size() * channels);
  for (const std::size_t y : lines)
    for (const std::size_t x : columns) {
      const auto at = (y * static_cast<std::size_t>(in.width) + x) * channels;
      for (std::size_t c = 0; c < channels; ++c) out.pixels.push_back(in.pixels[at + c]);
    }
  return out;
}

}  // namespace

Image resize_image(const Image& image, int width, int height, ResizeFilter filter, bool antialias) {
  if (width == image.width && height == image.height) return image;
  if (filter == ResizeFilter::kNearest) return resize_nearest(image, width, height);
  if (!antialias) return resize_plain(image, width, height, filter);
  const bool rows_first =
      height < image.height && image.height - height > 2 * (image.width - width);
  Image out = image;
  if (rows_first) out = resize_height(out, height, filter);
  if (width != image.width) out = resize_width(out, width, filter);
  if (height != out.height) out = resize_height(out, height, filter);
  return out;
}

}  // namespace intact
