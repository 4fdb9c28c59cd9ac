#include "intact/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "api/dataset_samples.h"
#include "api/prepare.h"
#include "api/sample_reader.h"
#include "api/sample_tensors.h"
#include "base/atomic_file.h"
#include "calib/placement.h"
#include "calib/raise_opset.h"
#include "data/contact_sheet.h"
#include "onnx/import.h"
#include "passes/shape_analysis.h"
#include "runtime/engine.h"
#include "runtime/multiply_adds.h"

namespace intact {
namespace {

constexpr std::size_t kMaxShapes = 8;

bool makes_codes(const Graph& graph, const Uses& uses, ValueId v) {
  const std::int32_t n = v == kNoValue ? -1 : uses.producer[static_cast<std::size_t>(v)];
  return n >= 0 && graph.nodes[static_cast<std::size_t>(n)].is("DequantizeLinear");
}

// Gives inputs the sizes that the caller knows.
Status set_shapes(Graph& graph, const InspectOptions& options) {
  for (const auto& [name, shape] : options.shapes) {
    const auto input =
        std::find_if(graph.inputs.begin(), graph.inputs.end(),
                     [&, &wanted = name](ValueId v) { return graph.value(v).name == wanted; });
    if (input == graph.inputs.end())
      return fail(ErrorCode::kInvalidArgument, fmt::format("the model has no input '{}'", name));
    INTACT_TRY(check_shape(shape));
    auto& declared = graph.value(*input).type.shape;
    bool fits = !declared || declared->size() == shape.size();
    for (std::size_t d = 0; declared && fits && d < shape.size(); ++d)
      fits = !(*declared)[d].known() || (*declared)[d].size == shape[d];
    if (!fits)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("input '{}' cannot have the shape {}", name, to_string(shape)));
    declared.emplace(shape.begin(), shape.end());
  }
  return {};
}

NodeReport report_of(const ShapeAnalysis& known, const Node& node) {
  NodeReport r;
  r.name = node.name;
  r.op = node.op;
  const auto x = concrete(known.shape(node.in(0))), w = concrete(known.shape(node.in(1))),
             y = concrete(known.shape(node.out(0)));
  if (x && w && y) r.multiply_adds = multiply_adds(node, *x, *w, *y);
  return r;
}

// The products of a quantized file: integer when both factors are codes.
std::vector<NodeReport> products_that_are(const Graph& graph) {
  const Uses uses = graph.uses();
  const ShapeAnalysis known(graph);
  std::vector<NodeReport> products;
  for (const Node& node : graph.nodes) {
    if (!is_product(node)) continue;
    NodeReport r = report_of(known, node);
    const bool input = makes_codes(graph, uses, node.in(0));
    r.integer = input && makes_codes(graph, uses, node.in(1));
    if (!r.integer) r.reason = input ? "its second factor is float" : "its input is float";
    products.push_back(std::move(r));
  }
  return products;
}

Result<std::vector<NodeReport>> products_that_would_be(Graph graph, const InspectOptions& options) {
  INTACT_TRY(prepare_for_quantization(graph));
  INTACT_TRY(raise_opset(graph));
  const bool tensorrt = options.target == "tensorrt";
  INTACT_ASSIGN(const Placement placement,
                place(graph, {options.keep_float, {}, tensorrt, tensorrt}));
  const ShapeAnalysis known(graph);
  std::vector<NodeReport> products;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (!is_product(node)) continue;
    NodeReport r = report_of(known, node);
    const auto index = static_cast<std::int32_t>(n);
    r.integer = placement.is_integer(index);
    if (const auto why = placement.reasons.find(index); why != placement.reasons.end())
      r.reason = why->second;
    products.push_back(std::move(r));
  }
  return products;
}

// Mean and deviation by the sums of squares about a running mean (Welford).
class Moments {
 public:
  void add(double x) {
    count_ += 1;
    const double before = x - mean_;
    mean_ += before / count_;
    squares_ += before * (x - mean_);
    min_ = std::min(min_, x);
    max_ = std::max(max_, x);
  }
  [[nodiscard]] ValueFigures figures() const {
    return {min_, mean_, max_, count_ > 0 ? std::sqrt(squares_ / count_) : 0};
  }

 private:
  double count_ = 0, mean_ = 0, squares_ = 0;
  double min_ = std::numeric_limits<double>::infinity();
  double max_ = -std::numeric_limits<double>::infinity();
};

// One input over the samples.
class InputWatcher {
 public:
  void add(const Tensor& t, InputData& out) {
    if (out.shapes.size() < kMaxShapes &&
        std::find(out.shapes.begin(), out.shapes.end(), t.shape()) == out.shapes.end())
      out.shapes.push_back(t.shape());
    const auto picture = picture_layout(t.shape());
    std::size_t channels = picture ? static_cast<std::size_t>(picture->channels) : 1;
    std::size_t inner = picture && !picture->channels_last
                            ? static_cast<std::size_t>(picture->height * picture->width)
                            : 1;
    if (out.shapes.size() == 1 && channels_.empty() && picture) channels_.resize(channels);
    const bool by_channel = picture && channels_.size() == channels;
    const std::vector<double> values = to_float64(t);
    for (std::size_t i = 0; i < values.size(); ++i) {
      all_.add(values[i]);
      if (by_channel) channels_[i / inner % channels].add(values[i]);
    }
  }
  void finish(InputData& out) const {
    out.all = all_.figures();
    for (const Moments& m : channels_) out.channels.push_back(m.figures());
  }

 private:
  Moments all_;
  std::vector<Moments> channels_;
};

std::string label_of(const Target& target, std::int64_t index) {
  if (target.text) return *target.text;
  return target.label ? std::to_string(*target.label) : fmt::format("({})", index);
}

}  // namespace

Result<Inspection> inspect(const std::string& path, const InspectOptions& options) {
  if (options.target != "any" && options.target != "tensorrt")
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("target '{}' is not known; choose any or tensorrt", options.target));
  INTACT_ASSIGN(Graph graph, import_onnx_file(path));
  INTACT_TRY(set_shapes(graph, options));
  Inspection r;
  r.opset = graph.opset();
  r.producer = graph.producer_name;
  r.nodes = static_cast<std::int64_t>(graph.nodes.size());
  for (const ValueId id : graph.inputs) r.inputs.push_back(describe_value(graph.value(id)));
  const ShapeAnalysis known(graph);
  for (const ValueId id : graph.outputs) {
    r.outputs.push_back(describe_value(graph.value(id)));
    if (const auto sizes = concrete(known.shape(id)); sizes && r.outputs.back().has_shape)
      r.outputs.back().shape = *sizes;
  }
  r.metadata = graph.metadata;
  for (const Node& node : graph.nodes) {
    ++r.operators[node.domain.empty() ? node.op : node.domain + "." + node.op];
    r.quantized |= node.is("QuantizeLinear") || node.is("DequantizeLinear");
  }
  for (const Value& v : graph.values) {
    if (!v.constant) continue;
    r.parameters += v.constant->size();
    r.constant_bytes[std::string(name_of(v.constant->dtype()))] +=
        static_cast<std::int64_t>(v.constant->bytes());
  }
  if (const auto opened = prepare(graph.clone(), {}); !opened) {
    r.problem = opened.error().text();
    return r;
  }
  if (r.quantized) {
    r.products = products_that_are(graph);
  } else {
    INTACT_ASSIGN(r.products, products_that_would_be(std::move(graph), options));
  }
  return r;
}

Result<DataInspection> inspect_data(const Session& session, const SampleSource& samples,
                                    const InspectDataOptions& options) {
  DataInspection r;
  for (const ValueDescription& input : session.inputs()) {
    r.inputs.emplace_back();
    r.inputs.back().name = input.name;
    r.inputs.back().dtype = input.dtype;
  }
  std::vector<InputWatcher> watchers(r.inputs.size());
  ContactSheet sheet;
  const SampleReader reader(session.engine().graph());
  if (samples.restart) INTACT_TRY(samples.restart());
  while (samples.next && (options.max_samples == 0 || r.samples < options.max_samples)) {
    if (options.cancel != nullptr && options.cancel->load())
      return fail(ErrorCode::kInterrupted, "interrupted");
    INTACT_ASSIGN(const auto sample, samples.next());
    if (!sample) break;
    INTACT_ASSIGN(const auto tensors, reader.read(*sample));
    bool shown = options.contact_sheet.empty();
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      watchers[i].add(tensors[i], r.inputs[i]);
      if (!shown) shown = sheet.add(tensors[i], label_of(target_of(*sample, session), r.samples));
    }
    ++r.samples;
  }
  if (r.samples == 0) return fail(ErrorCode::kInvalidArgument, "there are no samples; give --data");
  for (std::size_t i = 0; i < watchers.size(); ++i) watchers[i].finish(r.inputs[i]);
  if (options.contact_sheet.empty()) return r;
  if (sheet.empty())
    return fail(
        ErrorCode::kInvalidArgument,
        "a contact sheet shows pictures, and no input of the model has 4 dimensions with 1, "
        "3 or 4 channels");
  INTACT_ASSIGN(const std::string png, sheet.png());
  INTACT_TRY(write_file(options.contact_sheet, png));
  return r;
}

}  // namespace intact
