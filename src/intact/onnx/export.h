// export.h: a graph to an ONNX file.
//
// The result passes onnx.checker and loads in ONNX Runtime when the graph's operators do. Equal
// graphs give equal bytes. Constants are initializers in little-endian raw_data; value types are
// written as value_info; captured values of bodies go back to being read by name; the IR version is
// the lowest that the opset and the types used allow, or the graph's own when that is higher.
#pragma once

#include <string>

#include "intact/result.h"
#include "ir/graph.h"

namespace intact {

struct ExportOptions {
  // Large constants go to "<file>.data" beside the file. Always so when the file would exceed 2 GB.
  bool external_data = false;
};

// Returns the bytes of the file. Errors: kInvalidModel when verify() fails; kUnsupported for what
// ONNX cannot say (operators of the domain "intact", Quant, channels-last) and beyond 2 GB.
Result<std::string> export_onnx(const Graph& graph);

// Writes the file whole or not at all (base/atomic_file.h). Errors: as above; kIo.
Status export_onnx_file(const Graph& graph, const std::string& path,
                        const ExportOptions& options = {});

}  // namespace intact
