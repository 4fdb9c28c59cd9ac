#include "api/quantize_report.h"

#include <algorithm>
#include <cmath>

#include "api/calibration_samples.h"

namespace intact {
namespace {

constexpr double kEnoughDb = 20;  // Of judge.h's INTACT.

}  // namespace

void report_nodes(const Graph& graph, const Placement& placement, const Decisions& decisions,
                  const Observations& seen, QuantizeResult& result) {
  double all = 0, integer = 0;
  std::vector<std::pair<double, std::string>> worst;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (!is_product(node)) continue;
    NodeReport r;
    r.name = node.name;
    r.op = node.op;
    const auto index = static_cast<std::int32_t>(n);
    if (const auto m = seen.multiply_adds.find(index); m != seen.multiply_adds.end())
      r.multiply_adds = m->second;
    const auto site = placement.site_of.find(index);
    r.integer = placement.is_integer(index);
    if (site != placement.site_of.end()) {
      const SiteDecision& s = decisions.sites[site->second];
      r.fit = s.fit;
      if (s.error > 0) {
        r.local_sqnr_db = -10 * std::log10(s.error);
        worst.emplace_back(s.error, node.name);
      }
    } else if (const auto why = placement.reasons.find(index); why != placement.reasons.end()) {
      r.reason = why->second;
    }
    all += r.multiply_adds;
    if (r.integer) integer += r.multiply_adds;
    result.nodes.push_back(std::move(r));
  }
  result.integer_share = all > 0 ? integer / all : 0;
  std::stable_sort(worst.begin(), worst.end(), [](auto& a, auto& b) { return a.first > b.first; });
  for (std::size_t i = 0; i < std::min<std::size_t>(3, worst.size()); ++i)
    result.worst_nodes.push_back(worst[i].second);
}

void report_verdict(const Judgement& j, bool held_back, QuantizeResult& result) {
  result.held_back_samples = held_back ? static_cast<std::int64_t>(j.samples.size()) : 0;
  result.sqnr_db = j.sqnr_db;
  result.sqnr_low_db = j.sqnr_low;
  result.sqnr_high_db = j.sqnr_high;
  for (const auto& [k, share] : j.noisiest) {
    const auto i = static_cast<std::int64_t>(k);
    result.noisiest_samples.emplace_back(held_back ? i * kHoldBackEvery + kHoldBackEvery - 1 : i,
                                         share);
  }
  result.agreement = j.agreement;
  result.agreement_low = j.agreement_low;
  result.agreement_high = j.agreement_high;
  result.verdict = j.intact ? Verdict::kIntact : j.broken ? Verdict::kBroken : Verdict::kDegraded;
  if (!held_back)
    result.notes.push_back(
        "fewer than 10 samples: none was held back, the verdict is on calibration samples");
  if (!j.intact && j.sqnr_db >= kEnoughDb && j.sqnr_low < kEnoughDb)
    result.notes.push_back(
        "a few samples decide: more samples would narrow the interval of the SQNR");
}

std::string to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kIntact:
      return "INTACT";
    case Verdict::kDegraded:
      return "DEGRADED";
    case Verdict::kBroken:
      return "BROKEN";
    case Verdict::kUnknown:
      break;
  }
  return "UNKNOWN";
}

}  // namespace intact
