// image_prep.h: from a picture to the numbers that a model expects (`--images`).
//
// In this order, whatever the order of the keys:
//   1. decode; color=rgb|bgr|gray                          8-bit pixels, EXIF orientation not
//   applied
//   2. resize, filter=nearest|bilinear|bicubic, antialias=1|0
//        resize=WxH           stretch
//        resize=N             shortest edge N, aspect kept
//        letterbox=N|WxH      largest size that fits, then padded to it (center=1|0)
//        height=N [max-width=W]   height N, aspect kept, at most W wide
//      round=floor|nearest|ceil   of the side that follows the aspect (default: floor)
//   3. crop=N|WxH             the centre; left = (width - W) / 2 rounded down
//   4. pad-to=WxH, multiple=N right and bottom (or centred with center=1), with pad=V or V/V/V
//   5. y[c] = (x[c] * scale - mean[c]) / std[c]            pad is an x too
//   6. layout=nchw|nhwc, as the input's type: float32, float16, float64; uint8 without step 5
//
// Antialiased filters are Pillow's resize, equal within 1 code (0 on the golden files): the
// filter's support grows with the reduction ratio. antialias=0 keeps 2 or 4 taps with clamped
// edges, as OpenCV and PyTorch's interpolate do (bicubic a = -0.75).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/buffer_pool.h"
#include "data/image.h"
#include "data/sample.h"
#include "intact/result.h"

namespace intact {

enum class ResizeMode { kNone, kStretch, kShortest, kLetterbox, kHeight };
enum class ResizeFilter { kNearest, kBilinear, kBicubic };
enum class SideRounding { kFloor, kNearest, kCeil };
enum class ColorOrder { kRgb, kBgr, kGray };

struct ImagePrep {
  ResizeMode resize = ResizeMode::kNone;
  int width = 0;  // kShortest: both are N.
  int height = 0;
  int max_width = 0;  // kHeight; 0: none.
  ResizeFilter filter = ResizeFilter::kBilinear;
  bool antialias = true;
  SideRounding rounding = SideRounding::kFloor;
  int crop_width = 0;  // 0: no crop.
  int crop_height = 0;
  int pad_width = 0;  // pad-to; 0: none.
  int pad_height = 0;
  int multiple = 1;
  bool center = false;
  std::array<double, 3> pad{0, 0, 0};
  double scale = 1;
  std::array<double, 3> mean{0, 0, 0};
  std::array<double, 3> std{1, 1, 1};
  ColorOrder color = ColorOrder::kRgb;
  bool nhwc = false;
  std::string input;  // Which input the picture is for; empty: the only one left.

  [[nodiscard]] int channels() const noexcept { return color == ColorOrder::kGray ? 1 : 3; }
  [[nodiscard]] bool is_raw() const noexcept;  // Step 5 changes nothing.
};

// Reads 'key=value key=value ...', or the .json file of that path: an object of the same keys whose
// values are strings, numbers, booleans or arrays of numbers ({"resize": 256, "mean": [0.5, ...]}).
// Errors: kInvalidArgument naming the key, what is wrong, and the choices; kIo.
Result<ImagePrep> parse_image_prep(const std::string& text_or_path);

// Where a picture of that size ends up: the resized size, the crop, the canvas.
struct ImageGeometry {
  int resized_width, resized_height;
  int crop_left, crop_top, crop_width, crop_height;  // In the resized picture.
  int canvas_width, canvas_height, left, top;        // The crop's place on the canvas.
};
// Errors: kDataMismatch when the crop is larger than the picture, or the picture than pad-to.
Result<ImageGeometry> image_geometry(const ImagePrep& prep, int width, int height);

// Returns steps 2 to 6 of `image`, which has prep.channels() channels in prep.color order:
// [1,C,H,W] or [1,H,W,C]. Takes its memory from `pool` where there is one.
// Errors: as image_geometry; kDataMismatch for other types, or uint8 with step 5.
Result<Tensor> prepare_image(const Image& image, const ImagePrep& prep, Dtype dtype,
                             BufferPool* pool = nullptr);

// Returns the 8-bit picture after step 2.
Image resize_image(const Image& image, int width, int height, ResizeFilter filter, bool antialias);

}  // namespace intact
