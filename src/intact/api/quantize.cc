#include "intact/quantize.h"

#include <algorithm>
#include <filesystem>

#include "api/quantize_options.h"
#include "api/quantizer.h"
#include "onnx/import.h"

namespace intact {

Result<QuantizeResult> quantize(std::span<const std::byte> model, const std::string& folder,
                                const SampleSource& samples, const QuantizeOptions& options) {
  INTACT_TRY(check_options(options));
  INTACT_ASSIGN(Graph graph, import_onnx(model, {.external_folder = folder}));
  return quantize_graph(std::move(graph), model.size(), samples, options);
}

Result<QuantizeResult> quantize(const std::string& path, const SampleSource& samples,
                                const QuantizeOptions& options) {
  INTACT_TRY(check_options(options));
  INTACT_ASSIGN(Graph graph, import_onnx_file(path));
  std::size_t bytes = 0;
  for (const Value& v : graph.values)
    if (v.constant) bytes += v.constant->bytes();
  std::error_code no_size;
  const auto size = std::filesystem::file_size(path, no_size);
  if (!no_size) bytes = std::max(bytes, static_cast<std::size_t>(size));
  return quantize_graph(std::move(graph), bytes, samples, options);
}

Result<std::string> calibrate(const std::string& path, const SampleSource& samples,
                              const QuantizeOptions& options) {
  INTACT_TRY(check_options(options));
  INTACT_ASSIGN(Graph graph, import_onnx_file(path));
  INTACT_ASSIGN(const CalibrationFile file, calibrate_graph(std::move(graph), samples, options));
  return to_text(file);
}

Result<std::string> merge(const std::string& a, const std::string& b) {
  auto first = parse_calibration(a);
  if (!first) return fail(first.error().with_context("the first"));
  auto second = parse_calibration(b);
  if (!second) return fail(second.error().with_context("the second"));
  INTACT_ASSIGN(const CalibrationFile merged, merge_calibrations(*first, *second));
  return to_text(merged);
}

}  // namespace intact
