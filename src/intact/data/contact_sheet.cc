#include "data/contact_sheet.h"

#include <png.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>

namespace intact {
namespace {

constexpr std::int64_t kSide = 128;  // Of a thumbnail, at most.
constexpr std::int64_t kGap = 4;
constexpr std::int64_t kText = 11;  // Height of the line under a picture.
constexpr std::int64_t kGlyphWidth = 5, kGlyphHeight = 7;
constexpr std::size_t kColumns = 8;

// Letters of 5 x 7 dots; bit 34 is the upper left one, row by row.
struct Glyph {
  char letter;
  std::uint64_t dots;
};
constexpr std::array<Glyph, 46> kGlyphs{{
    {'0', 0x3A33AE62E}, {'1', 0x11842108E}, {'2', 0x3A213221F}, {'3', 0x7C441062E},
    {'4', 0x08CA97C42}, {'5', 0x7E1E0862E}, {'6', 0x1910F462E}, {'7', 0x7C2222108},
    {'8', 0x3A317462E}, {'9', 0x3A317844C}, {'A', 0x3A31FC631}, {'B', 0x7A31F463E},
    {'C', 0x3A308422E}, {'D', 0x7A318C63E}, {'E', 0x7E10F421F}, {'F', 0x7E10F4210},
    {'G', 0x3A30BC62E}, {'H', 0x4631FC631}, {'I', 0x38842108E}, {'J', 0x1C4210A4C},
    {'K', 0x4654C5251}, {'L', 0x42108421F}, {'M', 0x4775AC631}, {'N', 0x47359C631},
    {'O', 0x3A318C62E}, {'P', 0x7A31F4210}, {'Q', 0x3A318D64D}, {'R', 0x7A31F5251},
    {'S', 0x3E107043E}, {'T', 0x7C8421084}, {'U', 0x46318C62E}, {'V', 0x46318C544},
    {'W', 0x4631AD771}, {'X', 0x462A22A31}, {'Y', 0x462A21084}, {'Z', 0x7C222221F},
    {'-', 0x000070000}, {'_', 0x00000001F}, {'.', 0x00000018C}, {',', 0x000001888},
    {':', 0x018C03180}, {'/', 0x042222210}, {'(', 0x088842082}, {')', 0x208210888},
    {'?', 0x3A2131004}, {' ', 0x000000000},
}};

std::uint64_t dots_of(char letter) {
  const char upper = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  const auto at = std::find_if(kGlyphs.begin(), kGlyphs.end(),
                               [&](const Glyph& g) { return g.letter == upper; });
  return at != kGlyphs.end() ? at->dots : dots_of('?');
}

class Canvas {
 public:
  Canvas(std::int64_t width, std::int64_t height)
      : width_(width), height_(height), rgb_(static_cast<std::size_t>(width * height * 3), 255) {}

  void set(std::int64_t x, std::int64_t y, int channel, std::uint8_t value) {
    rgb_[static_cast<std::size_t>((y * width_ + x) * 3 + channel)] = value;
  }

  void write(std::int64_t x, std::int64_t y, const std::string& text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      const std::uint64_t dots = dots_of(text[i]);
      const std::int64_t left = x + static_cast<std::int64_t>(i) * (kGlyphWidth + 1);
      for (std::int64_t r = 0; r < kGlyphHeight; ++r)
        for (std::int64_t c = 0; c < kGlyphWidth; ++c)
          if ((dots >> (34 - (r * kGlyphWidth + c)) & 1) != 0)
            for (int k = 0; k < 3; ++k) set(left + c, y + r, k, 0);
    }
  }

  Result<std::string> png() const {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = static_cast<png_uint_32>(width_);
    image.height = static_cast<png_uint_32>(height_);
    image.format = PNG_FORMAT_RGB;
    png_alloc_size_t bytes = 0;
    if (png_image_write_to_memory(&image, nullptr, &bytes, 0, rgb_.data(), 0, nullptr) == 0)
      return fail(ErrorCode::kIo, "the contact sheet cannot be encoded");
    std::string out(bytes, '\0');
    if (png_image_write_to_memory(&image, out.data(), &bytes, 0, rgb_.data(), 0, nullptr) == 0)
      return fail(ErrorCode::kIo, "the contact sheet cannot be encoded");
    out.resize(bytes);
    return out;
  }

 private:
  std::int64_t width_, height_;
  std::vector<std::uint8_t> rgb_;
};

}  // namespace

std::optional<PictureLayout> picture_layout(std::span<const std::int64_t> shape) {
  const auto is_channels = [](std::int64_t n) { return n == 1 || n == 3 || n == 4; };
  if (shape.size() != 4 || shape[0] < 1) return std::nullopt;
  if (is_channels(shape[1]) && shape[2] > 1 && shape[3] > 1)
    return PictureLayout{shape[2], shape[3], shape[1], false};
  if (is_channels(shape[3]) && shape[1] > 1 && shape[2] > 1)
    return PictureLayout{shape[1], shape[2], shape[3], true};
  return std::nullopt;
}

bool ContactSheet::add(const Tensor& picture, const std::string& label) {
  const auto layout = picture_layout(picture.shape());
  if (thumbs_.size() == kMaxPictures || !layout) return false;
  const auto [h, w, channels, last] = *layout;
  const std::int64_t longest = std::max(h, w);
  Thumb thumb;
  thumb.height = longest > kSide ? std::max<std::int64_t>(1, h * kSide / longest) : h;
  thumb.width = longest > kSide ? std::max<std::int64_t>(1, w * kSide / longest) : w;
  thumb.label = label;
  const std::vector<double> values = to_float64(picture);
  // Each pixel is the mean of the box that it covers.
  for (std::int64_t y = 0; y < thumb.height; ++y)
    for (std::int64_t x = 0; x < thumb.width; ++x)
      for (std::int64_t k = 0; k < 3; ++k) {
        const std::int64_t c = channels >= 3 ? k : 0;
        const std::int64_t y0 = y * h / thumb.height, x0 = x * w / thumb.width;
        const std::int64_t y1 = std::max(y0 + 1, (y + 1) * h / thumb.height);
        const std::int64_t x1 = std::max(x0 + 1, (x + 1) * w / thumb.width);
        double sum = 0;
        for (std::int64_t i = y0; i < y1; ++i)
          for (std::int64_t j = x0; j < x1; ++j)
            sum += values[static_cast<std::size_t>(last ? (i * w + j) * channels + c
                                                        : (c * h + i) * w + j)];
        thumb.rgb.push_back(static_cast<float>(sum / static_cast<double>((y1 - y0) * (x1 - x0))));
      }
  thumbs_.push_back(std::move(thumb));
  return true;
}

Result<std::string> ContactSheet::png() const {
  float lo = std::numeric_limits<float>::infinity(), hi = -lo;
  // Room for four letters under the smallest picture.
  std::int64_t cell_width = 4 * (kGlyphWidth + 1) + kGap, cell_height = 0;
  for (const Thumb& t : thumbs_) {
    for (const float x : t.rgb) {
      lo = std::min(lo, x);
      hi = std::max(hi, x);
    }
    cell_width = std::max(cell_width, t.width + kGap);
    cell_height = std::max(cell_height, t.height + kText + kGap);
  }
  const auto columns = static_cast<std::int64_t>(std::min(kColumns, thumbs_.size()));
  const auto rows = (static_cast<std::int64_t>(thumbs_.size()) + columns - 1) / columns;
  Canvas canvas(columns * cell_width + kGap, rows * cell_height + kGap);
  const float scale = hi > lo ? 255.0f / (hi - lo) : 0.0f;
  for (std::size_t i = 0; i < thumbs_.size(); ++i) {
    const Thumb& t = thumbs_[i];
    const std::int64_t left = kGap + static_cast<std::int64_t>(i) % columns * cell_width;
    const std::int64_t top = kGap + static_cast<std::int64_t>(i) / columns * cell_height;
    for (std::int64_t y = 0; y < t.height; ++y)
      for (std::int64_t x = 0; x < t.width; ++x)
        for (int k = 0; k < 3; ++k)
          canvas.set(left + x, top + y, k,
                     static_cast<std::uint8_t>(
                         (t.rgb[static_cast<std::size_t>((y * t.width + x) * 3 + k)] - lo) * scale +
                         0.5f));
    const auto letters = static_cast<std::size_t>((cell_width - kGap) / (kGlyphWidth + 1));
    canvas.write(left, top + t.height + 2, t.label.substr(0, letters));
  }
  return canvas.png();
}

}  // namespace intact
