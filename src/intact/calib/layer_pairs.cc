#include "calib/layer_pairs.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "calib/gemm_site.h"
#include "passes/shape_analysis.h"
#include "runtime/plan.h"

namespace intact {
namespace {

// Folded gains begin at 1 (calib/gains.cc); rounding moves a channel's weights by far less.
constexpr double kGainTolerance = 0.1;
constexpr double kLeastGain = 1.2;
constexpr double kDeadChannel = 0.5;

class Pairing {
 public:
  Pairing(const Graph& f, const Graph& q) : f_(f), q_(q), types_(q), uses_(q.uses()) {}

  Result<LayerPairs> run() {
    pair_values();
    INTACT_TRY(find_gains());
    for (const Node& node : q_.nodes)
      for (const ValueId v : node.outputs)
        if (v != kNoValue && pairs_.of.contains(v)) add_layer(v);
    return std::move(pairs_);
  }

 private:
  [[nodiscard]] bool is_real(ValueId v) const {
    const Dtype t = types_[v].dtype;
    return t == Dtype::kFloat32 || t == Dtype::kUndefined;
  }

  void pair_values() {
    for (const ValueId v : q_.inputs)
      if (const auto same = f_.find_value(q_.value(v).name)) pairs_.of[v] = {*same, {}};
    std::map<std::pair<std::string, std::string>, const Node*> by_node;
    for (const Node& node : f_.nodes)
      if (!node.name.empty()) by_node[{node.name, node.op}] = &node;
    const Uses f_uses = f_.uses();
    for (const Node& node : q_.nodes) {
      const auto twin = by_node.find({node.name, node.op});
      const Node* alike = twin != by_node.end() ? twin->second : twin_of(node, f_uses);
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        const ValueId v = node.outputs[i];
        if (v == kNoValue || !is_real(v)) continue;
        const auto same = f_.find_value(q_.value(v).name);
        const ValueId of = same ? *same : alike != nullptr ? alike->out(i) : kNoValue;
        if (of != kNoValue && f_.constant(of) == nullptr) pairs_.of[v] = {of, {}};
      }
    }
  }

  // What a value stands for when its codes are looked through; kNoValue: nothing.
  [[nodiscard]] ValueId source_of(ValueId v) const {
    while (v != kNoValue) {
      if (const auto pair = pairs_.of.find(v); pair != pairs_.of.end())
        return pair->second.of_float;
      const std::int32_t made = uses_.producer[static_cast<std::size_t>(v)];
      if (made < 0) return kNoValue;
      const Node& node = q_.nodes[static_cast<std::size_t>(made)];
      if (!node.is("DequantizeLinear") && !node.is("QuantizeLinear")) return kNoValue;
      v = node.in(0);
    }
    return kNoValue;
  }

  // The one node of the float graph that does the same with the same values; null when none does,
  // or several.
  [[nodiscard]] const Node* twin_of(const Node& node, const Uses& f_uses) const {
    const ValueId first = source_of(node.in(0));
    if (first == kNoValue) return nullptr;
    const Node* found = nullptr;
    for (const std::int32_t n : f_uses.readers[static_cast<std::size_t>(first)]) {
      const Node& other = f_.nodes[static_cast<std::size_t>(n)];
      bool same = other.op == node.op && other.domain == node.domain &&
                  other.inputs.size() == node.inputs.size() &&
                  other.outputs.size() == node.outputs.size();
      for (std::size_t i = 0; same && i < node.inputs.size(); ++i)
        same = f_.constant(other.in(i)) != nullptr || other.in(i) == source_of(node.in(i));
      if (same && found != nullptr && found != &other) return nullptr;
      if (same) found = &other;
    }
    return found;
  }

  // A constant of the quantized graph, or what its codes stand for; undefined for other values.
  Result<Tensor> constant_of(ValueId w) const {
    if (const Tensor* t = q_.constant(w)) return *t;
    const std::int32_t made = w == kNoValue ? -1 : uses_.producer[static_cast<std::size_t>(w)];
    if (made < 0) return Tensor();
    const Node& node = q_.nodes[static_cast<std::size_t>(made)];
    std::vector<Tensor> inputs;
    for (const ValueId v : node.inputs) {
      const Tensor* t = q_.constant(v);
      if (v != kNoValue && t == nullptr) return Tensor();
      inputs.push_back(t == nullptr ? Tensor() : *t);
    }
    if (!node.is("DequantizeLinear")) return Tensor();
    INTACT_ASSIGN(auto outputs, evaluate_node(node, inputs, q_));
    return std::move(outputs[0]);
  }

  // The gain of the codes that a product reads: of the value behind Q and DQ, times that of the Mul
  // which is written where a gain could not be folded.
  [[nodiscard]] std::vector<float> input_gain(const Node& product) const {
    ValueId v = product.in(0);
    std::vector<float> gain;
    for (int step = 0; step < 3; ++step) {
      if (const auto pair = pairs_.of.find(v); pair != pairs_.of.end()) {
        const std::vector<float>& before = pair->second.gain;
        if (gain.empty()) return before;
        for (std::size_t c = 0; c < gain.size() && before.size() == gain.size(); ++c)
          gain[c] *= before[c];
        return gain;
      }
      const std::int32_t made = v == kNoValue ? -1 : uses_.producer[static_cast<std::size_t>(v)];
      if (made < 0) return gain;
      const Node& node = q_.nodes[static_cast<std::size_t>(made)];
      const Tensor* factor = q_.constant(node.in(1));
      if (node.is("Mul") && factor != nullptr && factor->dtype() == Dtype::kFloat32) {
        const auto values = factor->values<float>();
        gain.assign(values.begin(), values.end());
      } else if (!node.is("DequantizeLinear") && !node.is("QuantizeLinear")) {
        return gain;
      }
      v = node.in(0);
    }
    if (const auto pair = pairs_.of.find(v); pair != pairs_.of.end() && gain.empty())
      return pair->second.gain;
    return gain;
  }

  // The factor of each output channel of a product: least squares over its weights, those of the
  // float model with the gain of the input divided out.
  static std::vector<float> factors(const GemmSite& site, const Tensor& w, const Tensor& w_hat,
                                    const std::vector<float>& input, const Tensor* b,
                                    const Tensor& b_hat) {
    const auto bias_is = [&](std::size_t n) {
      return b != nullptr && b->dtype() == Dtype::kFloat32 && b_hat.defined() &&
             b_hat.dtype() == Dtype::kFloat32 && n < static_cast<std::size_t>(b->size()) &&
             b->size() == b_hat.size();
    };
    const std::vector<float> x = weight_matrix(site, w);
    const std::vector<float> y = weight_matrix(site, w_hat);
    const bool gained = input.size() == input_channels(site);
    std::vector<float> gain(site.channels(), 1.0f);
    double least = HUGE_VAL, most = 0;
    for (std::size_t n = 0; n < gain.size(); ++n) {
      double xx = 0, xy = 0;
      for (std::size_t k = 0; k < site.taps; ++k) {
        double value = static_cast<double>(x[n * site.taps + k]);
        if (gained) value /= static_cast<double>(input[channel_of_tap(site, n / site.rows, k)]);
        xx += value * value;
        xy += value * static_cast<double>(y[n * site.taps + k]);
      }
      // No gain is below 1: such a channel is dead, its weights were rounded away. Its bias tells.
      if (!(xx > 0) || xy < kDeadChannel * xx) {
        if (!bias_is(n)) continue;
        xx = 1;
        xy = static_cast<double>(b_hat.values<float>()[n]) /
             static_cast<double>(b->values<float>()[n]);
        if (!(xy >= kDeadChannel && xy < HUGE_VAL)) continue;
      }
      gain[n] = static_cast<float>(xy / xx);
      least = std::min(least, xy / xx);
      most = std::max(most, xy / xx);
    }
    if (std::abs(least - 1) > kGainTolerance || most < kLeastGain) gain.clear();
    return gain;
  }

  Status find_gains() {
    static const std::set<std::string, std::less<>> passes_gains = {
        "Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool"};
    const GemmSites sites = find_gemm_sites(f_);
    std::map<ValueId, const GemmSite*> site_of;
    for (const GemmSite& s : sites.sites)
      site_of[f_.nodes[static_cast<std::size_t>(s.node)].out(0)] = &s;
    for (const Node& node : q_.nodes) {
      const auto out = pairs_.of.find(node.out(0));
      if (out == pairs_.of.end()) continue;
      if (passes_gains.contains(node.op)) {
        const auto in = pairs_.of.find(node.in(0));
        if (in != pairs_.of.end()) out->second.gain = in->second.gain;
        continue;
      }
      const auto site = site_of.find(out->second.of_float);
      if (site == site_of.end() ||
          (site->second->kind != GemmKind::kConv && site->second->kind != GemmKind::kGemm))
        continue;
      INTACT_ASSIGN(const Tensor w_hat, constant_of(node.in(1)));
      INTACT_ASSIGN(const Tensor b_hat, constant_of(node.in(2)));
      const Tensor* w = f_.constant(site->second->weight);
      if (!w_hat.defined() || w == nullptr || w->dtype() != Dtype::kFloat32 ||
          w_hat.dtype() != Dtype::kFloat32 || w_hat.shape() != w->shape())
        continue;
      out->second.gain = factors(*site->second, *w, w_hat, input_gain(node),
                                 f_.constant(site->second->bias), b_hat);
    }
    return {};
  }

  void add_layer(ValueId v) {
    QuantizedLayer layer;
    std::set<std::int32_t> nodes;
    std::set<ValueId> leaves;
    bool quantizes = false;
    std::vector<ValueId> open{v};
    while (!open.empty()) {
      const ValueId at = open.back();
      open.pop_back();
      const std::int32_t n = uses_.producer[static_cast<std::size_t>(at)];
      const bool paired = pairs_.of.contains(at);
      if (n < 0 || (paired && at != v && is_real(at))) {
        if (!paired) return;  // Nothing to feed it with.
        leaves.insert(at);
        continue;
      }
      if (!nodes.insert(n).second) continue;
      const Node& node = q_.nodes[static_cast<std::size_t>(n)];
      if (node.op.find("uantize") != std::string::npos) quantizes = true;
      if (node.is("QuantizeLinear") && q_.constant(node.in(0)) == nullptr)
        layer.quantizers.push_back(n);
      for (const ValueId in : node.inputs)
        if (in != kNoValue && q_.constant(in) == nullptr) open.push_back(in);
    }
    if (!quantizes) return;
    layer.piece.nodes.assign(nodes.begin(), nodes.end());
    layer.piece.inputs.assign(leaves.begin(), leaves.end());
    layer.piece.outputs = {v};
    // What a quantizer reads and the piece computes itself is shown too.
    for (const std::int32_t n : layer.quantizers) {
      const ValueId x = q_.nodes[static_cast<std::size_t>(n)].in(0);
      const auto& shown = layer.piece.outputs;
      if (!leaves.contains(x) && std::find(shown.begin(), shown.end(), x) == shown.end())
        layer.piece.outputs.push_back(x);
    }
    pairs_.layers.push_back(std::move(layer));
  }

  const Graph& f_;
  const Graph& q_;
  ShapeAnalysis types_;
  Uses uses_;
  LayerPairs pairs_;
};

}  // namespace

Result<LayerPairs> pair_layers(const Graph& float_graph, const Graph& quantized) {
  return Pairing(float_graph, quantized).run();
}

}  // namespace intact
