// round_trip.cc: reads an ONNX file and writes it again, for check_export.py.
#include <cstdio>
#include <cstring>

#include "onnx/export.h"
#include "onnx/import.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: intact_round_trip IN.onnx OUT.onnx [--external]\n");
    return 2;
  }
  const auto graph = intact::import_onnx_file(argv[1]);
  if (!graph) {
    std::fprintf(stderr, "%s\n", graph.error().text().c_str());
    return 2;
  }
  intact::ExportOptions options;
  options.external_data = argc > 3 && std::strcmp(argv[3], "--external") == 0;
  const auto written = intact::export_onnx_file(*graph, argv[2], options);
  if (!written) std::fprintf(stderr, "%s\n", written.error().text().c_str());
  return written ? 0 : 2;
}
