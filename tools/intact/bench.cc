// bench: interleaved rounds over all models, so that a noisy machine disturbs them alike.

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#include "command.h"
#include "runtime/engine.h"

namespace intact::cli {
namespace {

struct Flags {
  Common common;
  DataFlags data;
  std::vector<std::string> models, shapes;
  int rounds = 30;
  bool profile = false;
};

struct Timed {
  std::string path;
  Session session;
  std::vector<Tensor> inputs;
  std::vector<double> ms;
  [[nodiscard]] double at(double quantile) const {
    auto sorted = ms;
    std::sort(sorted.begin(), sorted.end());
    return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(
                                                  quantile * static_cast<double>(sorted.size())))];
  }
};

double now_ms() {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Result<std::vector<Tensor>> inputs_of(const Flags& f, const Session& session) {
  if (f.data.path.empty()) return seeded_inputs(session, f.shapes);
  INTACT_ASSIGN(auto data, f.data.open(session));
  INTACT_ASSIGN(auto sample, data->next());
  if (!sample)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} has no samples", f.data.path));
  std::vector<Tensor> inputs;
  for (auto& [name, tensor] : sample->inputs) inputs.push_back(std::move(tensor));
  return inputs;
}

struct Row {
  std::string name, op, shape;
  double us = 0;
};

Result<std::vector<Row>> profile(Timed& t, int rounds) {
  std::vector<Row> rows;
  std::size_t at = 0;
  const std::function<void(const Step&, double)> record = [&](const Step& step, double us) {
    if (at == rows.size()) {
      const std::string out = step.out_info.empty() ? "" : to_string(step.out_info[0].shape);
      rows.push_back({step.node->name,
                      (step.node->domain.empty() ? "" : step.node->domain + ".") + step.node->op,
                      out, us});
    } else {
      rows[at].us = std::min(rows[at].us, us);
    }
    ++at;
  };
  RunOptions options;
  options.profiler = &record;
  for (int i = 0; i < rounds; ++i) {
    at = 0;
    INTACT_TRY(t.session.engine().run(t.inputs, options));
  }
  return rows;
}

int run_bench(const Flags& f) {
  std::vector<Timed> all;
  for (const std::string& path : f.models) {
    auto session = Session::open(path, {.threads = f.common.threads});
    if (!session) return refuse(session.error());
    auto inputs = inputs_of(f, *session);
    if (!inputs) return refuse(inputs.error().with_context(path));
    all.push_back({path, *session, std::move(*inputs), {}});
  }
  Progress progress("bench");
  for (int round = -2; round < f.rounds; ++round)
    for (Timed& t : all) {
      RunOptions options;
      options.cancel = &interrupted();
      const double start = now_ms();
      const auto result = t.session.engine().run(t.inputs, options);
      const double ms = now_ms() - start;
      if (!result) return refuse(result.error().with_context(t.path));
      if (round >= 0) t.ms.push_back(ms);
      progress.update(static_cast<double>(round + 2) / (f.rounds + 2));
    }
  progress.update(1);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  Json json;
  json["threads"] = all[0].session.engine().threads();
  json["rounds"] = f.rounds;
  json["peak_memory_bytes"] = static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
  if (!f.common.quiet())
    fmt::print("{:<44} {:>9} {:>9} {:>9} {:>8}\n", "model", "min ms", "median", "p99", "ratio");
  for (const Timed& t : all) {
    // The median of the ratios of rounds run side by side.
    std::vector<double> ratios;
    for (std::size_t i = 0; i < t.ms.size(); ++i) ratios.push_back(all[0].ms[i] / t.ms[i]);
    std::sort(ratios.begin(), ratios.end());
    const double ratio = ratios[ratios.size() / 2];
    Json row;
    row["model"] = t.path;
    row["min_ms"] = t.at(0);
    row["median_ms"] = t.at(0.5);
    row["p99_ms"] = t.at(0.99);
    row["speedup_over_first"] = ratio;
    json["models"].push_back(row);
    if (!f.common.quiet())
      fmt::print("{:<44} {:>9.3f} {:>9.3f} {:>9.3f} {:>7.2f}x\n", t.path, t.at(0), t.at(0.5),
                 t.at(0.99), ratio);
  }
  if (!f.common.quiet())
    fmt::print(
        "{} threads, {} interleaved rounds; ratio: median of the first model's time over this "
        "one's\n",
        all[0].session.engine().threads(), f.rounds);
  for (Timed& t : all) {
    if (!f.profile) break;
    auto rows = profile(t, std::max(3, f.rounds / 3));
    if (!rows) return refuse(rows.error());
    double total = 0;
    for (const Row& row : *rows) total += row.us;
    if (!f.common.quiet())
      fmt::print("\n{}: least time of each step\n{:>9} {:>6}  {:<24} {:<18} {}\n", t.path, "us",
                 "%", "operator", "output", "node");
    Json steps;
    for (const Row& row : *rows) {
      steps.push_back({{"node", row.name}, {"op", row.op}, {"output", row.shape}, {"us", row.us}});
      if (!f.common.quiet())
        fmt::print("{:>9.1f} {:>6.1f}  {:<24} {:<18} {}\n", row.us, 100 * row.us / total, row.op,
                   row.shape, row.name);
    }
    json["profile"][t.path] = steps;
  }
  if (auto status = f.common.write("bench", json); !status) return refuse(status.error());
  return kDone;
}

}  // namespace

std::function<int()> declare_bench(CLI::App& app) {
  auto f = std::make_shared<Flags>();
  app.add_option("MODEL", f->models, "Models; the first is what ratios refer to")->required();
  f->data.add_to(app, false);
  app.add_option("--shape", f->shapes, "NAME=1x3x640x640: input sizes when there is no data")
      ->type_name("NAME=DIMS");
  app.add_option("--rounds", f->rounds, "Timed rounds over all models")
      ->check(CLI::Range(1, 100000))
      ->type_name("N");
  app.add_flag("--profile", f->profile, "Show the time of every step");
  f->common.add_to(app);
  return [f] { return run_bench(*f); };
}

}  // namespace intact::cli
