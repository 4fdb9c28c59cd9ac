// compare_layers.h: the figures of a comparison, layer by layer, over all samples.
//
// The float graph and the quantized graph run once a sample; then each layer's piece of the
// quantized graph runs on the float graph's own values, once as it is and once with exact inputs
// (activation codes taken away), so that the error of the weights stands alone. Memory: the paired
// values of one sample.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calib/samples.h"
#include "ir/graph.h"

namespace intact {

// Sums over all values: what SQNR is made of.
struct Energy {
  double signal = 0;
  double noise = 0;
  [[nodiscard]] double sqnr_db() const;  // 200 when there is no noise, -200 when it is NaN.
};

// One activation quantizer, on the float network's values.
struct QuantizerFigures {
  std::string input;
  Energy codes;
  double clipped_noise = 0;  // Of the values beyond the range.
  double clipped_values = 0;
  double values = 0;
  float peak = 0;                // Largest magnitude.
  float lo = 0, hi = 0;          // Extremes, 0 included.
  double steps = 255;            // Of its codes.
  std::vector<float> part_peak;  // Of the inputs of the Concat that makes it.
};

struct LayerFigures {
  std::string node;
  std::string op;
  std::string value;
  bool product = false;
  Energy local, cumulative, weights;
  std::vector<std::size_t> quantizers;  // Into Comparison::quantizers.
};

struct Comparison {
  std::int64_t samples = 0;
  std::vector<LayerFigures> layers;  // In execution order.
  std::vector<QuantizerFigures> quantizers;
  std::vector<std::pair<std::string, Energy>> outputs;
};

// The float graph as `quantize` sees it (folded, same opset), the quantized one as the file has it.
// Errors: kInvalidArgument when the graphs have no layer in common or there are no samples; those
// of running; kInterrupted.
Result<Comparison> compare_layers(const Graph& float_graph, const Graph& quantized,
                                  const TensorSource& samples, int threads,
                                  const Progress& progress);

}  // namespace intact
