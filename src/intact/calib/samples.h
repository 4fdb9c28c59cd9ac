// samples.h: what calibration reads: samples as tensors in the order of the graph's inputs.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "intact/result.h"

namespace intact {

// A stream that starts again as often as needed and gives the same samples every time.
struct TensorSource {
  std::function<Status()> restart;
  std::function<Result<std::optional<std::vector<Tensor>>>()> next;  // Nothing: the end.
  std::optional<std::int64_t> size{};  // Where it is known; for progress.

  // The share that `done` samples are, or 0.
  [[nodiscard]] double part(std::int64_t done) const {
    return size && *size > 0 ? static_cast<double>(done) / static_cast<double>(*size) : 0;
  }
};

// How a long calculation reports and is stopped.
struct Progress {
  std::function<void(const std::string& stage, double done)> report;
  const std::atomic<bool>* cancel = nullptr;

  void operator()(const std::string& stage, double done) const {
    if (report) report(stage, done);
  }
  [[nodiscard]] Status check() const {
    if (cancel != nullptr && cancel->load(std::memory_order_relaxed))
      return fail(ErrorCode::kInterrupted, "interrupted");
    return {};
  }
};

}  // namespace intact
