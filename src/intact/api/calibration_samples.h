// calibration_samples.h: the samples of a quantization: those that calibrate, those that judge.
//
// Every fifth sample is held back where a verdict is wanted and there are enough.
#pragma once

#include <cstdint>
#include <optional>

#include "api/sample_reader.h"
#include "calib/samples.h"
#include "intact/quantize.h"

namespace intact {

inline constexpr std::int64_t kHoldBackEvery = 5;  // Sample 4, 9, 14, ... judges.

// Samples as the graph takes them; checks names, types and ranks. Keeps the source.
class CalibrationSamples {
 public:
  // limit: how many of the source's count; 0 is all.
  CalibrationSamples(const Graph& graph, const SampleSource& source, std::int64_t limit);

  [[nodiscard]] bool given() const { return static_cast<bool>(source_.next); }

  // All samples, or those that calibrate, or those that are held back. One at a time may be read.
  enum class Part { kAll, kCalibrate, kHeldBack };
  TensorSource part(Part part);

  // Returns the number of samples, or `enough` when there are more.
  Result<std::int64_t> count(std::int64_t enough, const Progress& progress);

 private:
  const SampleSource& source_;
  std::int64_t limit_;
  std::optional<std::int64_t> size_;
  std::int64_t index_ = 0;
  SampleReader reader_;
};

}  // namespace intact
