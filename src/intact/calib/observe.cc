#include "calib/observe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/thread_pool.h"
#include "calib/hash.h"
#include "calib/run_graph.h"
#include "runtime/multiply_adds.h"

namespace intact {
namespace {

// Samples run side by side, one a thread, as long as their memory stays below this.
constexpr std::size_t kInFlightBytes = std::size_t{128} << 20;

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

// Means by channel, over some positions of each sample.
class Means {
 public:
  void add(std::span<const float> x, const Extent& e) {
    if (sums_.empty()) sums_.resize(e.channels);
    if (sums_.size() != e.channels) return;
    const std::size_t positions = e.outer * e.inner;
    const std::size_t step = positions / kMeanPositions | 1;  // Odd: not one column of an image.
    std::vector<double> sum(e.channels, 0.0);
    for (std::size_t p = step / 2; p < positions; p += step, ++count_) {
      const float* from = x.data() + p / e.inner * e.channels * e.inner + p % e.inner;
      for (std::size_t c = 0; c < e.channels; ++c) sum[c] += static_cast<double>(from[c * e.inner]);
    }
    for (std::size_t c = 0; c < e.channels; ++c) sums_[c].add(sum[c]);
  }

  void merge(const Means& other) {
    if (sums_.empty()) sums_.resize(other.sums_.size());
    if (sums_.size() != other.sums_.size()) return;
    for (std::size_t c = 0; c < sums_.size(); ++c) sums_[c].add(other.sums_[c]);
    count_ += other.count_;
  }

  [[nodiscard]] std::vector<double> value() const {
    std::vector<double> means;
    for (const ExactSum& s : sums_) means.push_back(s.value() / static_cast<double>(count_));
    return means;
  }

 private:
  std::vector<ExactSum> sums_;
  std::uint64_t count_ = 0;
};

void merge_channels(const Observation& from, Observation& to) {
  if (to.channel_min.empty()) {
    to.channel_min = from.channel_min;
    to.channel_max = from.channel_max;
  }
  if (to.channel_min.size() != from.channel_min.size()) return;
  to.values_per_channel += from.values_per_channel;
  for (std::size_t c = 0; c < to.channel_min.size(); ++c) {
    to.channel_min[c] = std::min(to.channel_min[c], from.channel_min[c]);
    to.channel_max[c] = std::max(to.channel_max[c], from.channel_max[c]);
  }
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

// What is looked at: the tensors of a placement, then the sources of operands that are none.
std::vector<ValueId> watched_values(const Placement& placement) {
  std::vector<ValueId> watched;
  for (const QuantTensor& t : placement.tensors) watched.push_back(t.value);
  for (const PairOperand& o : placement.operands)
    if (!o.share && std::find(watched.begin(), watched.end(), o.source) == watched.end())
      watched.push_back(o.source);
  return watched;
}

// The float network, and where what is looked at is in it.
class Network {
 public:
  // Tensors that vanish in the network's fusions become outputs.
  static Result<Network> make(const Graph& graph, const Placement& placement,
                              std::span<const Tensor> sample, int threads) {
    Network n(graph, placement);
    for (;;) {
      INTACT_TRY(n.attach(threads));
      INTACT_ASSIGN(const auto plan, n.engine->plan_for(sample));
      // An output may take the place of what was there before: until nothing more vanishes.
      if (n.hide_missing(*plan)) continue;
      n.run_bytes = plan->arena_bytes;
      for (const ValueInfo& info : plan->output_info)
        n.run_bytes += bytes_of(info.dtype, info.size());
      for (const Tensor& t : sample) n.run_bytes += t.bytes();
      return n;
    }
  }

  const Graph& graph;
  const Placement& placement;
  std::vector<ValueId> watched;
  std::shared_ptr<Engine> engine;
  std::vector<int> index_of;        // By value of the engine's graph: into watched, or -1.
  std::vector<std::size_t> hidden;  // Into watched: the engine's last outputs.
  std::size_t run_bytes = 0;        // Of one run in flight.

 private:
  Network(const Graph& g, const Placement& p)
      : graph(g), placement(p), watched(watched_values(p)) {}

  // Adds to `hidden` what is neither there nor an input, nor made by a step; false: nothing.
  bool hide_missing(const Plan& plan) {
    std::vector<bool> seen(watched.size(), false);
    const auto see = [&](ValueId v) {
      if (v == kNoValue) return;
      if (const int i = index_of[static_cast<std::size_t>(v)]; i >= 0)
        seen[static_cast<std::size_t>(i)] = true;
    };
    for (const ValueId v : engine->graph().inputs) see(v);
    for (const Step& step : plan.steps)
      for (const ValueId v : step.node->outputs) see(v);
    const std::size_t before = hidden.size();
    for (std::size_t i = 0; i < seen.size(); ++i)
      if (!seen[i] && std::find(hidden.begin(), hidden.end(), i) == hidden.end())
        hidden.push_back(i);
    return hidden.size() > before;
  }

  Status attach(int threads) {
    std::vector<ValueId> outputs;
    for (const std::size_t i : hidden) outputs.push_back(watched[i]);
    INTACT_ASSIGN(engine, make_engine(with_outputs(graph, outputs),
                                      {.threads = threads, .strips = std::nullopt}));
    index_of.assign(engine->graph().values.size(), -1);
    for (std::size_t i = 0; i < watched.size(); ++i) {
      if (std::find(hidden.begin(), hidden.end(), i) != hidden.end()) continue;
      const auto found = engine->graph().find_value(graph.value(watched[i]).name);
      if (found) index_of[static_cast<std::size_t>(*found)] = static_cast<int>(i);
    }
    return {};
  }
};

// The observers of one run in flight, which look at a tensor where it was made: on that thread,
// while it is in the cache. Several watchers share the samples; what they saw adds up exactly.
class Watcher {
 public:
  // `pool` shares the work of looking; it is for a watcher that is alone.
  Watcher(const Network& network, const ObserveOptions& options, ThreadPool& pool)
      : network_(network),
        options_(options),
        pool_(&pool),
        observers_(network.watched.size(), TensorObserver(options.moving_beta, options.histograms)),
        out_(observers_.size()),
        means_(observers_.size()) {}

  // `index`: of the sample. Its rows go to `rows`, if there.
  Status sample(std::span<const Tensor> inputs, std::int64_t index, RowStore* rows) {
    index_ = index;
    rows_ = rows != nullptr && index < rows->samples() ? rows : nullptr;
    std::uint64_t hash = 0;
    for (const Tensor& t : inputs) hash = hash_tensor(t, hash);
    data_hash_ += hash;
    const Graph& g = network_.engine->graph();
    const Observer observer = [this](ValueId v, const ValueInfo& info, const std::byte* bytes) {
      const int i = network_.index_of[static_cast<std::size_t>(v)];
      return i < 0 ? Status{} : look(static_cast<std::size_t>(i), info, bytes);
    };
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const ValueInfo info{inputs[i].dtype(), inputs[i].shape(), Layout::kPlain, nullptr, nullptr};
      INTACT_TRY(observer(g.inputs[i], info, inputs[i].raw()));
    }
    RunOptions options;
    options.observer = &observer;
    INTACT_ASSIGN(const auto outputs, network_.engine->run(inputs, options));
    const std::size_t own = outputs.size() - network_.hidden.size();
    for (std::size_t h = 0; h < network_.hidden.size(); ++h) {
      const Tensor& x = outputs[own + h];
      const ValueInfo info{x.dtype(), x.shape(), Layout::kPlain, nullptr, nullptr};
      INTACT_TRY(look(network_.hidden[h], info, x.raw()));
    }
    for (TensorObserver& o : observers_) o.end_sample();
    return {};
  }

  // Adds what another one saw.
  Status merge(const Watcher& other) {
    data_hash_ += other.data_hash_;
    for (std::size_t i = 0; i < out_.size(); ++i) {
      INTACT_TRY(out_[i].stats.merge(other.out_[i].stats));
      merge_channels(other.out_[i], out_[i]);
      means_[i].merge(other.means_[i]);
    }
    return {};
  }

  // Ends observation; merge comes after it.
  void finish() {
    for (std::size_t i = 0; i < out_.size(); ++i) out_[i].stats = observers_[i].stats();
  }

  void take(Observations& all) {
    all.data_hash = data_hash_;
    for (std::size_t i = 0; i < out_.size(); ++i) out_[i].channel_mean = means_[i].value();
    for (const PairOperand& o : network_.placement.operands) {
      const auto at = std::find(network_.watched.begin(), network_.watched.end(), o.source);
      all.operands.push_back(
          o.share ? TensorStats{}
                  : out_[static_cast<std::size_t>(at - network_.watched.begin())].stats);
    }
    out_.resize(network_.placement.tensors.size());
    all.tensors = std::move(out_);
  }

 private:
  Status look(std::size_t i, const ValueInfo& info, const std::byte* bytes) {
    if (info.dtype != Dtype::kFloat32 || info.size() == 0) return {};
    const std::span<const float> x(reinterpret_cast<const float*>(bytes),
                                   static_cast<std::size_t>(info.size()));
    if (!observers_[i].observe(x, pool_))
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("tensor '{}' holds NaN or infinity",
                              network_.graph.value(network_.watched[i]).name));
    if (i >= network_.placement.tensors.size()) return {};
    const QuantTensor& t = network_.placement.tensors[i];
    if (rows_ != nullptr) INTACT_TRY(keep_rows(t, info, x.data()));
    const GemmSite& site = network_.placement.sites[t.readers[0]];
    const Extent extent = extent_of(info, input_channel_axis(site, info.rank()));
    if (out_[i].shape.empty()) out_[i].shape = info.shape;
    means_[i].add(x, extent);
    if (options_.channels || !t.parts.empty()) widen_channels(x, extent, out_[i], *pool_);
    return {};
  }

  Status keep_rows(const QuantTensor& t, const ValueInfo& info, const float* x) {
    for (const std::size_t r : t.readers) {
      gathered_.resize(rows_->rows_a_sample(r) * rows_->width(r));
      const std::size_t count =
          gather_rows(network_.graph, network_.placement.sites[r], info.shape, info.strides(), x,
                      rows_->rows_a_sample(r), gathered_.data());
      INTACT_TRY(rows_->put(r, index_, gathered_.data(), count));
    }
    return {};
  }

  const Network& network_;
  const ObserveOptions& options_;
  ThreadPool* pool_;
  std::int64_t index_ = 0;
  RowStore* rows_ = nullptr;
  std::vector<float> gathered_;
  std::vector<TensorObserver> observers_;
  std::vector<Observation> out_;  // Channels; stats come from the observers.
  std::vector<Means> means_;
  std::uint64_t data_hash_ = 0;
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
  INTACT_ASSIGN(const auto engine, make_engine(with_outputs(graph, wanted), {.threads = threads}));
  INTACT_ASSIGN(const auto plan, engine->plan_for(inputs));
  std::vector<Shape> shapes;
  for (const ValueInfo& info : plan->output_info) shapes.push_back(info.shape);
  if (!plan->last()) {  // They depend on data.
    INTACT_ASSIGN(const auto outputs, engine->run(inputs));
    for (const Tensor& t : outputs) shapes.push_back(t.shape());
  }
  const std::size_t own = graph.outputs.size();
  std::map<std::int32_t, double> macs;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = graph.nodes[static_cast<std::size_t>(nodes[i])];
    macs[nodes[i]] =
        multiply_adds(node, shapes[own + 3 * i], shapes[own + 3 * i + 1], shapes[own + 3 * i + 2]);
  }
  return macs;
}

Result<Observations> observe(const Graph& graph, const Placement& placement,
                             const TensorSource& source, const ObserveOptions& options,
                             const Progress& progress) {
  Observations all;
  std::optional<Network> network;
  std::vector<Watcher> watchers;
  std::vector<std::vector<Tensor>> batch;  // A sample a watcher.
  std::vector<Status> status;
  ThreadPool pool(1);
  INTACT_TRY(source.restart());
  for (bool more = true; more;) {
    batch.clear();
    while (more && batch.size() < std::max<std::size_t>(1, watchers.size())) {
      INTACT_TRY(progress.check());
      INTACT_ASSIGN(auto sample, source.next());
      more = sample.has_value();
      if (more) batch.push_back(std::move(*sample));
    }
    if (batch.empty()) break;
    if (!network) {
      INTACT_ASSIGN(all.multiply_adds, count_multiply_adds(graph, batch[0], options.threads));
      if (options.rows) {
        double macs = 0;
        for (const auto& [node, m] : all.multiply_adds) macs += m;
        INTACT_ASSIGN(all.rows, RowStore::create(placement, options.rows(macs)));
      }
      INTACT_ASSIGN(auto made, Network::make(graph, placement, batch[0], options.threads));
      network.emplace(std::move(made));
      pool = ThreadPool(network->engine->threads());
      // A moving average is one of samples in their order.
      const std::size_t fit =
          options.moving_beta ? 1 : kInFlightBytes / std::max<std::size_t>(1, network->run_bytes);
      const auto most = static_cast<std::size_t>(pool.threads());
      while (watchers.size() < std::clamp<std::size_t>(fit, 1, most))
        watchers.emplace_back(*network, options, pool);
    }
    status.assign(batch.size(), {});
    pool.run(batch.size(), [&](std::size_t i) {
      status[i] =
          watchers[i].sample(batch[i], all.samples + static_cast<std::int64_t>(i), all.rows.get());
    });
    for (const Status& s : status) {
      if (!s)
        return fail(s.error().with_context(fmt::format("calibration sample {}", all.samples)));
      ++all.samples;
      progress("calibrate", source.part(all.samples));
    }
  }
  if (all.samples == 0)
    return fail(ErrorCode::kInvalidArgument, "there are no calibration samples");
  for (Watcher& w : watchers) w.finish();
  for (std::size_t i = 1; i < watchers.size(); ++i) INTACT_TRY(watchers[0].merge(watchers[i]));
  watchers[0].take(all);
  return all;
}

}  // namespace intact
