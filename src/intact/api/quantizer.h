// quantizer.h: from a float graph and samples to a quantized file, or to the ranges alone.
#pragma once

#include <cstddef>

#include "intact/quantize.h"
#include "ir/graph.h"
#include "quant/calibration_file.h"

namespace intact {

// float_bytes: of the float model's file. Options are checked (check_options). Errors: those of
// intact/quantize.h.
Result<QuantizeResult> quantize_graph(Graph graph, std::size_t float_bytes,
                                      const SampleSource& samples, const QuantizeOptions& options);

Result<CalibrationFile> calibrate_graph(Graph graph, const SampleSource& samples,
                                        const QuantizeOptions& options);

}  // namespace intact
