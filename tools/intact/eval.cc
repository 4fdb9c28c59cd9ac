#include <fmt/format.h>

#include "command.h"
#include "data/metrics.h"
#include "runtime/engine.h"

namespace intact::cli {
namespace {

struct Flags {
  Common common;
  DataFlags data;
  std::vector<std::string> models;
  std::string metric = "top1";
  std::string output, target;
};

Status evaluate(const Flags& f, const Session& reference, const Session& session, Metric& metric) {
  INTACT_ASSIGN(auto data, f.data.open(session));
  Progress progress("eval");
  const bool needs_reference = metric.info().needs_reference;
  const auto run = [](const Session& s, const Sample& sample) -> Result<std::vector<NamedTensor>> {
    std::vector<Tensor> inputs;
    for (const auto& [name, tensor] : sample.inputs) inputs.push_back(tensor);
    RunOptions options;
    options.cancel = &interrupted();
    INTACT_ASSIGN(auto outputs, s.engine().run(inputs, options));
    std::vector<NamedTensor> named;
    for (std::size_t i = 0; i < outputs.size(); ++i)
      named.emplace_back(s.outputs()[i].name, std::move(outputs[i]));
    return named;
  };
  for (std::int64_t count = 0;; ++count) {
    INTACT_ASSIGN(const auto sample, data->next());
    if (!sample) return {};
    INTACT_ASSIGN(const auto outputs, run(session, *sample));
    std::vector<NamedTensor> expected;
    if (needs_reference) {
      INTACT_ASSIGN(expected, run(reference, *sample));
    }
    auto status = metric.add({outputs, expected, &sample->target});
    if (!status) return fail(status.error().with_context(sample->name));
    if (const auto size = data->size())
      progress.update(static_cast<double>(count + 1) / static_cast<double>(*size));
  }
}

int run_eval(const Flags& f) {
  MetricOptions options;
  options.output = f.output;
  options.target = f.target;
  std::vector<std::unique_ptr<Metric>> results;
  std::vector<Session> sessions;
  for (const std::string& path : f.models) {
    auto session = Session::open(path, {.threads = f.common.threads});
    if (!session) return refuse(session.error());
    sessions.push_back(std::move(*session));
  }
  Json json;
  json["metric"] = f.metric;
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    auto metric = make_metric(f.metric, options);
    if (!metric) return refuse(metric.error());
    if (auto status = evaluate(f, sessions[0], sessions[i], **metric); !status)
      return refuse(status.error().with_context(f.models[i]));
    const Metric& m = **metric;
    Json row;
    row["model"] = f.models[i];
    row["value"] = m.value();
    row["samples"] = m.count();
    if (!f.common.quiet())
      fmt::print("{:<44} {} {:.3f} {}  ({} samples)\n", f.models[i], f.metric, m.value(),
                 m.info().unit, m.count());
    if (i > 0) {
      const auto d = paired_difference(*results[0], m);
      if (!d) return refuse(d.error());
      row["difference"] = d->difference;
      row["difference_interval"] = {d->interval.lo, d->interval.hi};
      row["method"] = d->method;
      row["worse"] = d->worse;
      row["better"] = d->better;
      if (!f.common.quiet())
        fmt::print(
            "{:<44} difference {:+.3f} {}, 95 % interval [{:+.3f}, {:+.3f}]; {} samples worse, {} "
            "better\n",
            "", d->difference, m.info().unit, d->interval.lo, d->interval.hi, d->worse.size(),
            d->better.size());
    }
    json["models"].push_back(row);
    results.push_back(std::move(*metric));
  }
  if (auto status = f.common.write("eval", json); !status) return refuse(status.error());
  return kDone;
}

}  // namespace

std::function<int()> declare_eval(CLI::App& app) {
  auto f = std::make_shared<Flags>();
  app.add_option("MODEL", f->models, "Models; the first is what the others are compared with")
      ->required();
  f->data.add_to(app, true);
  app.add_option("--metric", f->metric,
                 "top1 top5 accuracy f1 agreement sqnr cosine mse spearman pearson wer cer map; "
                 "min:NAME: lower is better")
      ->type_name("M");
  app.add_option("--output", f->output, "The output to judge; default: the first")
      ->type_name("NAME");
  app.add_option("--target", f->target, "The array of targets; default: the label, or the first")
      ->type_name("NAME");
  f->common.add_to(app);
  return [f] { return run_eval(*f); };
}

}  // namespace intact::cli
