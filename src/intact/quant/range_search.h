// range_search.h: the searches behind range.h, over one histogram.
#pragma once

#include "quant/range.h"

namespace intact {

// Returns the candidate pair with the least expected squared error (9); of equal ones the widest.
// min, max: of all values.
Range mse_range(const Histogram& histogram, float min, float max, const RangeTarget& target);

// Returns the range of the threshold with the least divergence; of equal ones the widest.
Range kl_range(const Histogram& histogram, float min, float max, const RangeTarget& target);

// Returns the narrowest range that leaves at most the given share of the values outside.
Range percentile_range(const Histogram& histogram, float min, float max, double percent,
                       bool symmetric);

}  // namespace intact
