// observe.h: the first pass: the float network runs on every sample while observers look on.
//
// One pass: a tensor is looked at by the thread that made it, before it leaves the cache. Samples
// run side by side, one a thread. Memory does not depend on their number: a histogram and a few
// numbers for each tensor and channel, and the arenas of the runs in flight.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "calib/placement.h"
#include "calib/rows.h"
#include "calib/samples.h"
#include "quant/observer.h"

namespace intact {

// What was seen of one tensor of the placement.
struct Observation {
  TensorStats stats;
  std::vector<float> channel_min;  // By input channel of the products that read it.
  std::vector<float> channel_max;
  std::uint64_t values_per_channel = 0;
  std::vector<double> channel_mean;  // Over some hundred positions of each sample.
  Shape shape;                       // In the first sample.
};

struct Observations {
  std::vector<Observation> tensors;              // As Placement::tensors.
  std::vector<TensorStats> operands;             // As Placement::operands; none of shares.
  std::map<std::int32_t, double> multiply_adds;  // By node index, of every product, sample 0.
  std::int64_t samples = 0;
  std::uint64_t data_hash = 0;     // Sum over samples of their hashes: any order.
  std::shared_ptr<RowStore> rows;  // When asked for.
};

struct ObserveOptions {
  int threads = 0;
  std::optional<double> moving_beta;
  bool channels = true;    // Keep channel extremes; false: of joined tensors only (parts.h).
  bool histograms = true;  // Without, minmax, average and moving follow from the stats.
  // The rows that are kept for fits, given the network's multiply-adds; null: none.
  std::function<RowPlan(double)> rows;
};

// Errors: kDataMismatch naming tensor and sample for NaN or infinity; kInvalidArgument when there
// are no samples; those of running the model.
Result<Observations> observe(const Graph& graph, const Placement& placement,
                             const TensorSource& source, const ObserveOptions& options,
                             const Progress& progress);

// Multiply-adds of every product of the graph for inputs of these shapes, by node index.
Result<std::map<std::int32_t, double>> count_multiply_adds(const Graph& graph,
                                                           std::span<const Tensor> inputs,
                                                           int threads);

}  // namespace intact
