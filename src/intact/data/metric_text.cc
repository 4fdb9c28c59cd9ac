// wer, cer: edits (insertions, deletions, substitutions) per word or character of the target.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "data/metric_parts.h"

namespace intact {
namespace {

// Levenshtein's distance, one row of the table at a time.
template <class T>
std::int64_t edit_distance(const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<std::int64_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::int64_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::int64_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::int64_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

std::vector<std::string> split_text(const std::string& text, bool by_word) {
  std::vector<std::string> parts;
  bool open = false;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    const bool continues = (static_cast<unsigned char>(c) & 0xC0) == 0x80;  // Of a UTF-8 character.
    if (by_word && space) {
      open = false;
      continue;
    }
    if (by_word ? !open : !continues || parts.empty()) parts.emplace_back();
    parts.back() += c;
    open = true;
  }
  return parts;
}

class ErrorRate final : public RatioMetric {
 public:
  ErrorRate(MetricInfo info, MetricOptions options, bool by_word)
      : RatioMetric(std::move(info)), options_(std::move(options)), by_word_(by_word) {}

  Status add(const Observation& s) override {
    INTACT_ASSIGN(const Tensor* output, pick_output(s.outputs, options_.output, info_.name));
    INTACT_ASSIGN(const auto codes, text_codes(*output, options_.axis, info_.name));
    if (options_.charset.empty()) {  // Tokens against tokens.
      INTACT_ASSIGN(const auto tokens, pick_labels(s.target, options_.target, info_.name));
      record(static_cast<double>(edit_distance(codes, tokens)), static_cast<double>(tokens.size()));
      return {};
    }
    if (s.target == nullptr || !s.target->text)
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("metric {}: the sample has no text; give a labels.csv of 'file,text'",
                              info_.name));
    INTACT_ASSIGN(const std::string text, text_of(codes, options_.charset, info_.name));
    const auto want = split_text(*s.target->text, by_word_);
    record(static_cast<double>(edit_distance(split_text(text, by_word_), want)),
           static_cast<double>(want.size()));
    return {};
  }

 private:
  MetricOptions options_;
  bool by_word_;
};

}  // namespace

std::unique_ptr<Metric> make_text_metric(const std::string& name, MetricInfo info,
                                         const MetricOptions& options) {
  if (name == "wer" || name == "cer")
    return std::make_unique<ErrorRate>(std::move(info), options, name == "wer");
  return nullptr;
}

}  // namespace intact
