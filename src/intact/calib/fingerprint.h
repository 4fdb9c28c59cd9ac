// fingerprint.h: does a model compute, on this machine, what it computed where it was made?
//
// A hash of all outputs on 4 inputs that follow from a seed, and a short hash of the constants of
// every Conv, ConvTranspose, Gemm and MatMul, so that a difference can be named. Free dimensions
// take the first of a few sizes with which the model runs: the batch axis 1, others 64, 32, 8, 1.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace intact {

struct Fingerprint {
  std::uint64_t outputs = 0;         // 0: the model runs with none of the sizes.
  std::vector<std::uint32_t> nodes;  // Of each product in file order, then of all constants.

  [[nodiscard]] std::string text() const;
  static Result<Fingerprint> parse(const std::string& text);
};

// Errors: those of opening the model; kInterrupted.
Result<Fingerprint> make_fingerprint(const Graph& graph, int threads,
                                     const std::atomic<bool>* cancel = nullptr);

// The name of the first product whose constants differ; "(a constant outside ...)" when it is none
// of them; empty when nothing differs.
std::string first_difference(const Graph& graph, const Fingerprint& expected,
                             const Fingerprint& actual);

}  // namespace intact
