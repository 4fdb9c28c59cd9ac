// calibration_file.h: ranges as editable text, with what they came from.
//
//   intact-calibration 1
//   model 3f2a...                     hash of the float model; merge refuses different ones
//   range mse                         what lo and hi were computed with
//   codes 0 255 asymmetric            and for which codes
//   # name method lo hi min max samples
//   "conv1/out" mse 0 5.25 0 6.125 200
//   ...
//   histograms                        one line a tensor; leave these alone
//   "conv1/out" e=-8 zeros=12 sum_min=... sum_max=... bins=1024:3,7,0x5,1
//   end
//
// A person may change lo and hi of a line (then write "fixed" as its method, so that a merge keeps
// them) and may delete lines: a tensor without a line stays float. Lines that start with # are
// comments. The same content gives the same bytes: names are sorted, numbers are the shortest text
// that reads back to the same float.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "intact/result.h"
#include "quant/range.h"

namespace intact {

struct TensorCalibration {
  std::string method;  // A RangeMethod's text, or "fixed".
  Range range;
  float min = 0.0f;  // Of all values seen.
  float max = 0.0f;
  std::uint64_t samples = 0;
  friend bool operator==(const TensorCalibration&, const TensorCalibration&) = default;
};

struct CalibrationFile {
  std::string model;   // Hash of the float model, any word without spaces; may be empty.
  RangeMethod method;  // For tensors that are added or merged.
  RangeTarget target;
  std::map<std::string, TensorCalibration> tensors;  // What gets quantized.
  std::map<std::string, TensorStats> stats;  // May hold more: a deleted line leaves its stats.

  // Adds or replaces a tensor: range by `method`, everything else from the stats.
  // Errors: those of choose_range, naming the tensor.
  Status set(const std::string& name, const TensorStats& stats);
};

// Returns the file's text, which ends with "end".
std::string to_text(const CalibrationFile& file);

// Reads it back. Errors: kInvalidArgument, naming the line: another format or version, a truncated
// file, a malformed number or name, lo > 0, hi < 0, a range that is not finite, a tensor twice.
Result<CalibrationFile> parse_calibration(std::string_view text);

// File versions; writing is atomic: the path holds the whole new text or what it held before.
// Errors: kIo, naming the path and the reason; those of parse_calibration.
Result<CalibrationFile> read_calibration(const std::string& path);
Status write_calibration(const std::string& path, const CalibrationFile& file);

// Returns the calibration that all samples of a and b together would have given: exact for every
// method, whatever the order. "fixed" lines stay; both files must then hold the same numbers. A
// tensor whose line was deleted from either file stays deleted; one that only one file has ever
// seen is taken over. Errors: kInvalidArgument when models, methods or codes differ, or for moving
// averages, which depend on the order of samples.
Result<CalibrationFile> merge_calibrations(const CalibrationFile& a, const CalibrationFile& b);

}  // namespace intact
