#include "api/calibration_samples.h"

#include <fmt/format.h>

#include <algorithm>

namespace intact {

CalibrationSamples::CalibrationSamples(const Graph& graph, const SampleSource& source,
                                       std::int64_t limit)
    : source_(source), limit_(limit), size_(source.size), reader_(graph) {
  if (size_ && limit_ > 0) size_ = std::min(*size_, limit_);
}

TensorSource CalibrationSamples::part(Part part) {
  TensorSource s;
  s.restart = [this]() -> Status {
    index_ = 0;
    if (!source_.restart) return fail(ErrorCode::kInvalidArgument, "there are no samples");
    return source_.restart();
  };
  s.next = [this, part]() -> Result<std::optional<std::vector<Tensor>>> {
    for (;;) {
      if (limit_ > 0 && index_ >= limit_) return std::nullopt;
      INTACT_ASSIGN(auto sample, source_.next());
      if (!sample) return std::nullopt;
      const bool held = index_ % kHoldBackEvery == kHoldBackEvery - 1;
      const std::int64_t i = index_++;
      if (part == Part::kCalibrate ? held : part == Part::kHeldBack && !held) continue;
      auto tensors = reader_.read(*sample);
      if (!tensors) return fail(tensors.error().with_context(fmt::format("sample {}", i)));
      return std::move(*tensors);
    }
  };
  if (size_) {
    const std::int64_t held = *size_ / kHoldBackEvery;
    s.size = part == Part::kAll ? *size_ : part == Part::kHeldBack ? held : *size_ - held;
  }
  return s;
}

Result<std::int64_t> CalibrationSamples::count(std::int64_t enough, const Progress& progress) {
  TensorSource all = part(Part::kAll);
  INTACT_TRY(all.restart());
  for (std::int64_t n = 0;; ++n) {
    INTACT_TRY(progress.check());
    if (n == enough) return n;
    INTACT_ASSIGN(const auto sample, all.next());
    if (sample) continue;
    size_ = n;
    return n;
  }
}

}  // namespace intact
