// judge.h: the verdict: how far the quantized model's outputs are from the float model's.
//
//   SQNR = 10 log10(sum y^2 / sum (y - y^)^2) over all samples, the worst output (23) agreement:
//   the share of samples whose arg-max is the same, where the last axis of a rank-2 output counts
//   classes; with its 95 % interval (Wilson's score)
//
//   INTACT    SQNR >= 20 dB, or >= 10 dB with agreement >= 98 %
//   BROKEN    SQNR < 10 dB, and agreement < 90 % where there is one
//   DEGRADED  everything between
#pragma once

#include "calib/samples.h"
#include "ir/graph.h"

namespace intact {

struct Judgement {
  std::int64_t samples = 0;
  double sqnr_db = 0;  // 200 when nothing differs.
  std::optional<double> agreement;
  double agreement_low = 0;
  double agreement_high = 0;
  bool intact = false;
  bool broken = false;
};

// Runs both models on every sample. Errors: those of running them; kInterrupted.
Result<Judgement> judge(const Graph& float_model, Graph quantized, const TensorSource& samples,
                        int threads, const Progress& progress);

}  // namespace intact
