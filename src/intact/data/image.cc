#include "data/image.h"

#include <fmt/format.h>
#include <jerror.h>
#include <jpeglib.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE.
#include <cstring>
#include <fstream>
#include <limits>

namespace intact {
namespace {

auto bad(std::string message) { return fail(ErrorCode::kInvalidArgument, std::move(message)); }

Status check_size(std::uint64_t width, std::uint64_t height) {
  if (width == 0 || height == 0 || width * height > static_cast<std::uint64_t>(kMaxPixels))
    return bad(fmt::format("the picture claims {}x{} pixels; the limit is 2^28", width, height));
  return {};
}

// A decoder's complaint. libjpeg and libpng leave by longjmp, so that the functions that call them
// hold nothing with a destructor: pictures and messages live in this struct, outside of them.
struct Decoded {
  Image image;
  std::array<char, JMSG_LENGTH_MAX> message{};
  bool too_large = false;
};

// --- JPEG ---

struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf leave;
  char* message;
};

[[noreturn]] void jpeg_leave(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  errors->base.format_message(info, errors->message);
  std::longjmp(errors->leave, 1);
}

// libjpeg fills what is missing with gray; a picture that is cut short is corrupt instead.
void jpeg_note(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) jpeg_leave(info);
}

// Pillow's conversion: each colour is scaled by what black leaves.
void cmyk_to_rgb(const std::uint8_t* in, std::uint8_t* out, int width, bool inverted) {
  for (int x = 0; x < width; ++x, in += 4, out += 3) {
    std::array<int, 4> v{};
    for (std::size_t c = 0; c < 4; ++c) v[c] = inverted ? 255 - in[c] : in[c];
    const int left = 255 - v[3];
    for (std::size_t c = 0; c < 3; ++c) {
      const int t = v[c] * left + 128;
      out[c] = static_cast<std::uint8_t>(std::clamp(left - (((t >> 8) + t) >> 8), 0, 255));
    }
  }
}

bool decode_jpeg(std::span<const std::byte> file, bool header_only, Decoded& out) {
  jpeg_decompress_struct info{};
  JpegErrors errors{};
  info.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = &jpeg_leave;
  errors.base.emit_message = &jpeg_note;
  errors.message = out.message.data();
  std::uint8_t* row = nullptr;  // Only for CMYK; freed by libjpeg's pool.
  if (setjmp(errors.leave) != 0) {
    jpeg_destroy_decompress(&info);
    return false;
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(file.data()),
               static_cast<unsigned long>(file.size()));
  jpeg_read_header(&info, TRUE);
  Image& image = out.image;
  image.width = static_cast<int>(info.image_width);
  image.height = static_cast<int>(info.image_height);
  out.too_large = !check_size(info.image_width, info.image_height);
  if (header_only || out.too_large) {
    jpeg_destroy_decompress(&info);
    return true;
  }
  const bool cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  const bool gray = info.jpeg_color_space == JCS_GRAYSCALE;
  info.out_color_space = cmyk ? JCS_CMYK : gray ? JCS_GRAYSCALE : JCS_RGB;
  info.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&info);
  image.channels = gray ? 1 : 3;
  const std::size_t stride =
      static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
  image.pixels.resize(stride * static_cast<std::size_t>(image.height));
  if (cmyk)
    row = static_cast<std::uint8_t*>(
        info.mem->alloc_large(reinterpret_cast<j_common_ptr>(&info), JPOOL_IMAGE,
                              static_cast<std::size_t>(image.width) * 4));
  while (info.output_scanline < info.output_height) {
    std::uint8_t* pixels = image.pixels.data() + stride * info.output_scanline;
    std::uint8_t* target = cmyk ? row : pixels;
    jpeg_read_scanlines(&info, &target, 1);
    if (cmyk) cmyk_to_rgb(row, pixels, image.width, info.saw_Adobe_marker != 0);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return true;
}

// --- PNG ---

struct PngInput {
  std::span<const std::byte> file;
  std::size_t at;
  char* message;
};

void png_leave(png_structp png, png_const_charp message) {
  auto* input = static_cast<PngInput*>(png_get_error_ptr(png));
  std::snprintf(input->message, JMSG_LENGTH_MAX, "%s", message);
  png_longjmp(png, 1);
}

void png_ignore(png_structp /*png*/, png_const_charp /*message*/) {}

void png_read_bytes(png_structp png, png_bytep out, std::size_t count) {
  auto* input = static_cast<PngInput*>(png_get_io_ptr(png));
  if (count > input->file.size() - input->at) png_error(png, "the file is cut short");
  std::memcpy(out, input->file.data() + input->at, count);
  input->at += count;
}

bool decode_png(std::span<const std::byte> file, bool header_only, Decoded& out,
                std::vector<std::uint8_t*>& rows) {
  PngInput input{file, 0, out.message.data()};
  png_infop info = nullptr;
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &input, &png_leave, &png_ignore);
  if (png == nullptr) return false;
  if (setjmp(png_jmpbuf(png)) != 0) {
    png_destroy_read_struct(&png, &info, nullptr);
    return false;
  }
  info = png_create_info_struct(png);
  if (info == nullptr) png_error(png, "out of memory");
  png_set_user_limits(png, 0x7FFFFFFF, 0x7FFFFFFF);  // check_size is stricter.
  png_set_read_fn(png, &input, &png_read_bytes);
  png_read_info(png, info);
  Image& image = out.image;
  image.width = static_cast<int>(png_get_image_width(png, info));
  image.height = static_cast<int>(png_get_image_height(png, info));
  out.too_large = !check_size(png_get_image_width(png, info), png_get_image_height(png, info));
  if (header_only || out.too_large) {
    png_destroy_read_struct(&png, &info, nullptr);
    return true;
  }
  const int type = png_get_color_type(png, info);
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  image.channels = (type & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1;
  const std::size_t stride =
      static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
  if (png_get_rowbytes(png, info) != stride) png_error(png, "an unknown layout of pixels");
  image.pixels.resize(stride * static_cast<std::size_t>(image.height));
  rows.resize(static_cast<std::size_t>(image.height));
  for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = image.pixels.data() + y * stride;
  png_read_image(png, rows.data());
  png_read_end(png, nullptr);
  png_destroy_read_struct(&png, &info, nullptr);
  return true;
}

// --- both ---

void to_gray(Image& image) {
  if (image.channels == 1) return;
  std::vector<std::uint8_t> gray(image.pixels.size() / 3);
  for (std::size_t i = 0; i < gray.size(); ++i) {
    const std::uint8_t* p = &image.pixels[3 * i];
    gray[i] = static_cast<std::uint8_t>((p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 32768) >> 16);
  }
  image.pixels = std::move(gray);
  image.channels = 1;
}

void to_rgb(Image& image) {
  if (image.channels == 3) return;
  std::vector<std::uint8_t> rgb(image.pixels.size() * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = image.pixels[i / 3];
  image.pixels = std::move(rgb);
  image.channels = 3;
}

Result<Image> decode(std::span<const std::byte> file, bool header_only) {
  constexpr std::array<unsigned char, 8> kPng{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  constexpr std::array<unsigned char, 3> kJpeg{0xFF, 0xD8, 0xFF};
  const auto starts_with = [&](auto magic) {
    return file.size() >= magic.size() && std::memcmp(file.data(), magic.data(), magic.size()) == 0;
  };
  Decoded out;
  std::vector<std::uint8_t*> rows;
  bool whole = false;
  if (starts_with(kJpeg))
    whole = decode_jpeg(file, header_only, out);
  else if (starts_with(kPng))
    whole = decode_png(file, header_only, out, rows);
  else
    return bad("this is neither a JPEG nor a PNG picture");
  if (!whole) return bad(fmt::format("the picture is corrupt: {}", out.message.data()));
  if (out.too_large)
    return fail(check_size(static_cast<std::uint64_t>(out.image.width),
                           static_cast<std::uint64_t>(out.image.height))
                    .error());
  return std::move(out.image);
}

// Reads the file, or its first `limit` bytes.
Result<std::vector<std::byte>> read_file(
    const std::string& path, std::streamoff limit = std::numeric_limits<std::streamoff>::max()) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = in ? std::min(static_cast<std::streamoff>(in.tellg()), limit) : -1;
  if (size < 0)
    return fail(ErrorCode::kIo, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  in.seekg(0);
  if (!in.read(reinterpret_cast<char*>(bytes.data()), size))
    return fail(ErrorCode::kIo, fmt::format("cannot read {}", path));
  return bytes;
}

}  // namespace

Result<Image> decode_image(std::span<const std::byte> file, bool gray) {
  INTACT_ASSIGN(Image image, decode(file, /*header_only=*/false));
  gray ? to_gray(image) : to_rgb(image);
  return image;
}

Result<Image> load_image(const std::string& path, bool gray) {
  INTACT_ASSIGN(const std::vector<std::byte> file, read_file(path));
  auto image = decode_image(file, gray);
  if (!image) return fail(image.error().with_context(path));
  return image;
}

Result<ImageSize> image_size(const std::string& path) {
  // Most headers are short; one behind a large EXIF block needs the whole file.
  constexpr std::streamoff kHead = 65536;
  INTACT_ASSIGN(std::vector<std::byte> file, read_file(path, kHead));
  auto image = decode(file, /*header_only=*/true);
  if (!image && file.size() == kHead) {
    INTACT_ASSIGN(file, read_file(path));
    image = decode(file, /*header_only=*/true);
  }
  if (!image) return fail(image.error().with_context(path));
  return ImageSize{image->width, image->height};
}

void swap_red_blue(Image& image) noexcept {
  if (image.channels != 3) return;
  for (std::size_t i = 0; i + 2 < image.pixels.size(); i += 3)
    std::swap(image.pixels[i], image.pixels[i + 2]);
}

}  // namespace intact
