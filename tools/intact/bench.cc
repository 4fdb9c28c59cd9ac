// bench: interleaved rounds over all models, so that a noisy machine disturbs them alike.

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "bench_against.h"
#include "command.h"
#include "kernels/kernel_list.h"
#include "meter.h"
#include "runtime/engine.h"
#include "work.h"

namespace intact::cli {
namespace {

struct Flags {
  Common common;
  DataFlags data;
  std::vector<std::string> models, shapes;
  std::string against;
  int rounds = 30;
  bool profile = false;
  bool list = false;
};

struct Timed {
  std::string path;
  Session session;
  std::vector<Tensor> inputs = {};
  Work work = {};
  double open_ms = 0;
  std::int64_t memory_bytes =
      0;  // What the process grew by, from before opening to after two runs.
  std::vector<double> ms = {}, cpu_ms = {};
  double joules = 0;
};

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const auto at = static_cast<std::size_t>(q * static_cast<double>(values.size()));
  return values[std::min(values.size() - 1, at)];
}

Result<std::vector<Tensor>> inputs_of(const Flags& f, const Session& session) {
  if (f.data.path.empty()) return seeded_inputs(session, f.shapes);
  INTACT_ASSIGN(auto data, f.data.open(session));
  INTACT_ASSIGN(auto sample, data->next());
  if (!sample)
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} has no samples", f.data.path));
  std::vector<Tensor> inputs = {};
  for (auto& [name, tensor] : sample->inputs) inputs.push_back(std::move(tensor));
  return inputs;
}

// Opens a model and runs it twice, so that what comes later is the steady state.
Result<Timed> open_timed(const Flags& f, const std::string& path) {
  const std::int64_t before = resident_bytes();
  const double start = wall_ms();
  INTACT_ASSIGN(auto session, Session::open(path, f.common.session()));
  const double opened = wall_ms();
  Timed t{.path = path, .session = std::move(session), .open_ms = opened - start};
  INTACT_ASSIGN(t.inputs, inputs_of(f, t.session));
  for (int i = 0; i < 2; ++i) INTACT_TRY(t.session.engine().run(t.inputs));
  t.memory_bytes = std::max<std::int64_t>(0, resident_bytes() - before);
  INTACT_ASSIGN(const auto plan, t.session.engine().plan_for(t.inputs));
  t.work = work_of(*plan);
  return t;
}

Status run_rounds(std::vector<Timed>& all, int rounds, EnergyMeter& energy) {
  Progress progress("bench");
  for (int round = 0; round < rounds; ++round) {
    for (Timed& t : all) {
      RunOptions options;
      options.cancel = &interrupted();
      const double joules = energy.joules(), cpu = cpu_ms(), start = wall_ms();
      const auto result = t.session.engine().run(t.inputs, options);
      const double end = wall_ms();
      if (!result) return fail(result.error().with_context(t.path));
      t.ms.push_back(end - start);
      t.cpu_ms.push_back(cpu_ms() - cpu);
      t.joules += energy.joules() - joules;
    }
    progress.update(static_cast<double>(round + 1) / rounds);
  }
  return {};
}

// "93 %", or nothing where there is no peak to have a share of.
std::string share(double least_ms, double ms) {
  return least_ms > 0 ? fmt::format("{:.0f} %", 100 * least_ms / ms) : "";
}

Json summary(const Timed& t, const Timed& first, const Peaks& peaks, bool energy) {
  // The median of the ratios of rounds run side by side.
  std::vector<double> ratios;
  for (std::size_t i = 0; i < t.ms.size(); ++i) ratios.push_back(first.ms[i] / t.ms[i]);
  const double median = quantile(t.ms, 0.5),
               least = peaks.least_ms(t.work, t.session.engine().threads());
  Json row;
  row["model"] = t.path;
  row["min_ms"] = quantile(t.ms, 0);
  row["median_ms"] = median;
  row["p99_ms"] = quantile(t.ms, 0.99);
  row["speedup_over_first"] = quantile(ratios, 0.5);
  row["cpu_ms"] = quantile(t.cpu_ms, 0.5);
  row["multiply_adds"] = t.work.all();
  row["integer_multiply_adds"] = t.work.integer;
  row["gmac_per_s"] = 1e-6 * t.work.all() / median;
  row["share_of_peak"] = least > 0 ? Json(least / median) : Json();
  row["open_ms"] = t.open_ms;
  row["memory_growth_bytes"] = t.memory_bytes;
  row["joules"] = energy ? Json(t.joules / static_cast<double>(t.ms.size())) : Json();
  return row;
}

void print_summary(const Json& models, const Json& all) {
  fmt::print("{:<40} {:>9} {:>9} {:>9} {:>8} {:>9} {:>8} {:>7} {:>10}\n", "model", "min ms",
             "median", "p99", "ratio", "CPU ms", "GMAC/s", "peak", "memory");
  for (const Json& m : models) {
    std::string path = m["model"];
    if (path.size() > 40) path = "..." + path.substr(path.size() - 37);
    const Json& peak = m["share_of_peak"];
    fmt::print("{:<40} {:>9.3f} {:>9.3f} {:>9.3f} {:>7.2f}x {:>9.3f} {:>8.1f} {:>7} {:>10}\n", path,
               m["min_ms"].get<double>(), m["median_ms"].get<double>(), m["p99_ms"].get<double>(),
               m["speedup_over_first"].get<double>(), m["cpu_ms"].get<double>(),
               m["gmac_per_s"].get<double>(),
               peak.is_null() ? "" : fmt::format("{:.0f} %", 100 * peak.get<double>()),
               human_bytes(m["memory_growth_bytes"].get<double>()));
  }
  fmt::print(
      "{} threads, {} interleaved rounds; ratio: median of the first model's time over this one's; "
      "peak: share of what\nthis processor's multiply-adds could do, measured now{}\n",
      all["threads"].get<int>(), all["rounds"].get<int>(),
      all.contains("bf16_nodes") ? "; of float32 for BF16 too" : "");
  if (all["energy"].is_string()) {
    fmt::print("energy: {}\n", all["energy"].get<std::string>());
  } else {
    for (const Json& m : models)
      fmt::print("energy: {:.4f} J a run of {} (the whole processor)\n", m["joules"].get<double>(),
                 m["model"].get<std::string>());
  }
}

// Steps that work strip by strip are one row.
struct Row {
  std::string name, op, shape;
  Work work = {};
  double us = 0;
};

// The least time of every step.
Result<std::vector<Row>> profile(Timed& t, int rounds) {
  std::vector<Row> rows;
  std::size_t at = 0;
  const std::function<void(const Step&, double)> record = [&](const Step& step, double us) {
    if (at == rows.size()) {
      Row row;
      row.work = work_of(step);
      row.us = us;
      row.name = step.node->name;
      if (step.joined != nullptr)
        row.name = fmt::format(
            "{}", fmt::join(*step.joined |
                                std::views::transform([](const Step& s) { return s.node->name; }),
                            " > "));
      row.op = (step.node->domain.empty() ? "" : step.node->domain + ".") + step.node->op +
               (step.node->get_int("bf16", 0) != 0 ? " (bf16)" : "");
      row.shape = step.out_info.empty() ? "" : to_string(step.out_info[0].shape);
      rows.push_back(std::move(row));
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

Json show_profile(const Timed& t, const std::vector<Row>& rows, const Peaks& peaks, bool quiet) {
  double total = 0;
  for (const Row& row : rows) total += row.us;
  if (!quiet)
    fmt::print("\n{}: least time of each step\n{:>9} {:>6} {:>8} {:>8} {:>6}  {:<24} {:<18} {}\n",
               t.path, "us", "%", "MMAC", "GMAC/s", "peak", "operator", "output", "node");
  Json steps = Json::array();
  for (const Row& row : rows) {
    const double least = peaks.least_ms(row.work, t.session.engine().threads());
    const double gmacs = 1e-3 * row.work.all() / row.us;
    steps.push_back({{"node", row.name},
                     {"op", row.op},
                     {"output", row.shape},
                     {"us", row.us},
                     {"multiply_adds", row.work.all()},
                     {"gmac_per_s", gmacs},
                     {"share_of_peak", least > 0 ? Json(1e3 * least / row.us) : Json()}});
    if (quiet) continue;
    const bool product = row.work.all() > 0;
    fmt::print("{:>9.1f} {:>6.1f} {:>8} {:>8} {:>6}  {:<24} {:<18} {}\n", row.us,
               100 * row.us / total, product ? fmt::format("{:.2f}", 1e-6 * row.work.all()) : "",
               product ? fmt::format("{:.1f}", gmacs) : "", share(least, 1e-3 * row.us), row.op,
               row.shape, row.name);
  }
  return steps;
}

// The inputs of the first model, for engines that know nothing of this one's sessions.
Result<Json> run_against(const Flags& f, const Timed& first) {
  std::vector<NamedTensor> inputs;
  const auto names = first.session.inputs();
  for (std::size_t i = 0; i < names.size(); ++i)
    inputs.emplace_back(names[i].name, first.inputs[i]);
  return bench_against(f.models, f.against, inputs, f.rounds, f.common.threads, f.common.quiet());
}

int list(const Common& common) {
  const auto isa = host_isa();
  if (!isa) return refuse(isa.error());
  Json json;
  for (const KernelFamily& family : list_kernels()) {
    const auto best = chosen(family, *isa);
    for (const KernelRow& row : family) {
      const bool used = best && best->name == row.name;
      json["kernels"].push_back({{"name", row.name},
                                 {"isa", name_of(row.isa)},
                                 {"runs_here", isa_covers(*isa, row.isa)},
                                 {"chosen", used}});
      if (!common.quiet())
        fmt::print("{:<28}{}\n", row.name,
                   used                        ? "chosen"
                   : isa_covers(*isa, row.isa) ? ""
                                               : "not on this processor");
    }
  }
  if (auto status = common.write("bench", json); !status) return refuse(status.error());
  return kDone;
}

int run_bench(const Flags& f) {
  if (f.list) return list(f.common);
  if (f.models.empty())
    return refuse({ErrorCode::kInvalidArgument, "bench needs a model, or --list", {}});
  std::vector<Timed> all;
  Json fast;  // By model.
  for (const std::string& path : f.models) {
    auto timed = open_timed(f, path);
    if (!timed) return refuse(timed.error().with_context(path));
    if (f.common.fast_float) fast[path] = f.common.report_fast(path, timed->session);
    all.push_back(std::move(*timed));
  }
  const auto isa = host_isa();
  if (!isa) return refuse(isa.error());
  const Peaks peaks = measure_peaks(*isa);
  EnergyMeter energy;
  if (auto status = run_rounds(all, f.rounds, energy); !status) return refuse(status.error());
  Json json;
  if (!fast.is_null()) json["bf16_nodes"] = fast;
  json["cpu"] = cpu_name();
  json["isa"] = name_of(*isa);
  json["threads"] = all[0].session.engine().threads();
  json["rounds"] = f.rounds;
  json["peak_memory_bytes"] = peak_resident_bytes();
  json["peak_gmac_per_s"] = {{"integer", 1e-9 * peaks.integer}, {"float", 1e-9 * peaks.real}};
  json["energy"] =
      energy.available() ? Json() : Json("not measurable here: no readable Linux powercap counter");
  for (const Timed& t : all)
    json["models"].push_back(summary(t, all[0], peaks, energy.available()));
  if (!f.common.quiet()) print_summary(json["models"], json);
  for (Timed& t : all) {
    if (!f.profile) break;
    const auto rows = profile(t, std::max(3, f.rounds / 3));
    if (!rows) return refuse(rows.error());
    json["profile"][t.path] = show_profile(t, *rows, peaks, f.common.quiet());
  }
  if (!f.against.empty()) {
    if (!f.common.quiet()) fmt::print("\n");
    std::fflush(stdout);
    auto rows = run_against(f, all[0]);
    if (!rows) return refuse(rows.error());
    json["against"] = std::move(*rows);
  }
  if (auto status = f.common.write("bench", json); !status) return refuse(status.error());
  return kDone;
}

}  // namespace

std::function<int()> declare_bench(CLI::App& app) {
  auto f = std::make_shared<Flags>();
  app.add_option("MODEL", f->models, "Models; the first is what ratios refer to");
  f->data.add_to(app, false);
  app.add_option("--shape", f->shapes, "NAME=1x3x640x640: input sizes when there is no data")
      ->type_name("NAME=DIMS");
  app.add_option("--rounds", f->rounds, "Timed rounds over all models")
      ->check(CLI::Range(1, 100000))
      ->type_name("N");
  app.add_flag("--profile", f->profile, "Show time and share of peak of every step");
  app.add_option("--against", f->against,
                 "Engines to time the same files in, through Python: onnxruntime,openvino")
      ->type_name("ENGINES");
  app.add_flag("--list", f->list, "List the kernels and which are chosen here");
  f->common.add_to(app);
  f->common.add_session_to(app);
  return [f] { return run_bench(*f); };
}

}  // namespace intact::cli
