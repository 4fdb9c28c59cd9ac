#include "calib/lockstep.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "base/cpu_budget.h"
#include "base/fp_env.h"
#include "base/heap.h"
#include "base/page_vector.h"
#include "base/thread_pool.h"
#include "calib/chunks.h"
#include "calib/fit.h"
#include "calib/gains.h"
#include "calib/spool.h"

namespace intact {
namespace {

constexpr std::int64_t kJudgeEvery = 4;                     // Sample 3, 7, 11, ... judges.
constexpr std::size_t kBatchRows = 512;                     // Of a fit, summed up at a time.
constexpr std::size_t kBatchFloats = std::size_t{1} << 20;  // They are fewer when they are long.

// What waits for the chunks to come. kCodes: codes in 8 bits; kReal: the tensor before them.
enum Form : std::int64_t { kReal, kCodes };

class Lockstep {
 public:
  Lockstep(const Graph& graph, const Placement& placement, const Observations& seen,
           const LockstepOptions& options, const Progress& progress, Decisions& decisions,
           TensorSpool spool)
      : g_(graph),
        placement_(placement),
        seen_(seen),
        rows_(*seen.rows),
        o_(options),
        progress_(progress),
        d_(decisions),
        spool_(std::move(spool)),
        pool_(options.threads > 0 ? options.threads : default_threads()) {}

  Status run(const TensorSource& source) {
    const ScopedFpEnv fp;
    INTACT_TRY(load(source));
    for (const ValueId v : g_.inputs)
      if (placement_.tensor_of.contains(v)) {
        INTACT_TRY(choose(v));
        INTACT_TRY(settle(v, all_));
      }
    const std::vector<Chunk> chunks = make_chunks(g_, placement_);
    for (std::size_t c = 0; c < chunks.size(); ++c) {
      INTACT_TRY(progress_.check());
      const Chunk& chunk = chunks[c];
      if (chunk.site >= 0) INTACT_TRY(fit(static_cast<std::size_t>(chunk.site)));
      INTACT_TRY(run_chunk(chunk));
      for (const ValueId v : chunk.last_read)
        for (const std::int64_t k : all_)
          for (const Form f : {kReal, kCodes}) spool_.drop(key(f, k, v));
      progress_("fit", static_cast<double>(c + 1) / static_cast<double>(chunks.size()));
    }
    return {};
  }

 private:
  [[nodiscard]] std::int64_t key(Form f, std::int64_t sample, ValueId v) const {
    return (static_cast<std::int64_t>(v) * rows_.samples() + sample) * 2 + f;
  }

  Status for_samples(std::span<const std::int64_t> samples,
                     const std::function<Status(std::int64_t)>& task) const {
    std::vector<Status> status(samples.size());
    pool_.run(samples.size(), [&](std::size_t i) { status[i] = task(samples[i]); });
    for (const Status& s : status) INTACT_TRY(s);
    return {};
  }

  Status load(const TensorSource& source) {
    INTACT_TRY(source.restart());
    std::int64_t n = 0;
    for (; n < rows_.samples(); ++n) {
      INTACT_ASSIGN(const auto sample, source.next());
      if (!sample) break;
      for (std::size_t i = 0; i < g_.inputs.size(); ++i)
        INTACT_TRY(spool_.put(key(kReal, n, g_.inputs[i]), (*sample)[i]));
      all_.push_back(n);
    }
    // With few samples all of them decide and judge.
    for (const std::int64_t k : all_) {
      const bool judges = k % kJudgeEvery == kJudgeEvery - 1;
      if (n < kJudgeEvery || judges) judging_.push_back(k);
      if (n < kJudgeEvery || !judges) deciding_.push_back(k);
    }
    return {};
  }

  // The decision for a value whose readers see codes, or null.
  [[nodiscard]] const TensorDecision* codes_of(ValueId v) const {
    const auto at = placement_.tensor_of.find(v);
    if (at == placement_.tensor_of.end()) return nullptr;
    const TensorDecision& d = d_.tensors[at->second];
    const QuantTensor& t = placement_.tensors[at->second];
    return t.shared && !t.given && d.gain.empty() ? &d : nullptr;
  }
  // Reals of the model's own codes stay reals here: they are exact.
  [[nodiscard]] bool is_given(ValueId v) const {
    return placement_.tensors[placement_.tensor_of.at(v)].given.has_value();
  }
  // The decision for input i of a chunk, or null when it is real.
  [[nodiscard]] const TensorDecision* input_codes(const Chunk& chunk, std::size_t i) const {
    const ValueId v = chunk.piece.inputs[i];
    const bool first = chunk.site >= 0 && i == 0;
    return first && !is_given(v) ? &d_.tensors[placement_.tensor_of.at(v)] : codes_of(v);
  }

  Result<std::vector<Tensor>> chunk_inputs(const Chunk& chunk, std::int64_t k) const {
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < chunk.piece.inputs.size(); ++i) {
      const Form form = input_codes(chunk, i) != nullptr ? kCodes : kReal;
      INTACT_ASSIGN(Tensor t, spool_.get(key(form, k, chunk.piece.inputs[i])));
      inputs.push_back(std::move(t));
    }
    return inputs;
  }

  // The chunk with what was decided before it: inputs that are codes, integer weights.
  Result<std::shared_ptr<Engine>> chunk_engine(const Chunk& chunk) const {
    const std::int32_t first =
        chunk.site >= 0 ? placement_.sites[static_cast<std::size_t>(chunk.site)].node : -1;
    Graph graph = cut(g_, chunk.piece, first);
    if (chunk.site >= 0) put_weights(graph, static_cast<std::size_t>(chunk.site));
    // Passes want to know types and ranks; sizes may differ from sample to sample.
    INTACT_ASSIGN(const auto inputs, chunk_inputs(chunk, all_[0]));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      ValueType type;
      type.dtype = inputs[i].dtype();
      type.shape.emplace(inputs[i].rank());
      if (const TensorDecision* d = input_codes(chunk, i))
        read_codes(graph, i, type, d->map);
      else
        graph.value(graph.inputs[i]).type = type;
    }
    INTACT_TRY(graph.sort());
    return make_engine(std::move(graph), {.threads = 1});
  }

  // Input i of the graph becomes codes of it, behind a DequantizeLinear.
  static void read_codes(Graph& graph, std::size_t i, const ValueType& type, const Affine& map) {
    const ValueId real = graph.inputs[i];
    Node node;
    node.op = "DequantizeLinear";
    const std::string name = graph.value(real).name;
    graph.inputs[i] = graph.add_value(name + "/codes", type);
    node.inputs = {
        graph.inputs[i], graph.add_constant(name + "/scale", Tensor::scalar<float>(map.scale)),
        graph.add_constant(
            name + "/zero",
            type.dtype == Dtype::kInt8
                ? Tensor::scalar<std::int8_t>(static_cast<std::int8_t>(map.zero_point))
                : Tensor::scalar<std::uint8_t>(static_cast<std::uint8_t>(map.zero_point)))};
    node.outputs = {real};
    graph.value(real).type.dtype = Dtype::kFloat32;
    graph.value(real).type.shape.reset();
    graph.nodes.insert(graph.nodes.begin(), std::move(node));
  }

  // The product of a piece gets its codes and the corrected bias.
  void put_weights(Graph& piece, std::size_t index) const {
    const GemmSite& site = placement_.sites[index];
    const SiteDecision& s = d_.sites[index];
    const Shape channels{static_cast<std::int64_t>(s.scales.size())};
    Node dequantize;
    dequantize.op = "DequantizeLinear";
    dequantize.attributes["axis"] = std::int64_t{site.weight_axis};
    dequantize.inputs = {
        piece.add_constant("codes of weights",
                           Tensor::of<std::int8_t>(g_.constant(site.weight)->shape(),
                                                   std::span<const std::int8_t>(s.codes))),
        piece.add_constant("scales of weights",
                           Tensor::of<float>(channels, std::span<const float>(s.scales)))};
    const ValueId weight = piece.add_node(std::move(dequantize), "weights of codes");
    const std::string out_name =
        g_.value(g_.nodes[static_cast<std::size_t>(site.node)].out(0)).name;
    ValueId bias = kNoValue;
    if (!s.bias.empty()) {
      const std::vector<float> b(s.bias.begin(), s.bias.end());
      bias = piece.add_constant("corrected bias",
                                Tensor::of<float>(channels, std::span<const float>(b)));
    }
    for (Node& node : piece.nodes) {
      if (!is_product(node) || piece.value(node.out(0)).name != out_name) continue;
      node.inputs[1] = weight;
      if (bias == kNoValue) continue;
      if (node.inputs.size() < 3) node.inputs.resize(3, kNoValue);
      node.inputs[2] = bias;
    }
  }

  // Runs a chunk on all samples: on those that judge first, because they choose the ranges of what
  // it makes; what the others make becomes codes at once.
  Status run_chunk(const Chunk& chunk) {
    INTACT_ASSIGN(const auto engine, chunk_engine(chunk));
    const std::vector<ValueId>& outputs = chunk.piece.outputs;
    const auto run = [&](std::int64_t k) -> Result<std::vector<Tensor>> {
      INTACT_ASSIGN(const auto inputs, chunk_inputs(chunk, k));
      return engine->run(inputs);
    };
    const auto run_only = [&](std::int64_t k) -> Status {
      INTACT_ASSIGN(const auto results, run(k));
      for (std::size_t i = 0; i < outputs.size(); ++i)
        INTACT_TRY(spool_.put(key(kReal, k, outputs[i]), results[i]));
      return {};
    };
    INTACT_TRY(for_samples(judging_, run_only));
    for (const ValueId v : chunk.becomes_codes) {
      INTACT_TRY(choose(v));
      INTACT_TRY(settle(v, judging_));
    }
    if (judging_.size() == all_.size()) return {};
    return for_samples(deciding_, [&](std::int64_t k) -> Status {
      INTACT_ASSIGN(const auto results, run(k));
      for (std::size_t i = 0; i < outputs.size(); ++i) INTACT_TRY(keep(outputs[i], k, results[i]));
      return {};
    });
  }

  // Keeps a value in the forms in which it is read.
  Status keep(ValueId v, std::int64_t k, const Tensor& x) {
    const auto at = placement_.tensor_of.find(v);
    if (at == placement_.tensor_of.end()) return spool_.put(key(kReal, k, v), x);
    const QuantTensor& t = placement_.tensors[at->second];
    if (t.given) return spool_.put(key(kReal, k, v), x);
    const int axis = input_channel_axis(placement_.sites[t.readers[0]], x.rank());
    INTACT_TRY(spool_.put(key(kCodes, k, v), codes_of_tensor(x, axis, d_.tensors[at->second])));
    const bool real = codes_of(v) == nullptr && !t.only_products;
    return real ? spool_.put(key(kReal, k, v), x) : Status{};
  }

  // The same for values whose decision was open when they were made.
  Status settle(ValueId v, std::span<const std::int64_t> samples) {
    if (is_given(v)) return {};
    return for_samples(samples, [&](std::int64_t k) -> Status {
      INTACT_ASSIGN(const Tensor x, spool_.get(key(kReal, k, v)));
      spool_.drop(key(kReal, k, v));
      return keep(v, k, x);
    });
  }

  // Chooses range and gains of a tensor by its real form on the samples that judge.
  Status choose(ValueId v) {
    if (o_.ranges.empty() || is_given(v)) return {};
    const std::size_t index = placement_.tensor_of.at(v);
    const QuantTensor& t = placement_.tensors[index];
    TensorDecision& d = d_.tensors[index];
    RangeChoice choice{g_,
                       placement_,
                       index,
                       seen_.tensors[index],
                       target_of(t, o_.target),
                       o_.ranges[index],
                       WeightOptions{.scales = o_.weights.scales},
                       d,
                       o_.also_minmax,
                       o_.gains && !o_.one_scale,
                       {},
                       {},
                       {}};
    for (const std::size_t m : t.makers)
      choice.maker_scales.insert(choice.maker_scales.end(), d_.sites[m].scales.begin(),
                                 d_.sites[m].scales.end());
    bool any = false;
    for (const std::size_t r : t.readers) {
      GatheredRows& rows = choice.readers.emplace_back();
      std::vector<std::size_t> begin{0};
      for (const std::int64_t k : judging_)
        begin.push_back(begin.back() + rows_.count(r, k) * rows_.width(r));
      rows.x.resize(begin.back());
      rows.x_hat.resize(begin.back());
      const auto gather = [&](std::int64_t k) -> Status {
        const std::size_t at = begin[static_cast<std::size_t>(
            std::find(judging_.begin(), judging_.end(), k) - judging_.begin())];
        if (rows_.count(r, k) == 0) return {};
        INTACT_TRY(rows_.get(r, k, rows.x.data() + at));
        INTACT_ASSIGN(const Tensor x, spool_.get(key(kReal, k, v)));
        gather_rows(g_, placement_.sites[r], x.shape(), row_major_strides(x.shape()),
                    x.values<float>().data(), rows_.count(r, k), rows.x_hat.data() + at);
        return {};
      };
      INTACT_TRY(for_samples(judging_, gather));
      any = any || begin.back() > 0;
    }
    if (any) {
      INTACT_ASSIGN(d, choose_map(choice, pool_));
    }
    return {};
  }

  // Calls the visitor with batches of the rows of these samples: those of the float network, times
  // the gains, and those that the codes stand for.
  Status visit_rows(std::size_t index, std::span<const std::int64_t> samples,
                    const RowVisitor& visit) const {
    const GemmSite& site = placement_.sites[index];
    const TensorDecision& input = d_.tensors[placement_.tensor_of.at(site.input)];
    const std::size_t width = rows_.width(index);
    const std::size_t each = rows_.rows_a_sample(index);
    std::vector<float> by_tap;
    if (!input.gain.empty())
      for (std::size_t i = 0; i < width; ++i)
        by_tap.push_back(input.gain[channel_of_tap(site, i / site.taps, i % site.taps)]);
    std::array<float, 256> real;
    for (std::size_t b = 0; b < real.size(); ++b) {
      const bool is_signed = input.map.codes.lo < 0;
      real[b] =
          decode(is_signed ? static_cast<std::int8_t>(b) : static_cast<std::int32_t>(b), input.map);
    }
    const std::size_t wanted = std::min(kBatchRows, std::max<std::size_t>(1, kBatchFloats / width));
    const std::size_t batch = std::max<std::size_t>(1, wanted / each);  // Samples.
    // As large for few samples as for many.
    PageVector<float> x(std::max(wanted, each) * width), x_hat(x.size());
    for (std::size_t from = 0; from < samples.size(); from += batch) {
      const auto part = samples.subspan(from, std::min(batch, samples.size() - from));
      std::vector<std::size_t> begin{0};
      for (const std::int64_t k : part) begin.push_back(begin.back() + rows_.count(index, k));
      const auto gather = [&](std::int64_t k) -> Status {
        const auto i =
            static_cast<std::size_t>(std::find(part.begin(), part.end(), k) - part.begin());
        if (begin[i] == begin[i + 1]) return {};
        float* const to = x.data() + begin[i] * width;
        INTACT_TRY(rows_.get(index, k, to));
        if (!by_tap.empty())
          for (std::size_t r = 0; r < begin[i + 1] - begin[i]; ++r)
            for (std::size_t t = 0; t < width; ++t) to[r * width + t] *= by_tap[t];
        if (is_given(site.input)) {
          std::copy_n(to, (begin[i + 1] - begin[i]) * width, x_hat.data() + begin[i] * width);
          return {};
        }
        INTACT_ASSIGN(const Tensor codes, spool_.get(key(kCodes, k, site.input)));
        gather_rows(g_, site, codes, real, each, x_hat.data() + begin[i] * width);
        return {};
      };
      INTACT_TRY(for_samples(part, gather));
      if (begin.back() > 0)
        visit(std::span(x).first(begin.back() * width),
              std::span(x_hat).first(begin.back() * width));
    }
    return {};
  }

  Status fit(std::size_t index) {
    const GemmSite& site = placement_.sites[index];
    const Node& node = g_.nodes[static_cast<std::size_t>(site.node)];
    const TensorDecision& input = d_.tensors[placement_.tensor_of.at(site.input)];
    SiteDecision& s = d_.sites[index];
    const std::vector<float> m = gained_weights(site, *g_.constant(site.weight), input.gain);
    const std::vector<double> bias = bias_of(g_, site);
    const std::vector<double> least = least_scales(bias, input.map.scale);
    FitMoments moments(site.groups, site.taps, site.has_bias_input());
    const RowVisitor add = [&](auto x, auto x_hat) { moments.add(x, x_hat, pool_); };
    INTACT_TRY(visit_rows(index, deciding_, add));
    if (moments.empty()) return {};
    trim_heap();  // Of what many samples have left free in it, and in those of workers.
    FitInput in;
    in.groups = site.groups;
    in.rows = site.rows;
    in.taps = site.taps;
    in.share = site.share;
    in.has_bias = site.has_bias_input();
    in.weights = m;
    in.least_scales = least;
    in.options = o_.weights;
    in.one_scale = o_.one_scale && is_uniform(input.gain);
    in.moments = &moments;
    in.judge = [&](const RowVisitor& visit) { return visit_rows(index, judging_, visit); };
    auto fitted = fit_product(in, pool_);
    if (!fitted) return fail(fitted.error().with_context(fmt::format("node '{}'", node.name)));
    s.codes = weight_layout<std::int8_t>(site, fitted->codes, g_.constant(site.weight)->shape());
    s.scales = std::move(fitted->scales);
    s.fit = std::move(fitted->how);
    s.error = fitted->error;
    s.rounded_error = fitted->rounded_error;
    if (site.has_bias_input()) {
      s.bias = bias;
      s.bias.resize(site.channels(), 0.0);
      for (std::size_t c = 0; c < s.bias.size(); ++c) s.bias[c] += fitted->bias_change[c];
    }
    return {};
  }

  const Graph& g_;
  const Placement& placement_;
  const Observations& seen_;
  const RowStore& rows_;
  const LockstepOptions& o_;
  const Progress& progress_;
  Decisions& d_;
  TensorSpool spool_;
  ThreadPool pool_;
  std::vector<std::int64_t> all_, deciding_, judging_;  // Samples.
};

}  // namespace

RowPlan plan_rows(double multiply_adds, int effort, std::int64_t samples) {
  RowPlan plan = multiply_adds < 20e6 ? RowPlan{96, 4096} : RowPlan{32, 2048};
  if (effort == 2) plan = {2 * plan.samples, 2 * plan.most};
  plan.samples = std::min(plan.samples, samples);
  return plan;
}

Status fit_in_lockstep(const Graph& graph, const Placement& placement, const Observations& seen,
                       const TensorSource& source, const LockstepOptions& options,
                       const Progress& progress, Decisions& decisions) {
  INTACT_ASSIGN(TensorSpool spool, TensorSpool::create());
  return Lockstep(graph, placement, seen, options, progress, decisions, std::move(spool))
      .run(source);
}

}  // namespace intact
