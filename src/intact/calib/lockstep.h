// lockstep.h: every layer is fitted to the input that the quantized network really gives it.
//
// A few samples walk through the graph together, piece by piece. What the float network does there
// was kept while it was observed (rows.h). When they reach a product, its weights are fitted to the
// codes that it reads (fit.h); the integer engine computes on from them; and what it makes becomes
// codes, with the range and the channel gains that are best for the products that read them. Every
// fourth sample takes no part in statistics: it judges, and a choice that does not help there is
// not made.
//
// Codes wait in a temporary file, so that memory does not grow with samples or depth.
#pragma once

#include "calib/decisions.h"
#include "calib/samples.h"

namespace intact {

struct LockstepOptions {
  int threads = 0;
  RangeTarget target;
  WeightOptions weights;
  bool one_scale = false;  // As in decide_plainly; then there are no gains either.
  // By the range method, as Placement::tensors. Empty: the maps of `decisions` stay, the weights
  // alone are fitted.
  std::vector<Range> ranges;
  bool also_minmax = true;  // Minmax competes with the range method of `decisions`.
  bool gains = true;        // Per-channel gains are tried.
};

// How many samples and rows a fit uses of at most that many samples: more where they cost little.
RowPlan plan_rows(double multiply_adds, int effort, std::int64_t samples);

// Improves `decisions`, which come from decide_plainly. `seen` holds rows
// (ObserveOptions::rows) of the first samples of `source`. Errors: those of running the
// model; kIo when the temporary file cannot be written; kInterrupted.
Status fit_in_lockstep(const Graph& graph, const Placement& placement, const Observations& seen,
                       const TensorSource& source, const LockstepOptions& options,
                       const Progress& progress, Decisions& decisions);

}  // namespace intact
