// quantize_report.h: what QuantizeResult says of the nodes and of the verdict.
#pragma once

#include "calib/decisions.h"
#include "calib/judge.h"
#include "calib/observe.h"
#include "intact/quantize.h"

namespace intact {

// Adds a line for each product of the float graph, their integer share, and the names of the three
// whose own error is largest.
void report_nodes(const Graph& graph, const Placement& placement, const Decisions& decisions,
                  const Observations& seen, QuantizeResult& result);

// Takes over what the judge says; held_back: of samples that calibration has not seen.
void report_verdict(const Judgement& judgement, bool held_back, QuantizeResult& result);

}  // namespace intact
