// islands.h: products that stay float because held-back samples show that it pays.
//
// Every product that the budget allows is tried alone in float, all others in codes, on half of the
// held-back samples. Then greedily, the best first: a product becomes an island when it lowers the
// noise of the worst output by kLeastGainDb beyond the islands before it. The other half of the
// samples, which chose nothing, must confirm the lot, or there are none.
//
// The budget: with what is float for other reasons at most kFloatShare of the multiply-adds, and a
// file of at most the wanted size.
#pragma once

#include "calib/judge.h"
#include "calib/write_qdq.h"

namespace intact {

inline constexpr double kFloatShare = 0.05;
inline constexpr double kLeastGainDb = 1;

struct IslandSearch {
  const Graph& float_model;
  const Graph& graph;  // That placement and decisions are for.
  const Placement& placement;
  const Decisions& decisions;
  const std::map<std::int32_t, double>& multiply_adds;  // By node.
  WriteOptions write;
  double spare_bytes = 0;                // By which the file may grow.
  std::vector<std::int32_t> candidates;  // Integer products, by node.
  int threads = 0;
};

// Products that are to stay float, by node, with the reason.
using Islands = std::map<std::int32_t, std::string>;

// Errors: those of running the models.
Result<Islands> find_islands(const IslandSearch& search, const TensorSource& samples,
                             const Progress& progress);

// Takes products out of the placement, noting why, and their decisions with them. A tensor without
// readers goes too.
void drop_products(const Islands& why, Placement& placement, Decisions& decisions);

}  // namespace intact
