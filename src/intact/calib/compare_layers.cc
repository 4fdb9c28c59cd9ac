#include "calib/compare_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "base/fp_env.h"
#include "calib/gemm_site.h"
#include "calib/layer_pairs.h"
#include "passes/shape_analysis.h"
#include "quant/affine.h"
#include "quant/scheme.h"

namespace intact {
namespace {

double square(double x) { return x * x; }

// Adds the difference of what a value is and what it should be. `gain`: of `actual`, by channel.
Status add_difference(const Tensor& wanted, const Tensor& actual, const std::vector<float>& gain,
                      Energy& e) {
  if (wanted.dtype() != Dtype::kFloat32 || actual.dtype() != Dtype::kFloat32) return {};
  if (wanted.shape() != actual.shape())
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("the two models give it shapes {} and {}: they are not the same network",
                    to_string(wanted.shape()), to_string(actual.shape())));
  const auto x = wanted.values<float>();
  const auto y = actual.values<float>();
  AxisView view{1, 1, x.size()};
  if (!gain.empty() && wanted.rank() > 1) view = axis_view(wanted.shape(), 1);
  const bool gained = view.channels == gain.size();
  for (std::size_t i = 0; i < x.size(); ++i) {
    double value = static_cast<double>(y[i]);
    if (gained) value /= static_cast<double>(gain[i / view.inner % view.channels]);
    e.signal += square(static_cast<double>(x[i]));
    e.noise += square(value - static_cast<double>(x[i]));
  }
  return {};
}

Tensor times(const Tensor& x, const std::vector<float>& gain) {
  if (gain.empty() || x.dtype() != Dtype::kFloat32 || x.rank() < 2) return x;
  const AxisView view = axis_view(x.shape(), 1);
  if (view.channels != gain.size()) return x;
  Tensor y = x.clone();
  const auto values = y.mutable_values<float>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] *= gain[i / view.inner % view.channels];
  return y;
}

// The piece with the activation codes taken away: only the weights differ from the float network.
void let_values_through(Graph& piece) {
  std::map<ValueId, ValueId> quantized;
  for (const Node& node : piece.nodes)
    if (node.is("QuantizeLinear") && piece.constant(node.in(0)) == nullptr)
      quantized[node.out(0)] = node.in(0);
  std::vector<std::pair<ValueId, ValueId>> replace;
  for (const Node& node : piece.nodes)
    if (const auto found = quantized.find(node.in(0));
        node.is("DequantizeLinear") && found != quantized.end())
      replace.emplace_back(node.out(0), found->second);
  for (const auto& [from, to] : replace) piece.replace_uses(from, to);
}

// Values of a graph on each sample: outputs that are shown on demand.
class Shown {
 public:
  Status open(const Graph& graph, const std::set<ValueId>& wanted, int threads) {
    std::vector<ValueId> values;
    for (const ValueId v : wanted) {
      const auto input = std::find(graph.inputs.begin(), graph.inputs.end(), v);
      if (input != graph.inputs.end())
        inputs_[v] = static_cast<std::size_t>(input - graph.inputs.begin());
      else
        values.push_back(v);
    }
    for (std::size_t i = 0; i < values.size(); ++i) at_[values[i]] = graph.outputs.size() + i;
    INTACT_ASSIGN(engine_, make_engine(with_outputs(graph, values), {.threads = threads}));
    return {};
  }
  Status run(std::span<const Tensor> inputs, const RunOptions& options) {
    given_ = inputs;
    INTACT_ASSIGN(results_, engine_->run(inputs, options));
    return {};
  }
  [[nodiscard]] const Tensor& at(ValueId v) const {
    const auto input = inputs_.find(v);
    return input != inputs_.end() ? given_[input->second] : results_[at_.at(v)];
  }
  [[nodiscard]] const Tensor& output(std::size_t i) const { return results_[i]; }

 private:
  std::shared_ptr<Engine> engine_;
  std::map<ValueId, std::size_t> inputs_, at_;
  std::span<const Tensor> given_;
  std::vector<Tensor> results_;
};

// One scale and zero point of a whole tensor; nothing where there are more.
std::optional<Affine> map_of_node(const Graph& q, const Node& node) {
  const Tensor* scale = q.constant(node.in(1));
  const Tensor* zero = q.constant(node.in(2));
  if (scale == nullptr || scale->size() != 1 || scale->dtype() != Dtype::kFloat32) return {};
  Affine a;
  a.scale = scale->values<float>()[0];
  const auto codes = code_range(zero == nullptr ? Dtype::kUint8 : zero->dtype());
  if (!codes || (zero != nullptr && zero->size() != 1)) return {};
  a.codes = *codes;
  if (zero != nullptr) a.zero_point = static_cast<std::int32_t>(to_int64(*zero)[0]);
  return a;
}

void look(const Tensor& x, const Affine& a, QuantizerFigures& q) {
  if (x.dtype() != Dtype::kFloat32) return;
  // Half a step beyond the last code is still rounding.
  const double lo = (a.codes.lo - a.zero_point - 0.5) * static_cast<double>(a.scale);
  const double hi = (a.codes.hi - a.zero_point + 0.5) * static_cast<double>(a.scale);
  q.steps = a.codes.hi - a.codes.lo;
  for (const float value : x.values<float>()) {
    const auto v = static_cast<double>(value);
    const double noise = square(static_cast<double>(decode(encode(value, a), a)) - v);
    q.codes.signal += square(v);
    q.codes.noise += noise;
    q.values += 1;
    q.peak = std::max(q.peak, std::abs(value));
    q.lo = std::min(q.lo, value);
    q.hi = std::max(q.hi, value);
    if (v >= lo && v <= hi) continue;
    q.clipped_noise += noise;
    q.clipped_values += 1;
  }
}

class Comparing {
 public:
  Comparing(const Graph& f, const Graph& q, int threads, const Progress& progress)
      : f_(f), q_(q), threads_(threads), progress_(progress) {}

  Result<Comparison> run(const TensorSource& samples) {
    INTACT_TRY(prepare());
    INTACT_TRY(samples.restart());
    for (;; ++result_.samples) {
      INTACT_ASSIGN(const auto sample, samples.next());
      if (!sample) break;
      auto status = compare(*sample);
      if (!status)
        return fail(status.error().with_context(fmt::format("sample {}", result_.samples)));
      progress_(fmt::format("sample {}", result_.samples + 1), 0);
    }
    if (result_.samples == 0)
      return fail(ErrorCode::kInvalidArgument, "there are no samples to compare on; give --data");
    return std::move(result_);
  }

 private:
  Status prepare() {
    for (const ValueId v : f_.inputs) {
      const auto same = [&](ValueId w) { return q_.value(w).name == f_.value(v).name; };
      const auto at = std::find_if(q_.inputs.begin(), q_.inputs.end(), same);
      if (at == q_.inputs.end() || q_.inputs.size() != f_.inputs.size())
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("the quantized model has no input '{}': it was not made from this "
                                "float model",
                                f_.value(v).name));
      input_of_.push_back(static_cast<std::size_t>(at - q_.inputs.begin()));
    }
    INTACT_ASSIGN(pairs_, pair_layers(f_, q_));
    if (pairs_.layers.empty())
      return fail(ErrorCode::kInvalidArgument,
                  "the two models have no quantized layer in common: is the second one quantized, "
                  "and from the first?");
    const Uses q_uses = q_.uses();
    const Uses f_uses = f_.uses();
    const ShapeAnalysis f_types(f_);
    std::map<std::int32_t, std::size_t> quantizer_of;
    std::set<ValueId> float_values, quantized_values;
    Graph typed = q_.clone();
    for (const QuantizedLayer& layer : pairs_.layers) {
      const ValueId v = layer.piece.outputs[0];
      const Node& node =
          q_.nodes[static_cast<std::size_t>(q_uses.producer[static_cast<std::size_t>(v)])];
      LayerFigures figures;
      figures.node = node.name;
      figures.op = node.op;
      figures.value = f_.value(pairs_.of.at(v).of_float).name;
      figures.product = is_product(node);
      for (const std::int32_t n : layer.quantizers) {
        const auto [it, added] = quantizer_of.try_emplace(n, result_.quantizers.size());
        if (added) add_quantizer(n, f_uses);
        figures.quantizers.push_back(it->second);
      }
      result_.layers.push_back(std::move(figures));
      for (const ValueId leaf : layer.piece.inputs) {
        const ValueId of = pairs_.of.at(leaf).of_float;
        float_values.insert(of);
        // What files leave out: pieces are planned better when the rank is known.
        ValueType& type = typed.value(leaf).type;
        if (std::find(q_.inputs.begin(), q_.inputs.end(), leaf) != q_.inputs.end()) continue;
        type.dtype = f_types[of].dtype;
        if (f_types.rank(of) >= 0)
          type.shape = std::vector<Dim>(static_cast<std::size_t>(f_types.rank(of)));
      }
      float_values.insert(pairs_.of.at(v).of_float);
      quantized_values.insert(v);
    }
    for (const auto& parts : parts_of_) float_values.insert(parts.begin(), parts.end());
    for (const QuantizedLayer& layer : pairs_.layers) {
      Graph piece = cut(typed, layer.piece);
      Graph weights_only = piece.clone();
      let_values_through(weights_only);
      INTACT_ASSIGN(auto local, make_engine(std::move(piece), {.threads = threads_}));
      INTACT_ASSIGN(auto weights, make_engine(std::move(weights_only), {.threads = threads_}));
      local_.push_back(std::move(local));
      weights_.push_back(std::move(weights));
    }
    INTACT_TRY(float_.open(f_, float_values, threads_));
    INTACT_TRY(quantized_.open(q_, quantized_values, threads_));
    for (const ValueId v : f_.outputs) result_.outputs.emplace_back(f_.value(v).name, Energy{});
    if (q_.outputs.size() != f_.outputs.size())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("the float model has {} outputs and the quantized one {}",
                              f_.outputs.size(), q_.outputs.size()));
    return {};
  }

  void add_quantizer(std::int32_t n, const Uses& f_uses) {
    const Node& node = q_.nodes[static_cast<std::size_t>(n)];
    QuantizerFigures figures;
    figures.input = q_.value(node.in(0)).name;
    std::vector<ValueId> parts;
    if (const auto pair = pairs_.of.find(node.in(0)); pair != pairs_.of.end()) {
      figures.input = f_.value(pair->second.of_float).name;
      const std::int32_t made = f_uses.producer[static_cast<std::size_t>(pair->second.of_float)];
      if (made >= 0 && f_.nodes[static_cast<std::size_t>(made)].is("Concat"))
        for (const ValueId v : f_.nodes[static_cast<std::size_t>(made)].inputs)
          if (f_.constant(v) == nullptr) parts.push_back(v);
    }
    figures.part_peak.assign(parts.size(), 0.0f);
    maps_.push_back(map_of_node(q_, node));
    parts_of_.push_back(std::move(parts));
    quantizer_value_.push_back(node.in(0));
    result_.quantizers.push_back(std::move(figures));
  }

  Status compare(const std::vector<Tensor>& sample) {
    const ScopedFpEnv fp;
    RunOptions options;
    options.cancel = progress_.cancel;
    std::vector<Tensor> reordered(sample.size());
    for (std::size_t i = 0; i < sample.size(); ++i) reordered[input_of_[i]] = sample[i];
    INTACT_TRY(float_.run(sample, options));
    INTACT_TRY(quantized_.run(reordered, options));
    for (std::size_t o = 0; o < result_.outputs.size(); ++o)
      INTACT_TRY(with_name(
          add_difference(float_.output(o), quantized_.output(o), {}, result_.outputs[o].second),
          result_.outputs[o].first));
    std::vector<bool> looked(result_.quantizers.size(), false);
    for (std::size_t i = 0; i < pairs_.layers.size(); ++i) {
      INTACT_TRY(progress_.check());
      INTACT_TRY(with_name(compare_layer(i, looked, options), result_.layers[i].node));
    }
    for (std::size_t i = 0; i < parts_of_.size(); ++i)
      for (std::size_t p = 0; p < parts_of_[i].size(); ++p) {
        const Tensor& part = float_.at(parts_of_[i][p]);
        if (part.dtype() != Dtype::kFloat32) continue;
        for (const float x : part.values<float>())
          result_.quantizers[i].part_peak[p] =
              std::max(result_.quantizers[i].part_peak[p], std::abs(x));
      }
    return {};
  }

  static Status with_name(Status status, const std::string& name) {
    if (!status) return fail(status.error().with_context(fmt::format("'{}'", name)));
    return status;
  }

  Status compare_layer(std::size_t i, std::vector<bool>& looked, const RunOptions& options) {
    const Piece& piece = pairs_.layers[i].piece;
    LayerFigures& figures = result_.layers[i];
    const PairedValue& pair = pairs_.of.at(piece.outputs[0]);
    std::vector<Tensor> inputs;
    for (const ValueId leaf : piece.inputs) {
      const PairedValue& given = pairs_.of.at(leaf);
      inputs.push_back(times(float_.at(given.of_float), given.gain));
    }
    const Tensor& wanted = float_.at(pair.of_float);
    INTACT_ASSIGN(const auto local, local_[i]->run(inputs, options));
    INTACT_ASSIGN(const auto weights, weights_[i]->run(inputs, options));
    INTACT_TRY(add_difference(wanted, local[0], pair.gain, figures.local));
    INTACT_TRY(add_difference(wanted, weights[0], pair.gain, figures.weights));
    INTACT_TRY(
        add_difference(wanted, quantized_.at(piece.outputs[0]), pair.gain, figures.cumulative));
    for (const std::size_t q : figures.quantizers) {
      if (looked[q] || !maps_[q]) continue;
      looked[q] = true;
      const ValueId x = quantizer_value_[q];
      const auto leaf = std::find(piece.inputs.begin(), piece.inputs.end(), x);
      const auto made = std::find(piece.outputs.begin(), piece.outputs.end(), x);
      const Tensor& values = leaf != piece.inputs.end()
                                 ? inputs[static_cast<std::size_t>(leaf - piece.inputs.begin())]
                                 : local[static_cast<std::size_t>(made - piece.outputs.begin())];
      look(values, *maps_[q], result_.quantizers[q]);
    }
    return {};
  }

  const Graph& f_;
  const Graph& q_;
  int threads_;
  const Progress& progress_;
  LayerPairs pairs_;
  std::vector<std::size_t> input_of_;  // Of the quantized graph, by input of the float graph.
  Shown float_, quantized_;
  std::vector<std::shared_ptr<Engine>> local_, weights_;  // As pairs_.layers.
  std::vector<std::optional<Affine>> maps_;               // As result_.quantizers.
  std::vector<std::vector<ValueId>> parts_of_;
  std::vector<ValueId> quantizer_value_;
  Comparison result_;
};

}  // namespace

double Energy::sqnr_db() const {
  if (std::isnan(noise)) return -200;
  if (!(noise > 0)) return 200;
  return std::clamp(10 * std::log10(std::max(signal, 1e-300) / noise), -200.0, 200.0);
}

Result<Comparison> compare_layers(const Graph& float_graph, const Graph& quantized,
                                  const TensorSource& samples, int threads,
                                  const Progress& progress) {
  return Comparing(float_graph, quantized, threads, progress).run(samples);
}

}  // namespace intact
