#include "data/image_prep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/half.h"

namespace intact {
namespace {

// Returns n * target / side, rounded as asked, at least 1. Exact: whole numbers throughout.
int follow(int n, int target, int side, SideRounding rounding) {
  const std::int64_t product = std::int64_t{n} * target;
  std::int64_t q = product / side;
  const std::int64_t rest = product % side;
  if (rounding == SideRounding::kCeil && rest > 0) ++q;
  if (rounding == SideRounding::kNearest && (2 * rest > side || (2 * rest == side && q % 2 == 1)))
    ++q;
  return static_cast<int>(std::clamp<std::int64_t>(q, 1, kMaxPixels));
}

int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

template <class T>
std::vector<T> value_table(const ImagePrep& prep, T (*convert)(double)) {
  // Per channel: 256 codes, then the padding.
  std::vector<T> table;
  for (std::size_t c = 0; c < static_cast<std::size_t>(prep.channels()); ++c)
    for (int code = 0; code <= 256; ++code) {
      const double x = code == 256 ? prep.pad[c] : code;
      table.push_back(convert((x * prep.scale - prep.mean[c]) / prep.std[c]));
    }
  return table;
}

template <class T>
void fill(const Image& image, const ImagePrep& prep, const ImageGeometry& g,
          const std::vector<T>& table, T* out) {
  const int channels = image.channels;
  const std::int64_t plane = std::int64_t{g.canvas_width} * g.canvas_height;
  for (int y = 0; y < g.canvas_height; ++y)
    for (int x = 0; x < g.canvas_width; ++x) {
      const int from_x = x - g.left + g.crop_left;
      const int from_y = y - g.top + g.crop_top;
      const bool inside =
          x >= g.left && x < g.left + g.crop_width && y >= g.top && y < g.top + g.crop_height;
      const std::int64_t pixel = std::int64_t{y} * g.canvas_width + x;
      for (int c = 0; c < channels; ++c) {
        const int code = inside ? image.pixels[static_cast<std::size_t>(
                                      (std::int64_t{from_y} * image.width + from_x) * channels + c)]
                                : 256;
        out[prep.nhwc ? pixel * channels + c : c * plane + pixel] =
            table[static_cast<std::size_t>(c * 257 + code)];
      }
    }
}

}  // namespace

bool ImagePrep::is_raw() const noexcept {
  const auto all = [](const std::array<double, 3>& v, double x) {
    return v[0] == x && v[1] == x && v[2] == x;
  };
  return scale == 1 && all(mean, 0) && all(std, 1);
}

Result<ImageGeometry> image_geometry(const ImagePrep& prep, int width, int height) {
  ImageGeometry g{width, height, 0, 0, 0, 0, 0, 0, 0, 0};
  int canvas_width = prep.pad_width;
  int canvas_height = prep.pad_height;
  switch (prep.resize) {
    case ResizeMode::kNone:
      break;
    case ResizeMode::kStretch:
      g.resized_width = prep.width;
      g.resized_height = prep.height;
      break;
    case ResizeMode::kShortest:
      if (width <= height) {
        g.resized_width = prep.width;
        g.resized_height = follow(height, prep.width, width, prep.rounding);
      } else {
        g.resized_height = prep.width;
        g.resized_width = follow(width, prep.width, height, prep.rounding);
      }
      break;
    case ResizeMode::kLetterbox:
      // The side that reaches its limit first gets it exactly.
      if (std::int64_t{prep.width} * height <= std::int64_t{prep.height} * width) {
        g.resized_width = prep.width;
        g.resized_height = std::min(prep.height, follow(height, prep.width, width, prep.rounding));
      } else {
        g.resized_height = prep.height;
        g.resized_width = std::min(prep.width, follow(width, prep.height, height, prep.rounding));
      }
      canvas_width = std::max(canvas_width, prep.width);
      canvas_height = std::max(canvas_height, prep.height);
      break;
    case ResizeMode::kHeight:
      g.resized_height = prep.height;
      g.resized_width = follow(width, prep.height, height, prep.rounding);
      if (prep.max_width > 0) g.resized_width = std::min(g.resized_width, prep.max_width);
      break;
  }
  if (std::int64_t{g.resized_width} * g.resized_height > kMaxPixels)
    return fail(ErrorCode::kDataMismatch,
                fmt::format("a {}x{} picture would be resized to {}x{}; the limit is 2^28 pixels",
                            width, height, g.resized_width, g.resized_height));
  g.crop_width = prep.crop_width > 0 ? prep.crop_width : g.resized_width;
  g.crop_height = prep.crop_height > 0 ? prep.crop_height : g.resized_height;
  if (g.crop_width > g.resized_width || g.crop_height > g.resized_height)
    return fail(ErrorCode::kDataMismatch,
                fmt::format("crop={}x{} is larger than the picture, {}x{} after resizing; add "
                            "resize=N with a larger N",
                            g.crop_width, g.crop_height, g.resized_width, g.resized_height));
  g.crop_left = (g.resized_width - g.crop_width) / 2;
  g.crop_top = (g.resized_height - g.crop_height) / 2;
  if (prep.pad_width > 0 && (g.crop_width > prep.pad_width || g.crop_height > prep.pad_height))
    return fail(ErrorCode::kDataMismatch,
                fmt::format("the picture is {}x{} before padding, larger than pad-to={}x{}; use "
                            "letterbox or max-width",
                            g.crop_width, g.crop_height, prep.pad_width, prep.pad_height));
  g.canvas_width = round_up(std::max(canvas_width, g.crop_width), prep.multiple);
  g.canvas_height = round_up(std::max(canvas_height, g.crop_height), prep.multiple);
  if (prep.center) {
    g.left = (g.canvas_width - g.crop_width) / 2;
    g.top = (g.canvas_height - g.crop_height) / 2;
  }
  return g;
}

Result<Tensor> prepare_image(const Image& image, const ImagePrep& prep, Dtype dtype,
                             BufferPool* pool) {
  INTACT_CHECK(image.channels == prep.channels(), "{} channels for {}", image.channels,
               prep.channels());
  INTACT_ASSIGN(const ImageGeometry g, image_geometry(prep, image.width, image.height));
  const Image resized =
      resize_image(image, g.resized_width, g.resized_height, prep.filter, prep.antialias);
  Shape shape{1, prep.channels(), g.canvas_height, g.canvas_width};
  if (prep.nhwc) shape = {1, shape[2], shape[3], shape[1]};
  if (dtype == Dtype::kUint8 && !prep.is_raw())
    return fail(ErrorCode::kDataMismatch,
                "the input is uint8 and takes pixels as they are; drop scale, mean and std from "
                "--images");
  const bool supported = dtype == Dtype::kUint8 || dtype == Dtype::kFloat32 ||
                         dtype == Dtype::kFloat64 || dtype == Dtype::kFloat16;
  if (!supported)
    return fail(ErrorCode::kDataMismatch,
                fmt::format("the input is {}; pictures can be float32, float64, float16 or uint8",
                            name_of(dtype)));
  Tensor out = pool == nullptr ? Tensor(dtype, shape) : pool->tensor(dtype, shape);
  if (dtype == Dtype::kUint8) {
    const auto table = value_table<std::uint8_t>(
        prep, [](double x) { return static_cast<std::uint8_t>(std::clamp(x, 0.0, 255.0)); });
    fill(resized, prep, g, table, out.mutable_values<std::uint8_t>().data());
  } else if (dtype == Dtype::kFloat64) {
    const auto table = value_table<double>(prep, [](double x) { return x; });
    fill(resized, prep, g, table, out.mutable_values<double>().data());
  } else if (dtype == Dtype::kFloat16) {
    const auto table = value_table<std::uint16_t>(
        prep, [](double x) { return half_from_float(static_cast<float>(x)); });
    fill(resized, prep, g, table, reinterpret_cast<std::uint16_t*>(out.raw()));
  } else {
    const auto table = value_table<float>(prep, [](double x) { return static_cast<float>(x); });
    fill(resized, prep, g, table, out.mutable_values<float>().data());
  }
  return out;
}

}  // namespace intact
