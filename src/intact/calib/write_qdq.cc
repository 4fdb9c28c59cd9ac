#include "calib/write_qdq.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/check.h"
#include "base/round.h"
#include "quant/scheme.h"

namespace intact {
namespace {

class Writer {
 public:
  Writer(Graph& graph, const Placement& placement, Decisions& d, const WriteOptions& options)
      : g_(graph),
        placement_(placement),
        d_(d),
        options_(options),
        original_nodes_(graph.nodes.size()) {}

  Status run() {
    for (std::size_t i = 0; i < placement_.tensors.size(); ++i) fold_gain(i);
    for (std::size_t i = 0; i < placement_.tensors.size(); ++i) write_tensor(i);
    for (std::size_t s = 0; s < placement_.sites.size(); ++s) INTACT_TRY(write_site(s));
    for (std::size_t i = 0; i < placement_.operands.size(); ++i) write_operand(i);
    write_tables();
    INTACT_TRY(g_.sort());
    for (Value& v : g_.values) {
      if (v.constant) continue;
      const auto id = static_cast<ValueId>(&v - g_.values.data());
      if (std::find(g_.inputs.begin(), g_.inputs.end(), id) == g_.inputs.end() &&
          std::find(g_.outputs.begin(), g_.outputs.end(), id) == g_.outputs.end())
        v.type = {};  // No value_info: half of a small file.
      v.doc_string.clear();
    }
    for (Node& n : g_.nodes) n.doc_string.clear();
    g_.compact();
    if (options_.short_names) shorten_names();
    return {};
  }

 private:
  // The gain of a tensor moves into the products that make it: their weight scales and biases grow,
  // their codes stay.
  void fold_gain(std::size_t i) {
    const QuantTensor& t = placement_.tensors[i];
    std::vector<float>& gain = d_.tensors[i].gain;
    if (gain.empty() || t.makers.empty()) return;
    std::size_t c = 0;
    for (const std::size_t m : t.makers) {
      SiteDecision& s = d_.sites[m];
      for (std::size_t n = 0; n < s.scales.size(); ++n, ++c) {
        s.scales[n] = scale_near(s.scales[n] * gain[c], options_.scales);
        if (!s.bias.empty()) s.bias[n] *= static_cast<double>(gain[c]);
      }
    }
    gain.clear();
  }

  std::string named(ValueId v, std::string_view what) const {
    return fmt::format("{}_{}", g_.value(v).name, what);
  }

  ValueId add(std::string op, std::vector<ValueId> inputs, std::string output, int axis = -1) {
    Node node;
    if (!options_.short_names) node.name = fmt::format("{}_{}", output, op);
    node.op = std::move(op);
    node.inputs = std::move(inputs);
    if (axis >= 0) node.attributes["axis"] = std::int64_t{axis};
    return g_.add_node(std::move(node), std::move(output));
  }

  // Codes of a value and what they stand for, named after `name`; returns the latter.
  ValueId add_codes(ValueId source, const Affine& map, std::string name) {
    const ValueId scale = g_.add_constant(name + "_scale", Tensor::scalar<float>(map.scale));
    const ValueId zero = g_.add_constant(
        name + "_zero",
        map.codes.lo < 0 ? Tensor::scalar<std::int8_t>(static_cast<std::int8_t>(map.zero_point))
                         : Tensor::scalar<std::uint8_t>(static_cast<std::uint8_t>(map.zero_point)));
    const ValueId codes = add("QuantizeLinear", {source, scale, zero}, name + "_q");
    return add("DequantizeLinear", {codes, scale, zero}, name + "_dq");
  }

  // A side of products of two activations, unless it moves what is codes already.
  void write_operand(std::size_t i) {
    const PairOperand& o = placement_.operands[i];
    const std::size_t side = o.right ? 1 : 0;
    const auto reads = [&](const ActivationPair& pair) { return pair.operands[side] == i; };
    if (std::none_of(placement_.pairs.begin(), placement_.pairs.end(), reads)) return;
    if (const auto at = placement_.tensor_of.find(o.source);
        at != placement_.tensor_of.end() && placement_.tensors[at->second].shared &&
        d_.tensors[at->second].gain.empty())
      return;
    const ValueId real =
        add_codes(o.value, d_.operands[i], g_.value(o.value).name + (o.right ? "_right" : "_left"));
    for (const ActivationPair& pair : placement_.pairs)
      if (reads(pair)) g_.nodes[static_cast<std::size_t>(pair.node)].inputs[side] = real;
  }

  void write_tensor(std::size_t i) {
    const QuantTensor& t = placement_.tensors[i];
    const TensorDecision& d = d_.tensors[i];
    if (t.given) return;
    ValueId source = t.value;
    if (!d.gain.empty()) {
      Shape shape{static_cast<std::int64_t>(d.gain.size())};
      const GemmSite& reader = placement_.sites[t.readers[0]];
      const std::size_t rank = g_.constant(reader.weight)->rank();
      if (input_channel_axis(reader, rank) == 1 && reader.kind != GemmKind::kGemm &&
          reader.kind != GemmKind::kMatMul)
        shape.insert(shape.end(), rank - 2, 1);
      const ValueId gain = g_.add_constant(
          named(t.value, "gain"), Tensor::of<float>(shape, std::span<const float>(d.gain)));
      source = add("Mul", {source, gain}, named(t.value, "scaled"));
    }
    const ValueId real = add_codes(source, d.map, g_.value(t.value).name);
    for (const std::size_t s : t.readers)
      g_.nodes[static_cast<std::size_t>(placement_.sites[s].node)].inputs[0] = real;
    if (!t.shared || !d.gain.empty()) return;
    for (std::size_t n = 0; n < original_nodes_; ++n)
      if (g_.nodes[n].op != "Shape")
        std::replace(g_.nodes[n].inputs.begin(), g_.nodes[n].inputs.end(), t.value, real);
  }

  Status write_site(std::size_t index) {
    const GemmSite& site = placement_.sites[index];
    SiteDecision& s = d_.sites[index];
    const Affine& input = d_.tensors[placement_.tensor_of.at(site.input)].map;
    const Shape shape = g_.constant(site.weight)->shape();
    const std::string weight_name = g_.value(site.weight).name;
    const AxisView view = axis_view(shape, static_cast<std::size_t>(site.weight_axis));
    const std::string who = g_.nodes[static_cast<std::size_t>(site.node)].name;
    if (!s.bias.empty()) keep_bias_in_range(view, input, s);
    for (float& scale : s.scales) scale = std::max(scale, static_cast<float>(kMinWeightScale));
    std::vector<std::int32_t> bias_codes;
    if (!s.bias.empty() && !options_.float_bias) {
      INTACT_ASSIGN(bias_codes,
                    quantize_bias(std::span<const double>(s.bias), input.scale, s.scales));
    }
    const auto bad = find_overflow<std::int8_t>(s.codes, view, {}, bias_codes, input);
    if (bad)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("node '{}': channel {} could overflow its 32-bit accumulator; keep "
                              "the node float with --keep-float '{}'",
                              who, *bad, who));
    const ValueId codes = g_.add_constant(
        weight_name + "_q", Tensor::of<std::int8_t>(shape, std::span<const std::int8_t>(s.codes)));
    const Shape channels{static_cast<std::int64_t>(s.scales.size())};
    const bool one = options_.one_scale && is_uniform(s.scales);
    const ValueId scales = g_.add_constant(weight_name + "_s", scale_tensor(s.scales, one));
    const ValueId w =
        add("DequantizeLinear", {codes, scales}, weight_name + "_dq", one ? -1 : site.weight_axis);
    g_.nodes[static_cast<std::size_t>(site.node)].inputs[1] = w;
    if (s.bias.empty()) return {};
    ValueId bias = kNoValue;
    const std::string bias_name =
        site.bias == kNoValue ? weight_name + "_bias" : g_.value(site.bias).name;
    if (options_.float_bias) {
      const std::vector<float> b(s.bias.begin(), s.bias.end());
      bias =
          g_.add_constant(bias_name + "_f", Tensor::of<float>(channels, std::span<const float>(b)));
    } else {
      std::vector<float> scale;
      for (const float w_scale : s.scales) scale.push_back(input.scale * w_scale);
      const ValueId b = g_.add_constant(
          bias_name + "_q",
          Tensor::of<std::int32_t>(channels, std::span<const std::int32_t>(bias_codes)));
      const ValueId bs = g_.add_constant(bias_name + "_s", scale_tensor(scale, one));
      bias = add("DequantizeLinear", {b, bs}, bias_name + "_dq", one ? -1 : 0);
    }
    Node& node = g_.nodes[static_cast<std::size_t>(site.node)];
    if (node.inputs.size() < 3) node.inputs.resize(3, kNoValue);
    node.inputs[2] = bias;
    return {};
  }

  static Tensor scale_tensor(const std::vector<float>& scales, bool one) {
    if (one) return Tensor::scalar<float>(scales[0]);
    return Tensor::of<float>({static_cast<std::int64_t>(scales.size())},
                             std::span<const float>(scales));
  }

  // Bias correction may have moved a bias beyond what its scale can hold: the channel's scale
  // grows.
  void keep_bias_in_range(const AxisView& view, const Affine& input, SiteDecision& s) const {
    const std::vector<double> least = least_scales(s.bias, input.scale);
    for (std::size_t c = 0; c < view.channels; ++c) {
      const double old = static_cast<double>(s.scales[c]);
      if (old >= least[c]) continue;
      s.scales[c] =
          scale_above(std::nextafter(static_cast<float>(least[c]), HUGE_VALF), options_.scales);
      const double ratio = old / static_cast<double>(s.scales[c]);
      for (std::size_t o = 0; o < view.outer; ++o)
        for (std::size_t i = 0; i < view.inner; ++i) {
          std::int8_t& q = s.codes[(o * view.channels + c) * view.inner + i];
          q = static_cast<std::int8_t>(round_half_even(static_cast<double>(q) * ratio));
        }
    }
  }

  void write_tables() {
    for (std::size_t n = 0; n < original_nodes_; ++n) {
      const Node& node = g_.nodes[n];
      if (!node.is("Gather") || node.get_int("axis", 0) != 0) continue;
      const Tensor* found = g_.constant(node.in(0));
      if (found == nullptr || found->dtype() != Dtype::kFloat32 || found->rank() != 2 ||
          found->size() <= options_.least_table)
        continue;
      const Tensor table = *found;
      const std::string name = g_.value(node.in(0)).name;
      const AxisView view = axis_view(table.shape(), 0);
      const auto scales = choose_weight_scales(table.values<float>(), view, {}, 1.0f);
      if (!scales) continue;  // Not finite: stays as it is.
      Tensor codes(Dtype::kInt8, table.shape());
      quantize_weights(table.values<float>(), view, *scales, {-127, 127},
                       codes.mutable_values<std::int8_t>());
      const ValueId q = g_.add_constant(name + "_q", codes);
      const ValueId s = g_.add_constant(
          name + "_s", Tensor::of<float>({table.shape()[0]}, std::span<const float>(*scales)));
      const ValueId real = add("DequantizeLinear", {q, s}, name + "_dq", 0);
      g_.nodes[n].inputs[0] = real;
    }
  }

  void shorten_names() {
    const auto outside = [&](ValueId v) {
      return std::find(g_.inputs.begin(), g_.inputs.end(), v) != g_.inputs.end() ||
             std::find(g_.outputs.begin(), g_.outputs.end(), v) != g_.outputs.end();
    };
    constexpr std::string_view kLetters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    // A name of the float model stays what it was there, or is gone: compare pairs values by name.
    std::set<std::string> old;
    for (const Value& v : g_.values) old.insert(v.name);
    std::size_t next = 0;
    for (std::size_t i = 0; i < g_.values.size(); ++i) {
      const auto v = static_cast<ValueId>(i);
      if (outside(v)) continue;
      std::string name;
      do {
        name.clear();
        for (std::size_t k = next++;; k /= kLetters.size()) {
          name += kLetters[k % kLetters.size()];
          if (k < kLetters.size()) break;
        }
      } while (old.contains(name));
      g_.rename(v, name);
    }
  }

  Graph& g_;
  const Placement& placement_;
  Decisions& d_;
  const WriteOptions& options_;
  std::size_t original_nodes_;
};

}  // namespace

Status write_qdq(Graph& graph, const Placement& placement, Decisions decisions,
                 const WriteOptions& options) {
  INTACT_CHECK(graph.opset() >= 13, "per-channel scales need opset 13");
  return Writer(graph, placement, decisions, options).run();
}

}  // namespace intact
