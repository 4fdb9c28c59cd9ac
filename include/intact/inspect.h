// inspect.h: what is in a model, what of it would be quantized, and what it receives.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "intact/quantize.h"
#include "intact/result.h"
#include "intact/session.h"

namespace intact {

struct InspectOptions {
  std::string target = "any";
  std::vector<std::string> keep_float;
  // Of inputs whose sizes the model leaves open, by name: what follows from them is then known.
  std::map<std::string, std::vector<std::int64_t>> shapes;
};

struct Inspection {
  std::int64_t opset = 0;
  std::string producer;
  std::int64_t nodes = 0;
  std::int64_t parameters = 0;
  std::map<std::string, std::int64_t> constant_bytes;  // By type.
  std::map<std::string, std::int64_t> operators;       // How often each occurs.
  std::vector<ValueDescription> inputs, outputs;
  std::map<std::string, std::string> metadata;
  bool quantized = false;  // It holds QuantizeLinear or DequantizeLinear nodes.
  // Conv, ConvTranspose, Gemm and MatMul after folding; `integer`: it is, or would be. Figures that
  // only a run can give are 0; multiply-adds are known where all sizes are.
  std::vector<NodeReport> products;
  // Why a session would refuse the model, one sentence; empty when it opens. Then there are no
  // products.
  std::string problem;
};

// Errors: those of reading the file; kInvalidArgument (options; a shape that is not an input's).
Result<Inspection> inspect(const std::string& path, const InspectOptions& options = {});

// Of all values over all samples.
struct ValueFigures {
  double min = 0, mean = 0, max = 0, std = 0;
};

// What an input really receives.
struct InputData {
  std::string name;
  std::string dtype;
  std::vector<std::vector<std::int64_t>> shapes;  // Those that occur, at most 8.
  ValueFigures all;
  std::vector<ValueFigures> channels;  // Of pictures: 1, 3 or 4 channels, first or last.
};

struct DataInspection {
  std::int64_t samples = 0;
  std::vector<InputData> inputs;
};

struct InspectDataOptions {
  std::int64_t max_samples = 0;  // 0: all.
  std::string contact_sheet;     // Write the first pictures to this PNG, labels underneath.
  const std::atomic<bool>* cancel = nullptr;
};

// Errors: kInvalidArgument (no samples; a contact sheet of a model without pictures); kIo;
// kDataMismatch for a sample that does not fit; kInterrupted.
Result<DataInspection> inspect_data(const Session& session, const SampleSource& samples,
                                    const InspectDataOptions& options = {});

}  // namespace intact
