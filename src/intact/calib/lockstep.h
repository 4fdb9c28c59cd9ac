// lockstep.h: every layer is fitted to the input that the quantized network really gives it.
//
// A few samples walk the graph side by side in two environments, float and quantized. When they
// reach a tensor that becomes codes, its range and its channel gains are chosen; when they reach a
// product, its weights are fitted (fit.h); then both environments compute on. Every fourth sample
// takes no part in statistics: it judges, and a choice that does not help there is not made.
//
// Tensors wait in an unlinked temporary file, so that memory does not grow with samples or depth.
#pragma once

#include "calib/decisions.h"
#include "calib/samples.h"

namespace intact {

struct LockstepOptions {
  int threads = 0;
  std::int64_t samples = 32;
  RangeTarget target;
  WeightOptions weights;
  bool one_scale = false;     // As in decide_plainly; then there are no gains either.
  bool choose_ranges = true;  // False: keep the ranges of `decisions`, fit the weights only.
  bool also_minmax = true;    // Minmax competes with the range method of `decisions`.
  bool gains = true;          // Per-channel gains are tried.
};

// Improves `decisions`, which come from decide_plainly. Errors: those of running the model; kIo
// when the temporary file cannot be written; kInterrupted.
Status fit_in_lockstep(const Graph& graph, const Placement& placement, const Observations& seen,
                       const TensorSource& source, const LockstepOptions& options,
                       const Progress& progress, Decisions& decisions);

}  // namespace intact
