#include <fmt/format.h>

#include "quant/calibration_file.h"
#include "quant/calibration_text.h"

namespace intact {
namespace {

using calibration_text::Line;

constexpr std::string_view kMagic = "intact-calibration";
constexpr std::uint64_t kVersion = 1;

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

// Yields the lines that carry content, with their numbers.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  bool next(std::string_view& line) {
    while (!rest_.empty()) {
      const std::size_t end = rest_.find('\n');
      line = rest_.substr(0, end);
      rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
      ++number_;
      const std::size_t first = line.find_first_not_of(" \t\r");
      if (first != std::string_view::npos && line[first] != '#') return true;
    }
    return false;
  }
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  std::string_view rest_;
  int number_ = 0;
};

Status parse_header(std::string_view key, Line& line, CalibrationFile& file) {
  if (key == "model") {
    file.model = line.word();
    return {};
  }
  if (key == "range") {
    INTACT_ASSIGN(file.method, parse_range_method(line.word()));
    return {};
  }
  if (key == "codes") {
    INTACT_ASSIGN(const std::int64_t lo, line.integer());
    INTACT_ASSIGN(const std::int64_t hi, line.integer());
    if (lo < -32768 || hi > 65535 || lo >= hi) {
      return bad(fmt::format("codes {} {} are not a range of at most 16 bits", lo, hi));
    }
    const std::string_view kind = line.word();
    if (kind != "symmetric" && kind != "asymmetric") {
      return bad("codes are symmetric or asymmetric");
    }
    file.target = {{static_cast<std::int32_t>(lo), static_cast<std::int32_t>(hi)},
                   kind == "symmetric"};
    return {};
  }
  return bad(fmt::format("'{}' is neither a known word nor a tensor name in double quotes", key));
}

Status parse_tensor(Line& line, CalibrationFile& file) {
  INTACT_ASSIGN(const std::string name, line.name());
  TensorCalibration t;
  t.method = line.word();
  if (t.method != "fixed") INTACT_TRY(parse_range_method(t.method));
  INTACT_ASSIGN(t.range.lo, line.real());
  INTACT_ASSIGN(t.range.hi, line.real());
  INTACT_ASSIGN(t.min, line.real());
  INTACT_ASSIGN(t.max, line.real());
  INTACT_ASSIGN(t.samples, line.natural());
  if (t.range.lo > 0.0f || t.range.hi < 0.0f) {
    return bad(fmt::format("the range [{}, {}] of '{}' does not contain 0; write lo <= 0 <= hi",
                           t.range.lo, t.range.hi, name));
  }
  if (!file.tensors.try_emplace(name, t).second) {
    return bad(fmt::format("tensor '{}' has two lines", name));
  }
  return {};
}

// One line; sets `histograms` and `ended` when the section changes.
Status parse_line(Line& line, std::string_view text, bool& histograms, bool& ended,
                  CalibrationFile& file) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (text[first] == '"') {
    if (!histograms) {
      INTACT_TRY(parse_tensor(line, file));
    } else {
      INTACT_ASSIGN(const std::string name, line.name());
      INTACT_ASSIGN(TensorStats stats, calibration_text::parse_stats(line));
      if (!file.stats.try_emplace(name, std::move(stats)).second) {
        return bad(fmt::format("tensor '{}' has two histograms", name));
      }
    }
  } else {
    const std::string_view key = line.word();
    if (key == "histograms" && !histograms) {
      histograms = true;
    } else if (key == "end" && histograms) {
      ended = true;
    } else if (histograms) {
      return bad(fmt::format("unexpected '{}' among the histograms", key));
    } else {
      INTACT_TRY(parse_header(key, line, file));
    }
  }
  if (!line.empty()) return bad(fmt::format("unexpected '{}' at the end", line.word()));
  return {};
}

}  // namespace

std::string to_text(const CalibrationFile& file) {
  std::string text = fmt::format("{} {}\n", kMagic, kVersion);
  if (!file.model.empty()) text += fmt::format("model {}\n", file.model);
  text += fmt::format("range {}\ncodes {} {} {}\n", to_string(file.method), file.target.codes.lo,
                      file.target.codes.hi, file.target.symmetric ? "symmetric" : "asymmetric");
  text +=
      "# Change lo and hi of a line and write \"fixed\" for its method to keep them in merges.\n"
      "# Delete a line and the tensor stays float.\n"
      "# name method lo hi min max samples\n";
  for (const auto& [name, t] : file.tensors) {
    text += fmt::format("{} {} {} {} {} {} {}\n", calibration_text::quoted(name), t.method,
                        t.range.lo, t.range.hi, t.min, t.max, t.samples);
  }
  text += "histograms\n# Written by calibrate, read by merge; not for editing.\n";
  for (const auto& [name, stats] : file.stats) {
    text += calibration_text::quoted(name) + ' ' + calibration_text::stats_text(stats) + '\n';
  }
  return text + "end\n";
}

Result<CalibrationFile> parse_calibration(std::string_view text) {
  Lines lines(text);
  std::string_view content;
  if (!lines.next(content)) return bad("the calibration file is empty");
  Line magic(content);
  if (magic.word() != kMagic) {
    return bad(
        fmt::format("not a calibration file: the first line is not '{} {}'", kMagic, kVersion));
  }
  const auto version = magic.natural();
  if (!version || *version != kVersion) {
    return bad(
        fmt::format("calibration file of another version; this intact reads version {}", kVersion));
  }
  CalibrationFile file;
  bool histograms = false;
  bool ended = false;
  while (lines.next(content)) {
    Line line(content);
    auto parsed = ended ? Status(bad("unexpected line after 'end'"))
                        : parse_line(line, content, histograms, ended, file);
    if (!parsed) {
      return fail(std::move(parsed).error().with_context(fmt::format("line {}", lines.number())));
    }
  }
  if (!ended) return bad("the calibration file is truncated: its last line is not 'end'");
  return file;
}

}  // namespace intact
