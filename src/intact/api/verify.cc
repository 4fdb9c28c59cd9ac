#include <fmt/format.h>

#include "calib/fingerprint.h"
#include "calib/hash.h"
#include "intact/quantize.h"
#include "onnx/import.h"

namespace intact {

Result<VerifyResult> verify(const std::string& path, const SessionOptions& options,
                            const std::atomic<bool>* cancel) {
  INTACT_ASSIGN(Graph graph, import_onnx_file(path));
  VerifyResult r;
  const auto stored = graph.metadata.find("intact.fingerprint");
  if (stored == graph.metadata.end())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} has no fingerprint: intact did not write it", path));
  INTACT_ASSIGN(const Fingerprint expected, Fingerprint::parse(stored->second));
  INTACT_ASSIGN(const Fingerprint actual, make_fingerprint(graph, options.threads, cancel));
  r.expected = hex(expected.outputs);
  r.actual = hex(actual.outputs);
  r.first_node = first_difference(graph, expected, actual);
  r.same = r.first_node.empty() && expected.outputs == actual.outputs;
  if (!r.same && r.first_node.empty())
    r.first_node = "(the outputs; every node's weights are the same)";
  return r;
}

}  // namespace intact
