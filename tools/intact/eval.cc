#include <fmt/format.h>

#include "command.h"
#include "intact/evaluate.h"

namespace intact::cli {
namespace {

struct Flags {
  Common common;
  DataFlags data;
  EvaluateOptions options;
  std::vector<std::string> models;
};

void print(const Flags& f, const std::vector<Evaluation>& results) {
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Evaluation& e = results[i];
    fmt::print("{:<44} {} {:.3f} {}  ({} samples)\n", f.models[i], f.options.metric, e.value,
               e.unit, e.samples);
    if (i == 0) continue;
    fmt::print(
        "{:<44} difference {:+.3f} {}, 95 % interval [{:+.3f}, {:+.3f}]; {} samples worse, {} "
        "better\n",
        "", e.difference, e.unit, e.difference_low, e.difference_high, e.worse.size(),
        e.better.size());
    // The samples to look at first.
    std::string worst;
    for (std::size_t k = 0; k < std::min<std::size_t>(10, e.worse.size()); ++k)
      worst += fmt::format(" {}", e.worse[k]);
    if (!worst.empty()) fmt::print("{:<44} worse, worst first:{}\n", "", worst);
  }
  if (results.size() > 1)
    fmt::print("next        intact compare {} {} --data {}\n", f.models[0], f.models[1],
               f.data.path);
}

Json to_json(const Flags& f, const std::vector<Evaluation>& results) {
  Json json;
  json["metric"] = f.options.metric;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Evaluation& e = results[i];
    Json row;
    row["model"] = f.models[i];
    row["value"] = e.value;
    row["unit"] = e.unit;
    row["samples"] = e.samples;
    if (i > 0) {
      row["difference"] = e.difference;
      row["difference_interval"] = {e.difference_low, e.difference_high};
      row["method"] = e.method;
      row["worse"] = e.worse;
      row["better"] = e.better;
    }
    json["models"].push_back(row);
  }
  return json;
}

int run_eval(Flags& f) {
  std::vector<Session> sessions;
  Json fast;  // By model.
  for (const std::string& path : f.models) {
    auto session = Session::open(path, f.common.session());
    if (!session) return refuse(session.error());
    if (f.common.fast_float) fast[path] = f.common.report_fast(path, *session);
    sessions.push_back(std::move(*session));
  }
  auto samples = f.data.samples(sessions[0]);
  if (!samples) return refuse(samples.error());
  f.options.cancel = &interrupted();
  Result<std::vector<Evaluation>> results = fail(ErrorCode::kInterrupted, "");
  {
    Progress progress("eval");
    std::int64_t done = 0;
    f.options.progress = [&](const std::string& stage, double) {
      progress.update(part_of(++done, samples->size), stage);
    };
    results = evaluate(sessions, *samples, f.options);
  }
  if (!results) return refuse(results.error());
  if (!f.common.quiet()) print(f, *results);
  Json json = to_json(f, *results);
  if (!fast.is_null()) json["bf16_nodes"] = fast;
  if (auto status = f.common.write("eval", json); !status) return refuse(status.error());
  return kDone;
}

}  // namespace

std::function<int()> declare_eval(CLI::App& app) {
  auto f = std::make_shared<Flags>();
  app.add_option("MODEL", f->models, "Models; the first is what the others are compared with")
      ->required();
  f->data.add_to(app, true);
  app.add_option("--metric", f->options.metric,
                 "top1 top5 accuracy f1 agreement sqnr cosine mse spearman pearson wer cer map, or "
                 "FILE.py:NAME for score(outputs, target); min:M: lower is better")
      ->type_name("M");
  app.add_option("--output", f->options.output, "The output to judge; default: the first")
      ->type_name("NAME");
  app.add_option("--target", f->options.target,
                 "The array of targets; default: the label, or the first")
      ->type_name("NAME");
  f->common.add_to(app);
  f->common.add_session_to(app);
  return [f] { return run_eval(*f); };
}

}  // namespace intact::cli
