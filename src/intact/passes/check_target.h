// check_target.h: does a quantized graph keep the rules of a target? One rule a letter and number;
// the table with a source for each: docs/guides/targets.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace intact {

struct TargetViolation {
  std::string rule;  // "A3", "T1", ...
  std::string node;  // Name of the node, or of its first output when it has none.
  std::string what;
};

// Returns every violation, in the order of the nodes. `target`: "any" or "tensorrt"; nothing is
// known of others, so they have no rules.
std::vector<TargetViolation> check_target(const Graph& graph, std::string_view target);

}  // namespace intact
