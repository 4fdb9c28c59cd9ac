#include "intact/compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "command.h"

namespace intact::cli {
namespace {

struct Flags {
  Common common;
  DataFlags data;
  std::string reference, quantized;
  int top = 20;
};

std::string decibels(double db) {
  return db >= 200 ? "exact" : db <= -200 ? "NaN" : fmt::format("{:.1f}", db);
}

void print(const Flags& f, const CompareResult& r) {
  fmt::print("{} samples, SQNR in dB, worst layer first\n", r.samples);
  fmt::print("{:>7} {:>7} {:>7}  {:<14} {:<40} {}\n", "local", "running", "weights", "op", "node",
             "probable cause");
  const std::size_t shown =
      f.top == 0 ? r.layers.size() : std::min(r.layers.size(), static_cast<std::size_t>(f.top));
  for (std::size_t i = 0; i < shown; ++i) {
    const LayerComparison& l = r.layers[i];
    fmt::print("{:>7} {:>7} {:>7}  {:<14} {:<40} {}\n", decibels(l.local_sqnr_db),
               decibels(l.cumulative_sqnr_db), decibels(l.weight_sqnr_db), l.op,
               l.node.empty() ? l.value : l.node, l.cause);
  }
  if (shown < r.layers.size())
    fmt::print("        and {} better ones (--top 0 shows all)\n", r.layers.size() - shown);
  for (const OutputComparison& o : r.outputs)
    fmt::print("output  {:<40} {} dB\n", o.name, decibels(o.sqnr_db));
  std::vector<std::string> fixes;
  for (const LayerComparison& l : r.layers)
    if (!l.fix.empty() && fixes.size() < 3 &&
        std::find(fixes.begin(), fixes.end(), l.fix) == fixes.end())
      fixes.push_back(l.fix);
  std::string command =
      fmt::format("intact quantize {} --data {} --force", f.reference, f.data.path);
  for (const std::string& fix : fixes) command += " " + fix;
  if (fixes.empty())
    fmt::print("next        intact bench {} {}\n", f.reference, f.quantized);
  else
    fmt::print("next        {} -o {}\n", command, f.quantized);
}

Json to_json(const CompareResult& r) {
  Json json;
  json["samples"] = r.samples;
  json["layers"] = Json::array();
  for (const LayerComparison& l : r.layers) {
    Json row;
    row["node"] = l.node;
    row["op"] = l.op;
    row["value"] = l.value;
    row["local_sqnr_db"] = l.local_sqnr_db;
    row["cumulative_sqnr_db"] = l.cumulative_sqnr_db;
    row["weight_sqnr_db"] = l.weight_sqnr_db;
    row["inputs"] = Json::array();
    for (const InputFigures& x : l.inputs)
      row["inputs"].push_back({{"name", x.name},
                               {"sqnr_db", x.sqnr_db},
                               {"effective_bits", x.effective_bits},
                               {"clipped_error", x.clipped_error},
                               {"clipped_values", x.clipped_values},
                               {"peak_to_rms", x.peak_to_rms},
                               {"range_error", x.range_error},
                               {"parts_ratio", x.parts_ratio}});
    row["cause"] = l.cause;
    row["fix"] = l.fix;
    json["layers"].push_back(row);
  }
  for (const OutputComparison& o : r.outputs)
    json["outputs"].push_back({{"name", o.name}, {"sqnr_db", o.sqnr_db}});
  return json;
}

int run_compare(const Flags& f) {
  auto session = Session::open(f.reference, {.threads = f.common.threads});
  if (!session) return refuse(session.error());
  auto samples = f.data.samples(*session);
  if (!samples) return refuse(samples.error());
  CompareOptions options;
  options.threads = f.common.threads;
  options.cancel = &interrupted();
  Result<CompareResult> result = fail(ErrorCode::kInterrupted, "");
  {
    Progress progress("compare");
    std::int64_t done = 0;
    options.progress = [&](const std::string& stage, double) {
      progress.update(part_of(++done, samples->size), stage);
    };
    result = compare(f.reference, f.quantized, *samples, options);
  }
  if (!result) return refuse(result.error());
  if (!f.common.quiet()) print(f, *result);
  if (auto status = f.common.write("compare", to_json(*result)); !status)
    return refuse(status.error());
  return kDone;
}

}  // namespace

std::function<int()> declare_compare(CLI::App& app) {
  auto f = std::make_shared<Flags>();
  app.add_option("FLOAT", f->reference, "The float model")->required();
  app.add_option("QUANTIZED", f->quantized, "The quantized model made from it")->required();
  f->data.add_to(app, true);
  app.add_option("--top", f->top, "Show this many layers; 0: all")
      ->check(CLI::Range(0, 1000000))
      ->type_name("N");
  f->common.add_to(app);
  return [f] { return run_compare(*f); };
}

}  // namespace intact::cli
