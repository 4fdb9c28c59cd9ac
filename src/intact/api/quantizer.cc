#include "api/quantizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/calibration_samples.h"
#include "api/prepare.h"
#include "api/quantize_options.h"
#include "api/quantize_report.h"
#include "base/cpu_budget.h"
#include "base/fp_env.h"
#include "base/thread_pool.h"
#include "calib/byte_inputs.h"
#include "calib/byte_outputs.h"
#include "calib/decisions.h"
#include "calib/fingerprint.h"
#include "calib/hash.h"
#include "calib/islands.h"
#include "calib/judge.h"
#include "calib/lockstep.h"
#include "calib/raise_opset.h"
#include "calib/write_qdq.h"
#include "intact/version.h"
#include "onnx/export.h"
#include "onnx/import.h"
#include "passes/check_target.h"

namespace intact {
namespace {

constexpr std::size_t kSmallModel = std::size_t{1} << 20;  // Below, names weigh.
constexpr double kWantedSize = 0.30;       // Of the float file: above, channels share one scale.
constexpr std::int64_t kMostFitted = 120;  // Samples that a fit may want, times the effort.
constexpr float kLeastBytes = 3;           // That samples of a uint8 input span.

// True for methods that need no histogram.
bool from_extremes(const RangeMethod& m) {
  return m.kind == RangeKind::kMinmax || m.kind == RangeKind::kAverage ||
         m.kind == RangeKind::kMoving;
}

class Quantizer {
 public:
  // model_hash: before the graph took the types of inputs that the options ask for.
  Quantizer(Graph graph, std::size_t float_bytes, std::uint64_t model_hash,
            const SampleSource& source, const QuantizeOptions& options)
      : options_(options),
        graph_(std::move(graph)),
        model_hash_(model_hash),
        samples_(graph_, source, options.max_samples),
        progress_{options.progress, options.cancel} {
    result_.float_bytes = float_bytes;
  }

  Result<QuantizeResult> run() {
    float_graph_ = graph_.clone();
    INTACT_TRY(make_ready());
    INTACT_ASSIGN(placement_, place(graph_, placement_options(options_.keep_float)));
    if (placement_.empty())
      result_.notes.push_back("no node of the model can be integer; the file stays float");
    INTACT_TRY(look());
    const Graph ready = graph_.clone();
    INTACT_TRY(decide());
    INTACT_TRY(write());
    // The scales of a small model's channels may weigh more than they are worth.
    if (result_.float_bytes < kSmallModel && spare_bytes() < 0) {
      one_scale_ = true;
      graph_ = ready.clone();
      INTACT_TRY(decide());
      INTACT_TRY(write());
    }
    if (options_.verdict) INTACT_TRY(judge_result());
    if (held_back_ && options_.effort > 0 && result_.verdict != Verdict::kIntact) {
      graph_ = ready.clone();
      INTACT_TRY(leave_islands());
    }
    graph_ = ready;
    report_nodes(graph_, placement_, decisions_, seen_, result_);
    if (result_.verdict == Verdict::kIntact) result_.worst_nodes.clear();
    describe_outputs();
    result_.notes.insert(result_.notes.begin(), lasting_notes_.begin(), lasting_notes_.end());
    return std::move(result_);
  }

  // The ranges alone.
  Result<CalibrationFile> calibrate() {
    INTACT_TRY(make_ready());
    if (options_.target == "any") byte_outputs_ = float_outputs();  // Any may be wanted as codes.
    INTACT_ASSIGN(placement_, place(graph_, placement_options(options_.keep_float)));
    held_back_ = false;
    INTACT_ASSIGN(const RangeMethod method, method_of(options_));
    ObserveOptions o;
    o.threads = options_.threads;
    o.channels = false;
    if (method.kind == RangeKind::kMoving) o.moving_beta = method.parameter;
    INTACT_ASSIGN(seen_, observe(graph_, placement_, calibration(), o, progress_));
    CalibrationFile file;
    file.model = hex(model_hash_);
    file.method = method;
    file.target = activations_of(options_.target);
    for (std::size_t i = 0; i < placement_.tensors.size(); ++i)
      if (!placement_.tensors[i].given)
        INTACT_TRY(
            file.set(graph_.value(placement_.tensors[i].value).name, seen_.tensors[i].stats));
    for (std::size_t i = 0; i < placement_.operands.size(); ++i)
      if (!placement_.operands[i].share)
        INTACT_TRY(file.set(source_name(placement_.operands[i]), seen_.operands[i]));
    return file;
  }

 private:
  // The model, ready to be looked at: folded, in opset 13 or newer, bytes where it was asked for.
  Status make_ready() {
    INTACT_ASSIGN(byte_outputs_, byte_outputs_of(graph_, options_));
    INTACT_TRY(prepare_for_quantization(graph_));
    INTACT_TRY(raise_opset(graph_));
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
      const std::string name = graph_.value(graph_.inputs[i]).name;
      if (!options_.input_types.contains(name)) continue;
      INTACT_ASSIGN(const std::string why, fold_bytes(graph_, i));
      if (!why.empty())
        lasting_notes_.push_back(
            fmt::format("the normalization of input '{}' is computed in float: {}", name, why));
    }
    return {};
  }

  [[nodiscard]] std::vector<std::size_t> float_outputs() const {
    std::vector<std::size_t> outputs;
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i)
      if (graph_.value(graph_.outputs[i]).type.dtype == Dtype::kFloat32) outputs.push_back(i);
    return outputs;
  }

  // The set that the options allow where `set` would do.
  [[nodiscard]] ScaleSet scales(ScaleSet set) const {
    return options_.scales == "short" ? set : ScaleSet::kAny;
  }

  [[nodiscard]] PlacementOptions placement_options(std::vector<std::string> keep_float) const {
    const bool tensorrt = options_.target == "tensorrt";
    return {std::move(keep_float), options_.require_int8, tensorrt, tensorrt, byte_outputs_};
  }

  [[nodiscard]] const std::string& source_name(const PairOperand& operand) const {
    return graph_.value(operand.source).name;
  }

  TensorSource calibration() {
    return samples_.part(held_back_ ? CalibrationSamples::Part::kCalibrate
                                    : CalibrationSamples::Part::kAll);
  }

  // Pass 1: every calibration sample through the float network.
  Status look() {
    std::optional<CalibrationFile> file;
    if (!options_.calibration.empty()) {
      INTACT_ASSIGN(file, read_calibration(options_.calibration));
      if (!file->model.empty() && file->model != hex(model_hash_))
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("{} was made for another model; calibrate this one", options_.calibration));
      INTACT_TRY(drop_without_line(*file));
    }
    std::int64_t count = 0;
    if (samples_.given()) {
      // So many tell whether some can be held back, and how many a fit will have.
      const std::int64_t enough =
          options_.effort == 0 ? 2 * kHoldBackEvery : options_.effort * kMostFitted;
      INTACT_ASSIGN(count, samples_.count(enough, progress_));
    }
    if (count == 0 && !file)
      return fail(ErrorCode::kInvalidArgument,
                  "there are no samples to calibrate with; give --data, or a calibration file");
    held_back_ = options_.verdict && count >= 2 * kHoldBackEvery;
    const std::int64_t calibrating = held_back_ ? count - count / kHoldBackEvery : count;
    INTACT_ASSIGN(const RangeMethod method, method_of(options_));
    target_ = activations_of(options_.target);
    target_.scales = scales(ScaleSet::kActivation);
    if (count > 0) {
      ObserveOptions o;
      o.threads = options_.threads;
      o.channels = options_.effort > 0;
      o.histograms = !from_extremes(method);
      if (options_.effort > 0)
        o.rows = [&](double macs) { return plan_rows(macs, options_.effort, calibrating); };
      if (method.kind == RangeKind::kMoving) o.moving_beta = method.parameter;
      INTACT_ASSIGN(seen_, observe(graph_, placement_, calibration(), o, progress_));
      result_.calibration_samples = seen_.samples;
      INTACT_TRY(check_bytes());
    }
    if (file) return take_ranges(*file);
    const std::size_t tensors = placement_.tensors.size();
    std::vector<Result<Range>> found(tensors + placement_.operands.size(), Range{});
    const ThreadPool pool(options_.threads > 0 ? options_.threads : default_threads());
    pool.run(found.size(), [&](std::size_t i) {
      if (i < tensors) {
        found[i] = choose_range(seen_.tensors[i].stats, method, target_);
        return;
      }
      const PairOperand& o = placement_.operands[i - tensors];
      found[i] = o.share ? Range{0, 1}
                         : choose_range(seen_.operands[i - tensors], method, target_of(o, target_));
    });
    for (std::size_t i = 0; i < found.size(); ++i) {
      const ValueId v =
          i < tensors ? placement_.tensors[i].value : placement_.operands[i - tensors].source;
      if (!found[i])
        return fail(
            found[i].error().with_context(fmt::format("tensor '{}'", graph_.value(v).name)));
      (i < tensors ? ranges_.tensors : ranges_.operands).push_back(*found[i]);
    }
    return {};
  }

  // Bytes of images spread over their range; those of reals in [0, 1] or [-1, 1] that were taken
  // for bytes do not.
  Status check_bytes() const {
    for (std::size_t i = 0; i < placement_.tensors.size(); ++i) {
      const QuantTensor& t = placement_.tensors[i];
      if (!t.given) continue;
      const TensorStats& s = seen_.tensors[i].stats;
      if ((s.max - s.min) / t.given->scale < kLeastBytes)
        return fail(
            ErrorCode::kDataMismatch,
            "the samples of the uint8 input hold hardly more than one of 256 bytes: are they "
            "normalized? Then give its scale, mean and std in the input's type");
    }
    return {};
  }

  // What reads a tensor that the file has no line for stays float. Before anything is observed:
  // observations are as the placement.
  Status drop_without_line(const CalibrationFile& file) {
    std::vector<std::string> keep = options_.keep_float;
    // Keeps the node float when there is no line for what it reads.
    const auto look_up = [&](const std::string& name, std::int32_t n) {
      if (file.tensors.contains(name)) return;
      const Node& node = graph_.nodes[static_cast<std::size_t>(n)];
      keep.push_back(node.name);
      result_.notes.push_back(fmt::format(
          "node '{}' stays float: the calibration file has no line for '{}'", node.name, name));
    };
    for (const QuantTensor& t : placement_.tensors)
      for (const std::size_t s : t.readers)
        if (!t.given) look_up(graph_.value(t.value).name, placement_.sites[s].node);
    for (const ActivationPair& pair : placement_.pairs)
      for (const std::size_t i : pair.operands)
        if (const PairOperand& o = placement_.operands[i]; !o.share)
          look_up(source_name(o), pair.node);
    for (const PairOperand& o : placement_.operands)
      if (o.output && !o.share && !file.tensors.contains(source_name(o)))
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("the calibration file has no line for output '{}' ('{}'), which "
                                "shall be uint8: calibrate anew",
                                graph_.value(o.value).name, source_name(o)));
    if (keep.size() == options_.keep_float.size()) return {};
    INTACT_ASSIGN(placement_, place(graph_, placement_options(keep)));
    return {};
  }

  // Ranges of a file that has a line for every tensor.
  Status take_ranges(const CalibrationFile& file) {
    for (QuantTensor& t : placement_.tensors) {
      ranges_.tensors.push_back(t.given ? Range{}
                                        : file.tensors.at(graph_.value(t.value).name).range);
      t.parts.clear();  // One line, one range.
    }
    for (const PairOperand& o : placement_.operands) {
      if (o.share) {
        ranges_.operands.push_back({0, 1});
        continue;
      }
      // A line is for codes of any zero point; a right side's range follows from what was seen.
      const TensorCalibration& line = file.tensors.at(source_name(o));
      const auto stats = file.stats.find(source_name(o));
      const auto method = parse_range_method(line.method);
      Result<Range> range = line.range;
      if (o.right && method && stats != file.stats.end())
        range = choose_range(stats->second, *method, target_of(o, target_));
      if (!range) return fail(range.error().with_context(source_name(o)));
      ranges_.operands.push_back(*range);
    }
    fixed_ranges_ = true;
    return {};
  }

  Status decide() {
    WeightOptions weights;
    if (options_.weight_range == "mse") weights.range = WeightRange::kMse;
    weights.scales = scales(ScaleSet::kWeight);
    INTACT_ASSIGN(decisions_,
                  decide_plainly(graph_, placement_, seen_, ranges_, target_, weights, one_scale_));
    if (options_.effort == 0 || seen_.samples == 0 || placement_.sites.empty()) return {};
    LockstepOptions o;
    o.threads = options_.threads;
    o.target = target_;
    o.weights = weights;
    o.one_scale = one_scale_;
    if (!fixed_ranges_) o.ranges = ranges_.tensors;
    o.also_minmax = options_.range.empty();
    return fit_in_lockstep(graph_, placement_, seen_, calibration(), o, progress_, decisions_);
  }

  // Products go back to float where the held-back samples show that it pays; then the file and the
  // verdict are made anew.
  Status leave_islands() {
    IslandSearch search{float_graph_,    graph_, placement_, decisions_,      seen_.multiply_adds,
                        write_options(), 0,      {},         options_.threads};
    search.spare_bytes = spare_bytes();
    const auto add = [&](std::int32_t n) {
      if (!names_any(options_.require_int8, graph_.nodes[static_cast<std::size_t>(n)]))
        search.candidates.push_back(n);
    };
    for (const GemmSite& site : placement_.sites) add(site.node);
    for (const ActivationPair& pair : placement_.pairs) add(pair.node);
    INTACT_ASSIGN(
        const auto islands,
        find_islands(search, samples_.part(CalibrationSamples::Part::kHeldBack), progress_));
    if (islands.empty()) return {};
    drop_products(islands, placement_, decisions_);
    INTACT_TRY(write());
    result_.noisiest_samples.clear();
    result_.notes.clear();
    return judge_result();
  }

  // What the written file may still grow.
  [[nodiscard]] double spare_bytes() const {
    return kWantedSize * static_cast<double>(result_.float_bytes) -
           static_cast<double>(result_.quantized_bytes);
  }

  [[nodiscard]] WriteOptions write_options() const {
    WriteOptions o;
    o.float_bias = options_.target == "tensorrt";
    o.one_scale = one_scale_;
    o.scales = scales(ScaleSet::kWeight);
    o.short_names = result_.float_bytes < kSmallModel;
    return o;
  }

  // Whoever reads codes must know what they stand for.
  void describe_outputs() {
    for (std::size_t i = 0; i < placement_.operands.size(); ++i)
      if (const auto output = placement_.operands[i].output) {
        const Affine& map = decisions_.operands[i];
        lasting_notes_.push_back(fmt::format("output '{}' is uint8: real = {} (code - {})",
                                             float_graph_.value(float_graph_.outputs[*output]).name,
                                             map.scale, map.zero_point));
      }
  }

  Status write() {
    INTACT_TRY(write_qdq(graph_, placement_, decisions_, write_options()));
    for (std::size_t i = 0; i < placement_.operands.size(); ++i)
      if (const auto output = placement_.operands[i].output)
        code_output(graph_, *output, decisions_.operands[i]);
    if (const auto bad = check_target(graph_, options_.target); !bad.empty())
      return fail(ErrorCode::kUnsupported,
                  fmt::format("node '{}' breaks rule {} of target {}: {}", bad[0].node, bad[0].rule,
                              options_.target, bad[0].what));
    graph_.producer_name = "intact";
    graph_.model.producer_version = kVersion;
    graph_.doc_string.clear();
    graph_.metadata["intact"] =
        fmt::format("{} model={} data={} options={} targets={}", kVersion, hex(model_hash_),
                    hex(seen_.data_hash), hex(hash_options(options_)), options_.target);
    INTACT_ASSIGN(const Fingerprint print,
                  make_fingerprint(graph_, options_.threads, options_.cancel));
    graph_.metadata["intact.fingerprint"] = print.text();
    result_.fingerprint = hex(print.outputs);
    INTACT_ASSIGN(result_.model, export_onnx(graph_));
    result_.quantized_bytes = result_.model.size();
    return {};
  }

  Status judge_result() {
    if (!samples_.given()) return {};
    // What was written is what is judged.
    INTACT_ASSIGN(Graph written, import_onnx(std::as_bytes(std::span(result_.model))));
    dequantize_outputs(written);
    const TensorSource judges = samples_.part(held_back_ ? CalibrationSamples::Part::kHeldBack
                                                         : CalibrationSamples::Part::kAll);
    INTACT_ASSIGN(const Judgement j,
                  judge(float_graph_, std::move(written), judges, options_.threads, progress_));
    report_verdict(j, held_back_, result_);
    return {};
  }

  const QuantizeOptions& options_;
  Graph graph_;
  Graph float_graph_;
  std::uint64_t model_hash_;
  CalibrationSamples samples_;
  Progress progress_;
  Placement placement_;
  Observations seen_;
  RangeTarget target_;
  Ranges ranges_;
  Decisions decisions_;
  QuantizeResult result_;
  std::vector<std::string> lasting_notes_;  // Of the model, whatever is decided.
  std::vector<std::size_t> byte_outputs_;   // Of Graph::outputs.
  bool held_back_ = false;
  bool fixed_ranges_ = false;
  bool one_scale_ = false;
};

std::uint64_t hash_graph(const Graph& graph) {
  std::uint64_t h = 0;
  for (const Node& node : graph.nodes) {
    const std::string text = node.op + '\0' + node.name;
    h = hash_bytes(std::as_bytes(std::span(text)), h);
  }
  for (const Value& v : graph.values)
    if (v.constant) h = hash_tensor(*v.constant, h);
  return h;
}

}  // namespace

Result<QuantizeResult> quantize_graph(Graph graph, std::size_t float_bytes,
                                      const SampleSource& samples, const QuantizeOptions& options) {
  const ScopedFpEnv fp;  // The calling thread works on ranges and fits too.
  const std::uint64_t hash = hash_graph(graph);
  INTACT_TRY(take_input_types(graph, options));
  return Quantizer(std::move(graph), float_bytes, hash, samples, options).run();
}

Result<CalibrationFile> calibrate_graph(Graph graph, const SampleSource& samples,
                                        const QuantizeOptions& options) {
  const ScopedFpEnv fp;
  const std::uint64_t hash = hash_graph(graph);
  INTACT_TRY(take_input_types(graph, options));
  return Quantizer(std::move(graph), 0, hash, samples, options).calibrate();
}

}  // namespace intact
