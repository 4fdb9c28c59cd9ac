// image.h: pictures from files, as 8-bit pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "intact/result.h"

namespace intact {

// Larger pictures are refused before they are decoded.
inline constexpr std::int64_t kMaxPixels = std::int64_t{1} << 28;

struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;                  // 3: RGB (BGR after swap_red_blue); 1: gray.
  std::vector<std::uint8_t> pixels;  // [height][width][channels]
};

struct ImageSize {
  int width = 0;
  int height = 0;
};

// Decodes a JPEG or PNG file to RGB, or to gray as Pillow's convert("L") does:
//   L = (19595 R + 38470 G + 7471 B + 32768) / 65536, rounded down.
// PNG: gray, RGB, palette; 16-bit samples keep their high byte; alpha is dropped, not blended.
// JPEG: gray, YCbCr, RGB, and CMYK/YCCK converted as Pillow's convert("RGB"). The EXIF orientation
// is not applied (Pillow's open does not either): rotate such files beforehand.
// Errors: kInvalidArgument, one sentence, for anything that is not a whole picture.
Result<Image> decode_image(std::span<const std::byte> file, bool gray);
Result<Image> load_image(const std::string& path, bool gray);

// Reads only the header. Errors: as decode_image.
Result<ImageSize> image_size(const std::string& path);

void swap_red_blue(Image& image) noexcept;

}  // namespace intact
