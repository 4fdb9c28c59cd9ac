#include "calib/islands.h"

#include <fmt/format.h>

#include <algorithm>

#include "calib/run_graph.h"

namespace intact {
namespace {

constexpr std::size_t kMostSamples = 16;  // Held in memory with the float model's answers.
constexpr std::size_t kMostIslands = 8;
constexpr std::size_t kLeastSamples = 4;

struct Example {
  std::vector<Tensor> inputs;
  std::vector<Tensor> answers;  // Of the float model.
};

// SQNR of the samples that choose and of those that confirm.
struct Quality {
  double chosen = 0;
  double confirmed = 0;
};

class Search {
 public:
  Search(const IslandSearch& s, const Progress& progress) : s_(s), progress_(progress) {
    double all = 0, integer = 0;
    for (const auto& [node, macs] : s.multiply_adds) {
      all += macs;
      if (s.placement.is_integer(node)) integer += macs;
    }
    spare_macs_ = kFloatShare * all - (all - integer);
  }

  Result<Islands> run(const TensorSource& samples) {
    Islands why;
    INTACT_TRY(load(samples));
    if (examples_.size() < kLeastSamples) return why;
    INTACT_ASSIGN(const Quality before, measure(why));
    std::vector<std::pair<double, std::int32_t>> gains;
    for (std::size_t i = 0; i < s_.candidates.size(); ++i) {
      const std::int32_t node = s_.candidates[i];
      if (!fits(node)) continue;
      INTACT_ASSIGN(const Quality alone, measure({{node, {}}}));
      if (alone.chosen >= before.chosen + kLeastGainDb)
        gains.emplace_back(alone.chosen - before.chosen, node);
      progress_("islands", static_cast<double>(i + 1) / static_cast<double>(s_.candidates.size()));
    }
    std::stable_sort(gains.begin(), gains.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    Quality now = before;
    for (const auto& [gain, node] : gains) {
      if (why.size() == kMostIslands) break;
      if (!fits(node)) continue;
      auto more = why;
      more[node] = {};
      INTACT_ASSIGN(const Quality then, measure(more));
      if (then.chosen < now.chosen + kLeastGainDb) continue;
      more[node] =
          fmt::format("float pays: {:+.1f} dB on held-back samples", then.chosen - now.chosen);
      why = std::move(more);
      now = then;
      spare_macs_ -= macs_of(node);
      spare_bytes_used_ += bytes_of_float(node);
    }
    if (now.confirmed < before.confirmed + kLeastGainDb) why.clear();
    return why;
  }

 private:
  [[nodiscard]] double macs_of(std::int32_t node) const {
    const auto found = s_.multiply_adds.find(node);
    return found == s_.multiply_adds.end() ? 0 : found->second;
  }
  // What float weights take beyond their codes.
  [[nodiscard]] double bytes_of_float(std::int32_t node) const {
    const auto site = s_.placement.site_of.find(node);
    if (site == s_.placement.site_of.end()) return 0;
    const ValueId weight = s_.placement.sites[site->second].weight;
    return 3.0 * static_cast<double>(s_.graph.constant(weight)->size());
  }
  [[nodiscard]] bool fits(std::int32_t node) const {
    const double bytes = bytes_of_float(node);
    return macs_of(node) <= spare_macs_ &&
           (bytes == 0 || spare_bytes_used_ + bytes <= s_.spare_bytes);
  }

  Status load(const TensorSource& samples) {
    INTACT_ASSIGN(const auto engine, make_engine(s_.float_model.clone(), {.threads = s_.threads}));
    INTACT_TRY(samples.restart());
    while (examples_.size() < kMostSamples) {
      INTACT_TRY(progress_.check());
      INTACT_ASSIGN(auto sample, samples.next());
      if (!sample) break;
      Example e;
      INTACT_ASSIGN(e.answers, engine->run(*sample));
      for (Tensor& t : e.answers) t = t.clone();
      for (const Tensor& t : *sample) e.inputs.push_back(t.clone());
      examples_.push_back(std::move(e));
    }
    return {};
  }

  Result<Quality> measure(const Islands& islands) const {
    INTACT_TRY(progress_.check());
    Graph graph = s_.graph.clone();
    Placement placement = s_.placement;
    Decisions decisions = s_.decisions;
    drop_products(islands, placement, decisions);
    INTACT_TRY(write_qdq(graph, placement, std::move(decisions), s_.write));
    INTACT_ASSIGN(const auto engine, make_engine(std::move(graph), {.threads = s_.threads}));
    std::vector<SampleError> chosen, confirmed;
    for (std::size_t k = 0; k < examples_.size(); ++k) {
      INTACT_ASSIGN(const auto outputs, engine->run(examples_[k].inputs));
      INTACT_ASSIGN(auto error, sample_error(examples_[k].answers, outputs));
      (k % 2 == 0 ? chosen : confirmed).push_back(std::move(error));
    }
    return Quality{pooled_sqnr(chosen), pooled_sqnr(confirmed)};
  }

  const IslandSearch& s_;
  const Progress& progress_;
  double spare_macs_ = 0;
  double spare_bytes_used_ = 0;
  std::vector<Example> examples_;
};

}  // namespace

Result<Islands> find_islands(const IslandSearch& search, const TensorSource& samples,
                             const Progress& progress) {
  return Search(search, progress).run(samples);
}

void drop_products(const Islands& why, Placement& placement, Decisions& decisions) {
  Placement p;
  Decisions d;
  p.reasons = std::move(placement.reasons);
  p.reasons.insert(why.begin(), why.end());
  p.operands = std::move(placement.operands);
  d.operands = std::move(decisions.operands);
  std::copy_if(placement.pairs.begin(), placement.pairs.end(), std::back_inserter(p.pairs),
               [&](const ActivationPair& pair) { return !why.contains(pair.node); });
  std::vector<std::optional<std::size_t>> now(placement.sites.size());
  for (std::size_t s = 0; s < placement.sites.size(); ++s) {
    const std::int32_t node = placement.sites[s].node;
    if (why.contains(node)) continue;
    now[s] = p.sites.size();
    p.site_of[node] = p.sites.size();
    p.sites.push_back(placement.sites[s]);
    d.sites.push_back(std::move(decisions.sites[s]));
  }
  for (std::size_t i = 0; i < placement.tensors.size(); ++i) {
    QuantTensor t = std::move(placement.tensors[i]);
    const std::size_t had = t.readers.size();
    std::vector<std::size_t> readers;
    for (const std::size_t s : t.readers)
      if (now[s]) readers.push_back(*now[s]);
    t.readers = std::move(readers);
    if (t.readers.size() < had) t.only_products = false;
    for (std::size_t& m : t.makers) {
      if (!now[m] || !t.only_products) {
        t.makers.clear();
        break;
      }
      m = *now[m];
    }
    if (t.readers.empty()) continue;
    p.tensor_of[t.value] = p.tensors.size();
    p.tensors.push_back(std::move(t));
    d.tensors.push_back(std::move(decisions.tensors[i]));
  }
  placement = std::move(p);
  decisions = std::move(d);
}

}  // namespace intact
