#include <fmt/format.h>

#include <filesystem>

#include "command.h"
#include "data/npz_writer.h"
#include "runtime/engine.h"

namespace intact::cli {
namespace {

struct Flags {
  Common common;
  DataFlags data;
  std::string model, out;
  std::vector<std::string> feed_back;
  bool force = false;
};

Result<std::int64_t> run_all(const Flags& f, const Session& session) {
  std::vector<std::string> names;
  for (const ValueDescription& out : session.outputs()) names.push_back(out.name);
  const auto specs = specs_of(session);
  INTACT_ASSIGN(const auto feed_backs, parse_feed_backs(f.feed_back, names, specs));
  StateCarrier state(feed_backs, specs);
  INTACT_ASSIGN(auto data, open_dataset(f.data.path, f.data.options, without(specs, feed_backs)));
  INTACT_ASSIGN(auto writer, NpzWriter::create(f.out));
  Progress progress("run");
  std::int64_t count = 0;
  for (;; ++count) {
    INTACT_ASSIGN(auto sample, data->next());
    if (!sample) break;
    INTACT_TRY(state.before_run(*sample));
    std::vector<Tensor> inputs;
    for (const InputSpec& spec : specs) {
      const Tensor* t = sample->find(spec.name);
      if (t == nullptr)
        return fail(ErrorCode::kDataMismatch,
                    fmt::format("{} has no input '{}'", sample->name, spec.name));
      inputs.push_back(*t);
    }
    RunOptions options;
    options.cancel = &interrupted();
    auto outputs = session.engine().run(inputs, options);
    if (!outputs) return fail(outputs.error().with_context(sample->name));
    std::vector<NamedTensor> named;
    for (std::size_t i = 0; i < outputs->size(); ++i) {
      auto status = writer.append(names[i], (*outputs)[i]);
      if (!status) return fail(status.error().with_context(sample->name));
      named.emplace_back(names[i], (*outputs)[i]);
    }
    INTACT_TRY(state.after_run(named));
    if (const auto size = data->size())
      progress.update(static_cast<double>(count + 1) / static_cast<double>(*size));
  }
  INTACT_TRY(writer.finish());
  return count;
}

}  // namespace

std::function<int()> declare_run(CLI::App& app) {
  auto f = std::make_shared<Flags>();
  app.add_option("MODEL", f->model, "The model")->required();
  f->data.add_to(app, true);
  app.add_option("-o,--out", f->out, "Outputs, one array a model output")
      ->required()
      ->type_name("OUT.npz");
  app.add_option("--feed-back", f->feed_back,
                 "OUT=IN: an output becomes an input of the next sample")
      ->type_name("OUT=IN");
  app.add_flag("--force", f->force, "Replace an existing output file");
  f->common.add_to(app);
  f->common.add_session_to(app);
  return [f] {
    if (!f->force && std::filesystem::exists(f->out))
      return refuse({ErrorCode::kInvalidArgument,
                     fmt::format("{} exists; add --force to replace it", f->out),
                     {}});
    auto session = Session::open(f->model, f->common.session());
    if (!session) return refuse(session.error());
    const auto count = run_all(*f, *session);
    if (!count) return refuse(count.error());
    if (!f->common.quiet()) fmt::print("{} samples -> {}\n", *count, f->out);
    Json json;
    json["samples"] = *count;
    json["out"] = f->out;
    if (f->common.fast_float) json["bf16_nodes"] = f->common.report_fast(f->model, *session);
    if (auto status = f->common.write("run", json); !status) return refuse(status.error());
    return kDone;
  };
}

}  // namespace intact::cli
