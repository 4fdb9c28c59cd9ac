// hoist_conversions.h: the second half of assign_layout: where a conversion of layout is cheapest.
#pragma once

#include "intact/result.h"
#include "ir/graph.h"

namespace intact {

// Moves each ToPlain and ToChannelsLast up across operators that have one ordered input, take any
// layout and serve nobody else, as long as the tensor before is smaller or already exists in the
// wanted order.
Status hoist_conversions(Graph& graph);

}  // namespace intact
