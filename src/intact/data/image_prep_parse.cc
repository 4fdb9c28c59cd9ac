// The words of --images.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "data/image_prep.h"

namespace intact {
namespace {

constexpr int kMaxSide = 1 << 20;

using Words = std::vector<std::pair<std::string, std::string>>;

auto bad(const std::string& key, const std::string& value, std::string_view wanted) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("--images {}={}: expected {}", key, value, wanted));
}

Result<Words> split_words(const std::string& text) {
  Words words;
  std::istringstream in(text);
  for (std::string word; in >> word;) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == word.size())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("--images: '{}' is not KEY=VALUE (and no prep.json)", word));
    words.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return words;
}

// Numbers and lists become the text that the command line would hold.
std::string json_word(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "1" : "0";
  if (value.is_number()) return value.dump();
  if (!value.is_array()) return "";
  std::string out;
  for (const auto& item : value) {
    if (!out.empty()) out += '/';
    out += json_word(item);
  }
  return out;
}

Result<Words> read_json(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorCode::kIo, fmt::format("cannot open {}", path));
  const auto json = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{} is no JSON object such as {{\"resize\": 256, \"crop\": 224}}", path));
  Words words;
  for (const auto& [key, value] : json.items()) {
    words.emplace_back(key, json_word(value));
    if (words.back().second.empty())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{}: '{}' must be a string, a number, true, false or a list of "
                              "numbers",
                              path, key));
  }
  return words;
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == at)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

// Whatever the locale of the process.
bool read_number(const std::string& text, double& out) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && at == end && std::isfinite(out);
}

bool read_int(const std::string& text, int& out) {
  double value = 0;
  if (!read_number(text, value) || value < 1 || value > kMaxSide || value != std::floor(value))
    return false;
  out = static_cast<int>(value);
  return true;
}

// "N" or "WxH"; square says which.
bool read_size(const std::string& text, int& width, int& height, bool& square) {
  const auto parts = split(text, 'x');
  square = parts.size() == 1;
  if (parts.size() > 2 || !read_int(parts[0], width)) return false;
  if (square) {
    height = width;
    return true;
  }
  return read_int(parts[1], height);
}

bool read_channels(const std::string& text, std::array<double, 3>& out) {
  const auto parts = split(text, '/');
  if (parts.size() != 1 && parts.size() != 3) return false;
  for (std::size_t c = 0; c < 3; ++c)
    if (!read_number(parts[parts.size() == 1 ? 0 : c], out[c])) return false;
  return true;
}

bool read_fraction(const std::string& text, double& out) {
  const auto parts = split(text, '/');
  double below = 1;
  if (parts.size() > 2 || !read_number(parts[0], out)) return false;
  if (parts.size() == 2 && (!read_number(parts[1], below) || below == 0)) return false;
  out /= below;
  return out != 0;
}

bool read_switch(const std::string& text, bool& out) {
  out = text == "1" || text == "true" || text == "yes";
  return out || text == "0" || text == "false" || text == "no";
}

Status set_resize(ImagePrep& prep, const std::string& key, const std::string& value) {
  if (prep.resize != ResizeMode::kNone)
    return fail(ErrorCode::kInvalidArgument,
                "--images: only one of resize, letterbox and height can be given");
  bool square = false;
  if (key == "height") {
    if (!read_int(value, prep.height)) return bad(key, value, "a number of pixels");
    prep.resize = ResizeMode::kHeight;
    return {};
  }
  if (!read_size(value, prep.width, prep.height, square))
    return bad(key, value, "a number of pixels, or WIDTHxHEIGHT");
  prep.resize = key == "letterbox" ? ResizeMode::kLetterbox
                : square           ? ResizeMode::kShortest
                                   : ResizeMode::kStretch;
  return {};
}

Status set_word(ImagePrep& prep, const std::string& key, const std::string& value) {
  bool square = false;
  if (key == "resize" || key == "letterbox" || key == "height") return set_resize(prep, key, value);
  if (key == "max-width") {
    if (!read_int(value, prep.max_width)) return bad(key, value, "a number of pixels");
  } else if (key == "multiple") {
    if (!read_int(value, prep.multiple)) return bad(key, value, "a number of pixels");
  } else if (key == "crop") {
    if (!read_size(value, prep.crop_width, prep.crop_height, square))
      return bad(key, value, "a number of pixels, or WIDTHxHEIGHT");
  } else if (key == "pad-to") {
    if (!read_size(value, prep.pad_width, prep.pad_height, square))
      return bad(key, value, "a number of pixels, or WIDTHxHEIGHT");
  } else if (key == "filter") {
    if (value == "nearest")
      prep.filter = ResizeFilter::kNearest;
    else if (value == "bilinear")
      prep.filter = ResizeFilter::kBilinear;
    else if (value == "bicubic")
      prep.filter = ResizeFilter::kBicubic;
    else
      return bad(key, value, "nearest, bilinear or bicubic");
  } else if (key == "round") {
    if (value == "floor")
      prep.rounding = SideRounding::kFloor;
    else if (value == "nearest")
      prep.rounding = SideRounding::kNearest;
    else if (value == "ceil")
      prep.rounding = SideRounding::kCeil;
    else
      return bad(key, value, "floor, nearest or ceil");
  } else if (key == "color") {
    if (value == "rgb")
      prep.color = ColorOrder::kRgb;
    else if (value == "bgr")
      prep.color = ColorOrder::kBgr;
    else if (value == "gray" || value == "grey")
      prep.color = ColorOrder::kGray;
    else
      return bad(key, value, "rgb, bgr or gray");
  } else if (key == "layout") {
    prep.nhwc = value == "nhwc";
    if (value != "nchw" && value != "nhwc") return bad(key, value, "nchw or nhwc");
  } else if (key == "antialias") {
    if (!read_switch(value, prep.antialias)) return bad(key, value, "1 or 0");
  } else if (key == "center") {
    if (!read_switch(value, prep.center)) return bad(key, value, "1 or 0");
  } else if (key == "pad") {
    if (!read_channels(value, prep.pad)) return bad(key, value, "one number, or three as 1/2/3");
  } else if (key == "mean") {
    if (!read_channels(value, prep.mean)) return bad(key, value, "one number, or three as 1/2/3");
  } else if (key == "std") {
    if (!read_channels(value, prep.std) || prep.std[0] * prep.std[1] * prep.std[2] == 0)
      return bad(key, value, "one number, or three as 1/2/3, none of them 0");
  } else if (key == "scale") {
    if (!read_fraction(value, prep.scale)) return bad(key, value, "a number such as 1/255");
  } else if (key == "input") {
    prep.input = value;
  } else {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("--images has no key '{}'; its keys are resize, letterbox, height, "
                            "max-width, filter, antialias, round, crop, pad-to, multiple, pad, "
                            "center, scale, mean, std, color, layout, input",
                            key));
  }
  return {};
}

}  // namespace

Result<ImagePrep> parse_image_prep(const std::string& text) {
  const bool json = text.ends_with(".json") && text.find('=') == std::string::npos;
  INTACT_ASSIGN(const Words words, json ? read_json(text) : split_words(text));
  ImagePrep prep;
  std::set<std::string> seen;
  for (const auto& [key, value] : words) {
    if (!seen.insert(key).second)
      return fail(ErrorCode::kInvalidArgument, fmt::format("--images gives {} twice", key));
    INTACT_TRY(set_word(prep, key, value));
  }
  if (prep.max_width > 0 && prep.resize != ResizeMode::kHeight)
    return fail(ErrorCode::kInvalidArgument, "--images: max-width goes with height=N");
  return prep;
}

}  // namespace intact
