// compare.h: where a quantized model loses what, layer by layer.
//
// A layer is a value that both models compute under one name and whose way from the values before
// it, in the quantized model, passes through a quantization. Its local SQNR is what it loses by
// itself: it is fed with the float model's own values. Its cumulative SQNR is what has been lost up
// to there when the quantized model runs. SQNR = 10 log10(sum y^2 / sum (y - y^)^2) over all
// samples; 200 dB when nothing differs.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "intact/quantize.h"
#include "intact/result.h"

namespace intact {

struct CompareOptions {
  int threads = 0;               // 0: as SessionOptions.
  std::int64_t max_samples = 0;  // 0: all.
  std::function<void(const std::string& stage, double done)> progress;
  const std::atomic<bool>* cancel = nullptr;
};

// One quantized activation that a layer reads.
struct InputFigures {
  std::string name;
  double sqnr_db = 0;         // Of its codes.
  double effective_bits = 0;  // (sqnr_db - 1.76) / 6.02: those of an ideal converter.
  double clipped_error = 0;   // Share of its squared error that values beyond the range carry.
  double clipped_values = 0;  // Share of its values that are beyond the range.
  double peak_to_rms = 0;
  double range_error = 0;  // Squared error that a range of all values would make, over the present.
  double parts_ratio = 0;  // Of a Concat: its widest part over its narrowest; 0: no Concat.
};

struct LayerComparison {
  std::string node;  // As quantize knows it: --keep-float takes this name.
  std::string op;
  std::string value;  // The output that is compared.
  double local_sqnr_db = 0;
  double cumulative_sqnr_db = 0;
  double weight_sqnr_db = 0;  // Local, with exact inputs: what the weights alone lose.
  std::vector<InputFigures> inputs;
  std::string cause;  // Empty: nothing to explain.
  std::string fix;    // Flags of `intact quantize` to try; empty when the figures suggest none.
};

struct OutputComparison {
  std::string name;
  double sqnr_db = 0;
};

struct CompareResult {
  std::int64_t samples = 0;
  std::vector<LayerComparison> layers;  // Worst local SQNR first.
  std::vector<OutputComparison> outputs;
};

// Errors: those of opening either model; kInvalidArgument when there are no samples or the models
// do not belong together; kDataMismatch for a sample that does not fit; kInterrupted.
Result<CompareResult> compare(const std::string& float_path, const std::string& quantized_path,
                              const SampleSource& samples, const CompareOptions& options = {});

}  // namespace intact
