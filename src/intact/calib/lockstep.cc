#include "calib/lockstep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "calib/chunks.h"
#include "calib/fit.h"
#include "calib/gains.h"
#include "calib/spool.h"

namespace intact {
namespace {

constexpr std::int64_t kJudgeEvery = 4;  // Sample 3, 7, 11, ... judges.
constexpr std::size_t kRows = 4096;      // Gathered rows of a fit, all samples together.
constexpr std::size_t kMaxFloats = std::size_t{8} << 20;  // Of one matrix of gathered rows.
constexpr std::size_t kBatchRows = 512;                   // Summed up at a time.
constexpr std::size_t kJudgeRows = 1024;                  // Of all judging samples together.
constexpr std::size_t kRangeRows = 1024;  // To choose a range, all judging samples together.

enum Env : std::int64_t { kFloat, kQuant, kCodes };  // kCodes: what the products read.

class Lockstep {
 public:
  Lockstep(const Graph& graph, const Placement& placement, const Observations& seen,
           const LockstepOptions& options, const Progress& progress, Decisions& decisions,
           TensorSpool spool, MatrixEngine engine)
      : g_(graph),
        placement_(placement),
        seen_(seen),
        o_(options),
        progress_(progress),
        d_(decisions),
        spool_(std::move(spool)),
        matrices_(std::move(engine)),
        pool_(shared_pool(options.threads > 0 ? options.threads : default_threads())) {}

  Status run(const TensorSource& source) {
    INTACT_TRY(load(source));
    for (const ValueId v : g_.inputs)
      if (placement_.tensor_of.contains(v)) INTACT_TRY(choose(v));
    const std::vector<Chunk> chunks = make_chunks(g_, placement_);
    for (std::size_t c = 0; c < chunks.size(); ++c) {
      INTACT_TRY(progress_.check());
      const Chunk& chunk = chunks[c];
      if (chunk.site >= 0) INTACT_TRY(fit(static_cast<std::size_t>(chunk.site)));
      INTACT_TRY(run_chunk(chunk, kFloat));
      INTACT_TRY(run_chunk(chunk, kQuant));
      for (const ValueId v : chunk.becomes_codes) INTACT_TRY(choose(v));
      for (const ValueId v : chunk.last_read)
        for (std::int64_t k = 0; k < n_; ++k)
          for (const Env e : {kFloat, kQuant, kCodes}) spool_.drop(key(e, k, v));
      progress_("fit", static_cast<double>(c + 1) / static_cast<double>(chunks.size()));
    }
    return {};
  }

 private:
  [[nodiscard]] std::int64_t key(Env e, std::int64_t sample, ValueId v) const {
    return (static_cast<std::int64_t>(v) * o_.samples + sample) * 3 + e;
  }
  [[nodiscard]] bool judges(std::int64_t sample) const {
    return n_ >= kJudgeEvery && sample % kJudgeEvery == kJudgeEvery - 1;
  }

  Status load(const TensorSource& source) {
    INTACT_TRY(source.restart());
    while (n_ < o_.samples) {
      INTACT_ASSIGN(const auto sample, source.next());
      if (!sample) break;
      for (std::size_t i = 0; i < g_.inputs.size(); ++i)
        for (const Env e : {kFloat, kQuant})
          INTACT_TRY(spool_.put(key(e, n_, g_.inputs[i]), (*sample)[i]));
      ++n_;
    }
    return {};
  }

  // What the products that read v get.
  [[nodiscard]] std::int64_t codes_key(std::int64_t sample, ValueId v) const {
    const std::int64_t own = key(kCodes, sample, v);
    return spool_.has(own) ? own : key(kQuant, sample, v);
  }

  Result<std::vector<Tensor>> chunk_inputs(const Chunk& chunk, Env env, std::int64_t k) const {
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < chunk.piece.inputs.size(); ++i) {
      const ValueId v = chunk.piece.inputs[i];
      const bool codes = env == kQuant && chunk.site >= 0 && i == 0;
      INTACT_ASSIGN(Tensor t, spool_.get(codes ? codes_key(k, v) : key(env, k, v)));
      inputs.push_back(std::move(t));
    }
    return inputs;
  }

  Status run_chunk(const Chunk& chunk, Env env) {
    Graph graph = cut(g_, chunk.piece, chunk.site >= 0 ? first_node(chunk) : -1);
    if (env == kQuant && chunk.site >= 0) put_weights(graph, static_cast<std::size_t>(chunk.site));
    // Passes want to know types and ranks; sizes may differ from sample to sample.
    if (n_ > 0) {
      INTACT_ASSIGN(const auto first, chunk_inputs(chunk, env, 0));
      for (std::size_t i = 0; i < first.size(); ++i) {
        ValueType& type = graph.value(graph.inputs[i]).type;
        type.dtype = first[i].dtype();
        type.shape.emplace(first[i].rank());
      }
    }
    INTACT_ASSIGN(const auto engine, make_engine(std::move(graph), o_.threads));
    for (std::int64_t k = 0; k < n_; ++k) {
      INTACT_ASSIGN(const auto inputs, chunk_inputs(chunk, env, k));
      INTACT_ASSIGN(const auto outputs, engine->run(inputs));
      for (std::size_t i = 0; i < outputs.size(); ++i)
        INTACT_TRY(spool_.put(key(env, k, chunk.piece.outputs[i]), outputs[i]));
    }
    return {};
  }

  [[nodiscard]] std::int32_t first_node(const Chunk& chunk) const {
    return placement_.sites[static_cast<std::size_t>(chunk.site)].node;
  }

  // The product of a piece gets the weights that its codes stand for, and the corrected bias.
  void put_weights(Graph& piece, std::size_t index) const {
    const GemmSite& site = placement_.sites[index];
    const SiteDecision& s = d_.sites[index];
    const std::vector<float>& gain = d_.tensors[placement_.tensor_of.at(site.input)].gain;
    const Tensor& w = *g_.constant(site.weight);
    const std::vector<std::int8_t> codes = weight_rows<std::int8_t>(site, s.codes);
    std::vector<float> m(codes.begin(), codes.end());
    for (std::size_t n = 0; n < site.groups * site.rows; ++n)
      for (std::size_t k = 0; k < site.taps; ++k) {
        float& x = m[n * site.taps + k];
        x *= s.scales[n / site.share];
        if (!gain.empty()) x *= gain[channel_of_tap(site, n / site.rows, k)];
      }
    const auto real = weight_layout<float>(site, m, w.shape());
    const ValueId weight = piece.add_constant(
        "weights of codes", Tensor::of<float>(w.shape(), std::span<const float>(real)));
    const std::string out_name =
        g_.value(g_.nodes[static_cast<std::size_t>(site.node)].out(0)).name;
    ValueId bias = kNoValue;
    if (!s.bias.empty()) {
      const std::vector<float> b(s.bias.begin(), s.bias.end());
      bias = piece.add_constant(
          "corrected bias",
          Tensor::of<float>({static_cast<std::int64_t>(b.size())}, std::span<const float>(b)));
    }
    for (Node& node : piece.nodes) {
      if (!is_product(node) || piece.value(node.out(0)).name != out_name) continue;
      node.inputs[1] = weight;
      if (bias == kNoValue) continue;
      if (node.inputs.size() < 3) node.inputs.resize(3, kNoValue);
      node.inputs[2] = bias;
    }
  }

  // Chooses range and gains of a tensor, and makes its codes.
  Status choose(ValueId v) {
    const std::size_t index = placement_.tensor_of.at(v);
    const QuantTensor& t = placement_.tensors[index];
    TensorDecision& d = d_.tensors[index];
    if (o_.choose_ranges) {
      RangeChoice choice{g_,        placement_, index,          seen_.tensors[index],
                         o_.target, d,          o_.also_minmax, o_.gains && !o_.one_scale,
                         {},        {}};
      INTACT_TRY(gather_for_choice(t, choice));
      if (!choice.readers.empty()) {
        INTACT_ASSIGN(d, choose_map(choice, matrices_, *pool_));
      }
    }
    for (std::int64_t k = 0; k < n_; ++k) {
      INTACT_ASSIGN(const Tensor x, spool_.get(key(kQuant, k, v)));
      const int axis = input_channel_axis(placement_.sites[t.readers[0]], x.rank());
      const Tensor y = through_codes(x, axis, d);
      const bool separate = !t.shared || !d.gain.empty();
      INTACT_TRY(spool_.put(key(separate ? kCodes : kQuant, k, v), y));
    }
    return {};
  }

  Status gather_for_choice(const QuantTensor& t, RangeChoice& choice) {
    choice.readers.resize(t.readers.size());
    for (std::int64_t k = 0; k < n_; ++k) {
      if (!judges(k) && n_ >= kJudgeEvery) continue;
      INTACT_ASSIGN(const Tensor x, spool_.get(key(kFloat, k, t.value)));
      INTACT_ASSIGN(const Tensor a, spool_.get(key(kQuant, k, t.value)));
      for (std::size_t r = 0; r < t.readers.size(); ++r) {
        const GemmSite& site = placement_.sites[t.readers[r]];
        const std::size_t count = rows_of(site, kRangeRows, judging_samples());
        choice.readers[r].x.reserve(count * static_cast<std::size_t>(judging_samples()) *
                                    site.groups * site.taps);
        choice.readers[r].x_hat.reserve(choice.readers[r].x.capacity());
        gather_rows(g_, site, x, count, choice.readers[r].x);
        gather_rows(g_, site, a, count, choice.readers[r].x_hat);
      }
    }
    if (!choice.readers.empty() && choice.readers[0].x.empty()) choice.readers.clear();
    return {};
  }

  [[nodiscard]] std::int64_t judging_samples() const {
    return n_ >= kJudgeEvery ? n_ / kJudgeEvery : n_;
  }

  // The share of one of `samples` samples in `all` rows, which stay below kMaxFloats.
  static std::size_t rows_of(const GemmSite& site, std::size_t all, std::int64_t samples) {
    const std::size_t most = std::min(all, kMaxFloats / (site.groups * site.taps));
    const auto n = static_cast<std::size_t>(std::max<std::int64_t>(samples, 1));
    return std::max<std::size_t>(1, (most + n - 1) / n);
  }

  Status fit(std::size_t index) {
    const GemmSite& site = placement_.sites[index];
    const Node& node = g_.nodes[static_cast<std::size_t>(site.node)];
    const TensorDecision& input = d_.tensors[placement_.tensor_of.at(site.input)];
    SiteDecision& s = d_.sites[index];
    std::vector<float> m = weight_matrix(site, *g_.constant(site.weight));
    const std::vector<double> bias = bias_of(g_, site);
    FitInput in;
    in.groups = site.groups;
    in.rows = site.rows;
    in.taps = site.taps;
    in.share = site.share;
    in.has_bias = site.has_bias_input();
    in.options = o_.weights;
    in.one_scale = o_.one_scale && input.gain.empty();
    const std::vector<double> least = least_scales(bias, input.map.scale);
    in.least_scales = least;
    std::vector<float> by_tap;
    if (!input.gain.empty()) {
      for (std::size_t g = 0; g < site.groups; ++g)
        for (std::size_t k = 0; k < site.taps; ++k)
          by_tap.push_back(input.gain[channel_of_tap(site, g, k)]);
      for (std::size_t n = 0; n < site.groups * site.rows; ++n)
        for (std::size_t k = 0; k < site.taps; ++k)
          m[n * site.taps + k] /= by_tap[n / site.rows * site.taps + k];
    }
    const auto gather = [&](const Tensor& from, std::size_t rows, std::vector<float>& to) {
      const std::size_t begin = to.size();
      gather_rows(g_, site, from, rows, to);
      for (std::size_t i = begin; i < to.size() && !by_tap.empty(); ++i)
        to[i] *= by_tap[(i - begin) % by_tap.size()];
    };
    // Every row is summed up and forgotten; only the judges' stay.
    const std::size_t width = site.groups * site.taps;
    const std::size_t deciding = rows_of(site, kRows, n_);
    const std::size_t judging = rows_of(site, kJudgeRows, judging_samples());
    FitMoments moments(site.groups, site.taps, in.has_bias);
    std::vector<float> x_rows, x_hat_rows;
    for (auto* rows : {&x_rows, &x_hat_rows}) rows->reserve((kBatchRows + deciding) * width);
    for (auto* rows : {&in.x_judge, &in.x_hat_judge})
      rows->reserve(judging * static_cast<std::size_t>(judging_samples()) * width);
    const auto flush = [&]() -> Status {
      INTACT_TRY(moments.add(x_rows, x_hat_rows, matrices_, *pool_));
      x_rows.clear();
      x_hat_rows.clear();
      return {};
    };
    for (std::int64_t k = 0; k < n_; ++k) {
      INTACT_ASSIGN(const Tensor x, spool_.get(key(kFloat, k, site.input)));
      INTACT_ASSIGN(const Tensor a, spool_.get(codes_key(k, site.input)));
      if (judges(k) || n_ < kJudgeEvery) {
        gather(x, judging, in.x_judge);
        gather(a, judging, in.x_hat_judge);
      }
      if (judges(k)) continue;
      gather(x, deciding, x_rows);
      gather(a, deciding, x_hat_rows);
      if (x_rows.size() >= kBatchRows * width) INTACT_TRY(flush());
    }
    INTACT_TRY(flush());
    if (moments.empty()) return {};
    in.moments = &moments;
    in.weights = m;
    auto fitted = fit_product(in, matrices_, *pool_);
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
  const LockstepOptions& o_;
  const Progress& progress_;
  Decisions& d_;
  TensorSpool spool_;
  MatrixEngine matrices_;
  std::shared_ptr<ThreadPool> pool_;
  std::int64_t n_ = 0;
};

}  // namespace

Status fit_in_lockstep(const Graph& graph, const Placement& placement, const Observations& seen,
                       const TensorSource& source, const LockstepOptions& options,
                       const Progress& progress, Decisions& decisions) {
  INTACT_ASSIGN(TensorSpool spool, TensorSpool::create());
  INTACT_ASSIGN(MatrixEngine engine, MatrixEngine::create(options.threads));
  return Lockstep(graph, placement, seen, options, progress, decisions, std::move(spool),
                  std::move(engine))
      .run(source);
}

}  // namespace intact
