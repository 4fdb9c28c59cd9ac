// pass_tool IN.onnx quantize OUT.onnx     runs the pipeline of `quantize` and writes the result
// pass_tool IN.onnx session               runs the pipeline of a session and prints the graph
//
// A count of operators goes to stderr.
#include <cstdio>
#include <map>
#include <string>

#include "ir/print.h"
#include "onnx/export.h"
#include "onnx/import.h"
#include "passes/pass.h"
#include "passes/pipeline.h"
#include "tiny_evaluator.h"

namespace {

int failed(const intact::Error& error) {
  std::fprintf(stderr, "%s\n", error.text().c_str());
  return 2;
}

void count_operators(const intact::Graph& graph) {
  std::map<std::string, int> counts;
  for (const auto& node : graph.nodes) ++counts[node.op];
  for (const auto& [op, n] : counts) std::fprintf(stderr, " %s:%d", op.c_str(), n);
  std::fprintf(stderr, "\n");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 2 ? argv[2] : "";
  if (!(mode == "quantize" && argc == 4) && !(mode == "session" && argc == 3)) {
    std::fprintf(stderr,
                 "usage: pass_tool IN.onnx quantize OUT.onnx | pass_tool IN.onnx session\n");
    return 2;
  }
  auto graph = intact::import_onnx_file(argv[1]);
  if (!graph) return failed(graph.error());
  intact::PassContext context;
  context.evaluate = &intact::evaluate_tiny;
  const auto names = mode == "quantize" ? intact::quantize_pipeline() : intact::session_pipeline();
  if (const auto status = intact::run_passes(*graph, names, context); !status)
    return failed(status.error());
  count_operators(*graph);
  if (mode == "session") {
    std::fputs(intact::print_graph(*graph).c_str(), stdout);
    return 0;
  }
  const auto written = intact::export_onnx_file(*graph, argv[3]);
  return written ? 0 : failed(written.error());
}
