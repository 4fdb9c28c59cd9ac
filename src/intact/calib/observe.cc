#include "calib/observe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "calib/hash.h"
#include "calib/run_graph.h"

namespace intact {
namespace {

struct Extent {
  std::size_t outer = 1, channels = 1, inner = 1;
};

// A tensor in memory order, seen around its channels.
Extent extent_of(const ValueInfo& info, int axis) {
  const Shape shape = info.memory_shape();
  const auto a = static_cast<std::size_t>(info.memory_axis(axis));
  Extent e;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const auto n = static_cast<std::size_t>(shape[i]);
    (i < a ? e.outer : i == a ? e.channels : e.inner) *= n;
  }
  return e;
}

constexpr std::size_t kMeanPositions = 256;  // Of each sample: a mean needs no more.

// Adds some positions of x to the channels' sums.
void add_to_means(std::span<const float> x, const Extent& e, std::vector<ExactSum>& sums,
                  std::uint64_t& count) {
  if (sums.empty()) sums.resize(e.channels);
  if (sums.size() != e.channels) return;
  const std::size_t positions = e.outer * e.inner;
  const std::size_t step = positions / kMeanPositions | 1;  // Odd: not one column of an image.
  std::vector<double> sum(e.channels, 0.0);
  for (std::size_t p = step / 2; p < positions; p += step, ++count) {
    const float* from = x.data() + p / e.inner * e.channels * e.inner + p % e.inner;
    for (std::size_t c = 0; c < e.channels; ++c) sum[c] += static_cast<double>(from[c * e.inner]);
  }
  for (std::size_t c = 0; c < e.channels; ++c) sums[c].add(sum[c]);
}

void widen_channels(std::span<const float> x, const Extent& e, Observation& o, ThreadPool& pool) {
  if (o.channel_min.empty()) {
    o.channel_min.assign(e.channels, std::numeric_limits<float>::infinity());
    o.channel_max.assign(e.channels, -std::numeric_limits<float>::infinity());
  }
  if (o.channel_min.size() != e.channels) return;  // Sizes vary along this axis: no channels.
  o.values_per_channel += e.outer * e.inner;
  float* lo = o.channel_min.data();
  float* hi = o.channel_max.data();
  if (e.inner == 1) {
    constexpr std::size_t kStrip = 64;
    pool.run((e.channels + kStrip - 1) / kStrip, [&](std::size_t strip) {
      const std::size_t begin = strip * kStrip;
      const std::size_t end = std::min(e.channels, begin + kStrip);
      for (std::size_t p = 0; p < e.outer; ++p) {
        const float* row = x.data() + p * e.channels;
        for (std::size_t c = begin; c < end; ++c) {
          lo[c] = std::min(lo[c], row[c]);
          hi[c] = std::max(hi[c], row[c]);
        }
      }
    });
    return;
  }
  pool.run(e.channels, [&](std::size_t c) {
    for (std::size_t o_ = 0; o_ < e.outer; ++o_) {
      const float* run = x.data() + (o_ * e.channels + c) * e.inner;
      const Extremes extremes = find_extremes({run, e.inner});
      lo[c] = std::min(lo[c], extremes.min);
      hi[c] = std::max(hi[c], extremes.max);
    }
  });
}

// One engine with observers on the tensors of a placement.
class Watcher {
 public:
  Watcher(const Graph& graph, const Placement& placement, const ObserveOptions& options)
      : graph_(graph),
        placement_(placement),
        options_(options),
        observers_(placement.tensors.size(), TensorObserver(options.moving_beta)),
        out_(placement.tensors.size()),
        sums_(placement.tensors.size()),
        counts_(placement.tensors.size(), 0) {}

  // Prepares the network; tensors that vanish in its fusions become outputs.
  Status prepare(std::span<const Tensor> sample) {
    std::vector<ValueId> hidden;
    INTACT_TRY(attach({}));
    INTACT_TRY(run(sample, /*dry=*/true));
    for (std::size_t i = 0; i < placement_.tensors.size(); ++i)
      if (!seen_[i]) hidden.push_back(placement_.tensors[i].value);
    if (hidden.empty()) return {};
    INTACT_TRY(attach(hidden));
    return {};
  }

  Status sample(std::span<const Tensor> inputs) {
    INTACT_TRY(run(inputs, /*dry=*/false));
    for (TensorObserver& o : observers_) o.end_sample();
    return {};
  }

  std::vector<Observation> finish() {
    for (std::size_t i = 0; i < out_.size(); ++i) {
      out_[i].stats = observers_[i].stats();
      for (const ExactSum& s : sums_[i])
        out_[i].channel_mean.push_back(s.value() / static_cast<double>(counts_[i]));
    }
    return std::move(out_);
  }

 private:
  Status attach(std::span<const ValueId> hidden) {
    hidden_.assign(hidden.begin(), hidden.end());
    INTACT_ASSIGN(engine_, make_engine(with_outputs(graph_, hidden), options_.threads));
    tensor_of_.assign(engine_->graph().values.size(), -1);
    for (std::size_t i = 0; i < placement_.tensors.size(); ++i) {
      const ValueId v = placement_.tensors[i].value;
      if (std::find(hidden.begin(), hidden.end(), v) != hidden.end()) continue;
      const auto found = engine_->graph().find_value(graph_.value(v).name);
      if (found) tensor_of_[static_cast<std::size_t>(*found)] = static_cast<int>(i);
    }
    pool_ = shared_pool(engine_->threads());
    return {};
  }

  Status look(std::size_t i, const ValueInfo& info, const std::byte* bytes, bool dry) {
    if (info.dtype != Dtype::kFloat32 || info.size() == 0) return {};
    seen_[i] = true;
    if (dry) return {};
    const std::span<const float> x(reinterpret_cast<const float*>(bytes),
                                   static_cast<std::size_t>(info.size()));
    const QuantTensor& t = placement_.tensors[i];
    if (!observers_[i].observe(x, pool_.get()))
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("tensor '{}' holds NaN or infinity", graph_.value(t.value).name));
    const GemmSite& site = placement_.sites[t.readers[0]];
    const Extent extent = extent_of(info, input_channel_axis(site, info.rank()));
    if (out_[i].shape.empty()) out_[i].shape = info.shape;
    add_to_means(x, extent, sums_[i], counts_[i]);
    if (options_.channels || !t.parts.empty()) widen_channels(x, extent, out_[i], *pool_);
    return {};
  }

  Status run(std::span<const Tensor> inputs, bool dry) {
    if (dry) seen_.assign(placement_.tensors.size(), false);
    const auto look_at = [&](ValueId v, const ValueInfo& info, const std::byte* bytes) -> Status {
      const int i = tensor_of_[static_cast<std::size_t>(v)];
      return i < 0 ? Status{} : look(static_cast<std::size_t>(i), info, bytes, dry);
    };
    const Graph& g = engine_->graph();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const ValueInfo info{inputs[i].dtype(), inputs[i].shape(), Layout::kPlain, nullptr, nullptr};
      INTACT_TRY(look_at(g.inputs[i], info, inputs[i].raw()));
    }
    const Observer observer = look_at;
    RunOptions options;
    options.observer = &observer;
    INTACT_ASSIGN(const auto outputs, engine_->run(inputs, options));
    const std::size_t own = outputs.size() - hidden_.size();
    for (std::size_t h = 0; h < hidden_.size(); ++h) {
      const Tensor& x = outputs[own + h];
      const ValueInfo info{x.dtype(), x.shape(), Layout::kPlain, nullptr, nullptr};
      INTACT_TRY(look(placement_.tensor_of.at(hidden_[h]), info, x.raw(), dry));
    }
    return {};
  }

  const Graph& graph_;
  const Placement& placement_;
  const ObserveOptions& options_;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<ThreadPool> pool_;
  std::vector<int> tensor_of_;  // By value of the engine's graph.
  std::vector<ValueId> hidden_;
  std::vector<bool> seen_;
  std::vector<TensorObserver> observers_;
  std::vector<Observation> out_;
  std::vector<std::vector<ExactSum>> sums_;
  std::vector<std::uint64_t> counts_;
};

}  // namespace

Result<std::map<std::int32_t, double>> count_multiply_adds(const Graph& graph,
                                                           std::span<const Tensor> inputs,
                                                           int threads) {
  std::vector<ValueId> wanted;
  std::vector<std::int32_t> nodes;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (!is_product(node)) continue;
    nodes.push_back(static_cast<std::int32_t>(n));
    for (const ValueId v : {node.in(0), node.in(1), node.out(0)}) wanted.push_back(v);
  }
  INTACT_ASSIGN(const auto engine, make_engine(with_outputs(graph, wanted), threads));
  INTACT_ASSIGN(const auto plan, engine->plan_for(inputs));
  const std::size_t own = graph.outputs.size();
  std::map<std::int32_t, double> macs;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = graph.nodes[static_cast<std::size_t>(nodes[i])];
    const Shape& x = plan->output_info[own + 3 * i].shape;
    const Shape& w = plan->output_info[own + 3 * i + 1].shape;
    const Shape& y = plan->output_info[own + 3 * i + 2].shape;
    const auto out = static_cast<double>(num_elements(y));
    double each = 0;  // Products of one output.
    if (node.op == "Conv" || node.op == "ConvTranspose") {
      double kernel = 1;
      for (std::size_t d = 1; d < w.size(); ++d) kernel *= static_cast<double>(w[d]);
      macs[nodes[i]] = kernel * (node.op == "Conv" ? out : static_cast<double>(num_elements(x)));
      continue;
    }
    const bool trans_a = node.op == "Gemm" && node.get_int("transA", 0) != 0;
    if (!x.empty()) each = static_cast<double>(trans_a ? x[0] : x.back());
    macs[nodes[i]] = out * each;
  }
  return macs;
}

Result<Observations> observe(const Graph& graph, const Placement& placement,
                             const TensorSource& source, const ObserveOptions& options,
                             const Progress& progress) {
  Observations all;
  Watcher watcher(graph, placement, options);
  INTACT_TRY(source.restart());
  for (;; ++all.samples) {
    INTACT_TRY(progress.check());
    INTACT_ASSIGN(const auto sample, source.next());
    if (!sample) break;
    if (all.samples == 0) {
      INTACT_ASSIGN(all.multiply_adds, count_multiply_adds(graph, *sample, options.threads));
      INTACT_TRY(watcher.prepare(*sample));
    }
    std::uint64_t hash = 0;
    for (const Tensor& t : *sample) hash = hash_tensor(t, hash);
    all.data_hash += hash;
    if (Status ok = watcher.sample(*sample); !ok)
      return fail(ok.error().with_context(fmt::format("calibration sample {}", all.samples)));
    progress("calibrate", 0);
  }
  if (all.samples == 0)
    return fail(ErrorCode::kInvalidArgument, "there are no calibration samples");
  all.tensors = watcher.finish();
  return all;
}

}  // namespace intact
