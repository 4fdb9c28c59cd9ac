#include <fmt/format.h>

#include <algorithm>

#include "quant/calibration_file.h"

namespace intact {

Status CalibrationFile::set(const std::string& name, const TensorStats& tensor) {
  auto chosen = choose_range(tensor, method, target);
  if (!chosen) {
    return fail(std::move(chosen).error().with_context(fmt::format("tensor '{}'", name)));
  }
  tensors[name] = {to_string(method), *chosen, tensor.min, tensor.max, tensor.samples};
  stats[name] = tensor;
  return {};
}

namespace {

std::string describe(const RangeTarget& target) {
  return fmt::format("{} to {} {}", target.codes.lo, target.codes.hi,
                     target.symmetric ? "symmetric" : "asymmetric");
}

// Merges the line of one tensor that both files quantize.
Status merge_line(const std::string& name, const CalibrationFile& a, const CalibrationFile& b,
                  CalibrationFile& merged) {
  const TensorCalibration& x = a.tensors.at(name);
  const TensorCalibration& y = b.tensors.at(name);
  const auto stats = merged.stats.find(name);
  if (x.method == "fixed" || y.method == "fixed") {
    if (x.method == y.method && x.range != y.range) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("tensor '{}' is fixed to [{}, {}] in one file and to [{}, {}] in the "
                      "other; make the lines equal",
                      name, static_cast<double>(x.range.lo), static_cast<double>(x.range.hi),
                      static_cast<double>(y.range.lo), static_cast<double>(y.range.hi)));
    }
    TensorCalibration line = x.method == "fixed" ? x : y;
    line.min = std::min(x.min, y.min);
    line.max = std::max(x.max, y.max);
    line.samples = x.samples + y.samples;
    merged.tensors[name] = line;
    return {};
  }
  if (x.method != y.method) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("tensor '{}' was calibrated with {} in one file and with {} in the "
                            "other; use one --range for both",
                            name, x.method, y.method));
  }
  if (stats == merged.stats.end()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("tensor '{}' has no histogram line in either file; merging needs what "
                            "calibrate wrote",
                            name));
  }
  INTACT_ASSIGN(const RangeMethod method, parse_range_method(x.method));
  INTACT_ASSIGN(const Range range, choose_range(stats->second, method, merged.target));
  merged.tensors[name] = {x.method, range, stats->second.min, stats->second.max,
                          stats->second.samples};
  return {};
}

}  // namespace

Result<CalibrationFile> merge_calibrations(const CalibrationFile& a, const CalibrationFile& b) {
  if (a.model != b.model) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the files were calibrated on different models ('{}' and '{}')",
                            a.model, b.model));
  }
  if (a.target.codes != b.target.codes || a.target.symmetric != b.target.symmetric) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the files were calibrated for different codes ({} and {})",
                            describe(a.target), describe(b.target)));
  }
  if (a.method != b.method) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the files were calibrated with different ranges ({} and {}); use one "
                            "--range for both",
                            to_string(a.method), to_string(b.method)));
  }
  CalibrationFile merged{a.model, a.method, a.target, {}, a.stats};
  for (const auto& [name, stats] : b.stats) {
    const auto [it, fresh] = merged.stats.try_emplace(name, stats);
    if (fresh) continue;
    auto done = it->second.merge(stats);
    if (!done) return fail(std::move(done).error().with_context(fmt::format("tensor '{}'", name)));
  }
  // A line that one file lacks: deleted there if that file has the stats, never seen there if not.
  const auto take = [&](const CalibrationFile& one, const CalibrationFile& other) -> Status {
    for (const auto& [name, line] : one.tensors) {
      if (other.tensors.contains(name)) {
        if (&one == &a) INTACT_TRY(merge_line(name, a, b, merged));
      } else if (!other.stats.contains(name)) {
        merged.tensors[name] = line;
      }
    }
    return {};
  };
  INTACT_TRY(take(a, b));
  INTACT_TRY(take(b, a));
  return merged;
}

}  // namespace intact
