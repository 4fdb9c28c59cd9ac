#include "intact/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "api/prepare.h"
#include "api/sample_reader.h"
#include "calib/byte_outputs.h"
#include "calib/compare_layers.h"
#include "calib/raise_opset.h"
#include "onnx/import.h"

namespace intact {
namespace {

// A layer above this needs no explanation.
constexpr double kFineDb = 35;
// Below this, a layer is worth a change; any that is not fine is, when an output is below
// kIntactDb.
constexpr double kFixDb = 25;
constexpr double kIntactDb = 20;
// A share of an error from which on it is its cause.
constexpr double kMost = 0.5;
constexpr double kFewBits = 5;
constexpr double kPartsDiffer = 8;

InputFigures figures_of(const QuantizerFigures& q) {
  InputFigures out;
  out.name = q.input;
  out.sqnr_db = q.codes.sqnr_db();
  out.effective_bits = std::max(0.0, (out.sqnr_db - 1.76) / 6.02);
  if (q.codes.noise > 0) {
    out.clipped_error = q.clipped_noise / q.codes.noise;
    // A uniform error within a step, for every value.
    const double step = (static_cast<double>(q.hi) - static_cast<double>(q.lo)) / q.steps;
    out.range_error = q.values * step * step / 12 / q.codes.noise;
  }
  if (q.values > 0) {
    out.clipped_values = q.clipped_values / q.values;
    out.peak_to_rms =
        static_cast<double>(q.peak) / std::sqrt(std::max(q.codes.signal / q.values, 1e-300));
  }
  if (q.part_peak.size() > 1) {
    const auto [least, most] = std::minmax_element(q.part_peak.begin(), q.part_peak.end());
    if (*least > 0) out.parts_ratio = static_cast<double>(*most) / static_cast<double>(*least);
  }
  return out;
}

// The cause that the figures support, and the flag that they suggest.
void explain(const LayerFigures& figures, double output_db, LayerComparison& layer) {
  if (layer.local_sqnr_db >= kFineDb) return;
  const bool worth = layer.local_sqnr_db < kFixDb || output_db < kIntactDb;
  const std::string keep =
      worth && figures.product ? fmt::format("--keep-float '{}'", layer.node) : "";
  const double weights = figures.weights.noise / figures.local.noise;
  if (weights >= kMost) {
    layer.cause = fmt::format("weight rounding: {:.0f} % of the error with exact inputs",
                              100 * std::min(weights, 1.0));
    layer.fix = keep;
    return;
  }
  const auto worst = std::min_element(
      layer.inputs.begin(), layer.inputs.end(),
      [](const InputFigures& a, const InputFigures& b) { return a.sqnr_db < b.sqnr_db; });
  if (worst == layer.inputs.end()) return;
  layer.fix = keep;
  if (worst->clipped_error >= kMost) {
    layer.cause = fmt::format(
        "range of '{}' clipped: {:.2g} % of its values carry {:.0f} % of its "
        "error",
        worst->name, 100 * worst->clipped_values, 100 * worst->clipped_error);
    if (worth && worst->range_error < 1) layer.fix = "--range minmax";
  } else if (worst->parts_ratio > kPartsDiffer) {
    layer.cause = fmt::format("shared scale: the parts of '{}' differ {:.0f} times in range",
                              worst->name, worst->parts_ratio);
  } else if (worst->effective_bits < kFewBits) {
    layer.cause = fmt::format(
        "few effective bits: {:.1f} in '{}', whose largest value is {:.0f} times its rms",
        worst->effective_bits, worst->name, worst->peak_to_rms);
  } else {
    layer.cause = fmt::format("rounding of '{}' to codes ({:.1f} effective bits)", worst->name,
                              worst->effective_bits);
  }
}

CompareResult report(const Comparison& c) {
  CompareResult result;
  result.samples = c.samples;
  double output_db = 200;
  for (const auto& [name, energy] : c.outputs) {
    result.outputs.push_back({name, energy.sqnr_db()});
    output_db = std::min(output_db, energy.sqnr_db());
  }
  for (const LayerFigures& figures : c.layers) {
    LayerComparison layer;
    layer.node = figures.node;
    layer.op = figures.op;
    layer.value = figures.value;
    layer.local_sqnr_db = figures.local.sqnr_db();
    layer.cumulative_sqnr_db = figures.cumulative.sqnr_db();
    layer.weight_sqnr_db = figures.weights.sqnr_db();
    for (const std::size_t q : figures.quantizers)
      layer.inputs.push_back(figures_of(c.quantizers[q]));
    explain(figures, output_db, layer);
    result.layers.push_back(std::move(layer));
  }
  std::stable_sort(result.layers.begin(), result.layers.end(),
                   [](const LayerComparison& a, const LayerComparison& b) {
                     return a.local_sqnr_db < b.local_sqnr_db;
                   });
  return result;
}

}  // namespace

Result<CompareResult> compare(const std::string& float_path, const std::string& quantized_path,
                              const SampleSource& samples, const CompareOptions& options) {
  INTACT_ASSIGN(Graph float_graph, import_onnx_file(float_path));
  INTACT_ASSIGN(Graph quantized, import_onnx_file(quantized_path));
  dequantize_outputs(quantized);
  for (const auto& [name, map] : byte_maps_of(quantized.metadata))
    INTACT_TRY(take_byte_input(float_graph, name, map));
  const SampleReader reader(float_graph);
  INTACT_TRY(prepare_for_quantization(float_graph));
  INTACT_TRY(raise_opset(float_graph));
  std::int64_t count = 0;
  TensorSource source;
  source.restart = [&]() -> Status {
    count = 0;
    return samples.restart ? samples.restart() : Status();
  };
  source.next = [&]() -> Result<std::optional<std::vector<Tensor>>> {
    if (!samples.next || (options.max_samples > 0 && count == options.max_samples))
      return std::nullopt;
    INTACT_ASSIGN(const auto sample, samples.next());
    if (!sample) return std::nullopt;
    auto tensors = reader.read(*sample);
    if (!tensors) return fail(tensors.error().with_context(fmt::format("sample {}", count)));
    ++count;
    return std::optional(*std::move(tensors));
  };
  INTACT_ASSIGN(const Comparison comparison,
                compare_layers(float_graph, quantized, source, options.threads,
                               Progress{options.progress, options.cancel}));
  return report(comparison);
}

}  // namespace intact
