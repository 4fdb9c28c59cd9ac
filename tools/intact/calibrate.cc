#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/atomic_file.h"
#include "command.h"
#include "intact/quantize.h"

namespace intact::cli {
namespace {

struct Flags {
  Common common;
  DataFlags data;
  QuantizeOptions options;
  std::string model, out;
  std::vector<std::string> parts;
  bool force = false;

  [[nodiscard]] Status may_write() const {
    if (force || !std::filesystem::exists(out)) return {};
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} exists; add --force to replace it", out));
  }
};

int done(const Flags& f, const std::string& verb, const std::string& text) {
  if (auto status = write_file(f.out, text); !status) return refuse(status.error());
  if (!f.common.quiet())
    fmt::print("wrote       {}\nnext        intact quantize {} --calibration {}{}\n", f.out,
               f.model.empty() ? "MODEL" : f.model, f.out,
               f.data.path.empty() ? "" : " --data " + f.data.path);
  Json json;
  json["out"] = f.out;
  if (auto status = f.common.write(verb, json); !status) return refuse(status.error());
  return kDone;
}

int run_calibrate(Flags& f) {
  if (auto status = f.may_write(); !status) return refuse(status.error());
  auto session = Session::open(f.model, {.threads = f.common.threads});
  if (!session) return refuse(session.error());
  auto samples = f.data.samples(*session);
  if (!samples) return refuse(samples.error());
  f.options.threads = f.common.threads;
  f.options.cancel = &interrupted();
  Result<std::string> text = fail(ErrorCode::kInterrupted, "");
  {
    Progress progress("calibrate");
    f.options.progress = [&](const std::string& stage, double part) {
      progress.update(part, stage);
    };
    text = calibrate(f.model, *samples, f.options);
  }
  if (!text) return refuse(text.error());
  return done(f, "calibrate", *text);
}

Result<std::string> read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorCode::kIo, fmt::format("{} cannot be read", path));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

int run_merge(const Flags& f) {
  if (auto status = f.may_write(); !status) return refuse(status.error());
  auto whole = read_text(f.parts[0]);
  for (std::size_t i = 1; whole && i < f.parts.size(); ++i) {
    const auto part = read_text(f.parts[i]);
    if (!part) return refuse(part.error());
    whole = merge(*whole, *part);
    if (!whole)
      return refuse(
          whole.error().with_context(fmt::format("{} and {}", f.parts[i - 1], f.parts[i])));
  }
  if (!whole) return refuse(whole.error());
  return done(f, "merge", *whole);
}

}  // namespace

std::function<int()> declare_calibrate(CLI::App& app) {
  auto f = std::make_shared<Flags>();
  app.add_option("MODEL", f->model, "The float model")->required();
  f->data.add_to(app, true);
  app.add_option("-o,--out", f->out, "The calibration file")->required()->type_name("FILE.cal");
  app.add_option("--range", f->options.range, "mse, minmax, average, moving=B, percentile=P or kl")
      ->type_name("R");
  app.add_flag("--force", f->force, "Replace an existing output file");
  f->common.add_to(app);
  return [f] { return run_calibrate(*f); };
}

std::function<int()> declare_merge(CLI::App& app) {
  auto f = std::make_shared<Flags>();
  app.add_option("FILE", f->parts, "Calibration files of parts of the data")
      ->required()
      ->expected(2, 10000);
  app.add_option("-o,--out", f->out, "The calibration of all the data")
      ->required()
      ->type_name("FILE.cal");
  app.add_flag("--force", f->force, "Replace an existing output file");
  f->common.add_to(app);
  return [f] { return run_merge(*f); };
}

}  // namespace intact::cli
