// judge.h: the verdict: how far the quantized model's outputs are from the float model's.
//
//   SQNR = 10 log10(sum y^2 / sum (y - y^)^2) over all samples, the worst output (23)
//   agreement: the share of rows whose arg-max is the same, where the last axis counts classes: in
//   outputs of rank 2, and of any rank behind a Softmax; with its 95 % interval (Wilson's score)
//
// The samples are a draw of those to come, and a few may carry most of the signal or of the noise.
// So (23) comes with a 95 % interval, of 2000 seeded draws with replacement (bootstrap), and its
// lower end decides:
//
//   INTACT    lower end >= 20 dB, or >= 10 dB with agreement >= 98 %
//   BROKEN    SQNR < 10 dB, and agreement < 90 % where there is one
//   DEGRADED  everything between
#pragma once

#include "calib/samples.h"
#include "ir/graph.h"

namespace intact {

// One sample's part in (23), by output.
struct SampleError {
  std::vector<double> signal;
  std::vector<double> noise;
};

struct Judgement {
  std::vector<SampleError> samples;
  double sqnr_db = 0;  // 200 when nothing differs.
  double sqnr_low = 0;
  double sqnr_high = 0;
  std::optional<double> agreement;
  double agreement_low = 0;
  double agreement_high = 0;
  bool intact = false;
  bool broken = false;
  // The samples with most of the worst output's noise, and their shares of it, most first.
  std::vector<std::pair<std::size_t, double>> noisiest;
};

// Signal and noise of one sample's outputs; those that are not float have neither.
// Errors: kUnsupported when shapes differ.
Result<SampleError> sample_error(std::span<const Tensor> exact, std::span<const Tensor> quantized);

// (23) of samples in dB; 200 without noise, -200 for NaN.
double pooled_sqnr(std::span<const SampleError> samples);

// Runs both models on every sample. Errors: those of running them; kInterrupted.
Result<Judgement> judge(const Graph& float_model, Graph quantized, const TensorSource& samples,
                        int threads, const Progress& progress);

}  // namespace intact
