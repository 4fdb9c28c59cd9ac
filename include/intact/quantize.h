// quantize.h: a float ONNX model and samples in, an exact INT8 ONNX model out (static PTQ).
//
// What the result means, node by node: docs/maths/numerics.md. Same model, data and options: same
// bytes, for any number of threads. Nothing is printed; failures are values.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "intact/result.h"
#include "intact/session.h"

namespace intact {

// One sample: a tensor for each input of the model, by name.
using SampleInputs = std::map<std::string, OwnedTensor>;

// Samples, one at a time, as often as asked: quantize reads them more than once.
struct SampleSource {
  std::function<Status()> restart;                            // Back to sample 0.
  std::function<Result<std::optional<SampleInputs>>()> next;  // Nothing: the end.
  std::optional<std::int64_t> size{};                         // Where it is known; for progress.
  std::vector<std::string> notes{};  // What a user should know of the data.
};

struct QuantizeOptions {
  std::string target = "any";  // "any" or "tensorrt" (docs/guides/targets.md).
  // mse, minmax, average, moving=B, percentile=P, kl. Empty: the better of mse and minmax for each
  // tensor, judged on samples that did not decide it; mse at effort 0.
  std::string range;
  std::string weight_range = "minmax";  // Or mse.
  // short: of few bits, so that engines that compute the file in float get the same codes as those
  // that compute in integers (docs/decisions/0005-short-scales.md). any: what the ranges give, up
  // to 1 dB better.
  std::string scales = "short";
  int effort = 1;                         // 0: ranges only; 1: fit every layer; 2: on more samples.
  int threads = 0;                        // 0: as SessionOptions.
  std::vector<std::string> keep_float;    // Node names or operators, with * and ?.
  std::vector<std::string> require_int8;  // Nodes that must not stay float: an error otherwise.
  // Inputs that become image bytes, by name: "uint8", then ",nhwc" where the bytes are [N,H,W,C]
  // and the model's input is [N,C,H,W], and ",scale=1/255", ",mean=0.485/0.456/0.406", ",std=..."
  // where the float samples are (byte * scale - mean) / std. Samples may hold either form. The
  // numbers become part of the first layer; docs/guides/images.md.
  std::map<std::string, std::string> input_types;
  // Outputs that become codes, by name: "uint8". The notes and the file's metadata say what a code
  // stands for; docs/guides/images.md.
  std::map<std::string, std::string> output_types;
  std::string calibration;  // A file of ranges (quant/calibration_file.h): these are not measured.
  std::int64_t max_samples = 0;  // 0: all.
  bool verdict = true;           // Hold back every fifth sample and judge the result on them.
  std::function<void(const std::string& stage, double done)> progress;  // done in [0, 1].
  const std::atomic<bool>* cancel = nullptr;
};

// What became of one Conv, ConvTranspose, Gemm or MatMul.
struct NodeReport {
  std::string name;
  std::string op;
  double multiply_adds = 0;  // Of one calibration sample (the first).
  bool integer = false;
  std::string reason;  // Why it stayed float; empty when integer.
  std::string fit;     // How its weights were rounded: "w/rne", "w/feedback", "refit/feedback"...
  double local_sqnr_db = 0;  // Its output on samples that did not decide it; 0 when not measured.
};

enum class Verdict { kIntact, kDegraded, kBroken, kUnknown };

struct QuantizeResult {
  std::string model;  // The bytes of the file.
  std::vector<NodeReport> nodes;
  double integer_share = 0;  // Of the multiply-adds, in [0, 1].
  std::size_t float_bytes = 0;
  std::size_t quantized_bytes = 0;
  std::int64_t calibration_samples = 0;
  std::int64_t held_back_samples = 0;  // 0: the verdict comes from calibration samples.

  Verdict verdict = Verdict::kUnknown;  // docs/guides/targets.md has the thresholds.
  double sqnr_db = 0;                   // The worst output, over all judging samples.
  double sqnr_low_db = 0;               // 95 % interval (bootstrap over samples).
  double sqnr_high_db = 0;
  // The samples with most of that output's noise, by number from 0, and their shares of it.
  std::vector<std::pair<std::int64_t, double>> noisiest_samples;
  std::optional<double> agreement;  // Share of equal arg-max, for outputs that have classes.
  double agreement_low = 0;         // 95 % interval (Wilson).
  double agreement_high = 0;
  std::vector<std::string> worst_nodes;  // Candidates for keep_float, worst first.
  std::vector<std::string> notes;        // What a user should know.
  std::string fingerprint;
};

std::string to_string(Verdict verdict);

// Quantizes the model in memory (external data from `folder`) or in a file.
// Errors: kInvalidModel, kUnsupported (the model); kInvalidArgument (options; no samples, and no
// calibration file); kDataMismatch (a sample that does not fit, NaN or infinity, naming it);
// kInterrupted.
Result<QuantizeResult> quantize(std::span<const std::byte> model, const std::string& folder,
                                const SampleSource& samples, const QuantizeOptions& options = {});
Result<QuantizeResult> quantize(const std::string& path, const SampleSource& samples,
                                const QuantizeOptions& options = {});

// Returns a type of QuantizeOptions::input_types with what the words of --images do to a byte
// behind it (",scale=...,mean=...,std=..."), where it says nothing of that itself. Errors:
// kInvalidArgument, kIo (words that are not readable).
Result<std::string> input_type_of(const std::string& type, const std::string& images);

// Returns the text of the calibration file that the samples give: ranges by options.range.
Result<std::string> calibrate(const std::string& path, const SampleSource& samples,
                              const QuantizeOptions& options = {});

// Returns the text that calibrate() would have given for all the samples of two such texts.
Result<std::string> merge(const std::string& a, const std::string& b);

// Whether a quantized model computes what it computed where it was made.
struct VerifyResult {
  bool same = false;
  std::string expected;  // Fingerprint in the file; empty when it has none.
  std::string actual;
  std::string first_node;  // The first node that differs; empty when `same`.
};
Result<VerifyResult> verify(const std::string& path, const SessionOptions& options = {},
                            const std::atomic<bool>* cancel = nullptr);

}  // namespace intact
