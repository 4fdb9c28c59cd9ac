#include "intact/quantize.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "base/atomic_file.h"
#include "command.h"
#include "intact/evaluate.h"

namespace intact::cli {
namespace {

struct Flags {
  Common common;
  DataFlags data;
  QuantizeOptions options;
  DataFlags eval_data;  // --eval-data; pictures and constants as for --data.
  std::vector<std::string> input_types, output_types;
  std::string model, out, scheme = "auto", metric, max_drop;
  std::optional<double> min_sqnr;
  bool force = false;
};

// Both models on --eval-data. Nothing when no --max-drop asks for it.
Result<std::optional<MetricDrop>> drop_of(const Flags& f, const Session& before,
                                          const std::string& quantized) {
  if (f.max_drop.empty()) return std::nullopt;
  INTACT_ASSIGN(const Session after, Session::open(std::as_bytes(std::span(quantized)), "",
                                                   {.threads = f.common.threads}));
  INTACT_ASSIGN(const SampleSource samples, f.eval_data.samples(before));
  EvaluateOptions options;
  options.metric = f.metric;
  options.cancel = &interrupted();
  INTACT_ASSIGN(auto drop, measure_drop(before, after, samples, f.max_drop, options));
  return std::optional(std::move(drop));
}

std::string default_out(const std::string& model) {
  std::filesystem::path path = model;
  path.replace_extension(".int8.onnx");
  return path.string();
}

void print(const Flags& f, const QuantizeResult& r, const std::optional<MetricDrop>& drop) {
  fmt::print("integer     {:.1f} % of the multiply-adds\n", 100 * r.integer_share);
  bool any = false;
  for (const NodeReport& n : r.nodes) {
    if (n.integer) continue;
    if (!any) fmt::print("float       by node, with the reason:\n");
    any = true;
    fmt::print("            {:<12} {:<40} {}\n", n.op, n.name, n.reason);
  }
  fmt::print("size        {} -> {} ({:.2f}x)\n", human_bytes(static_cast<double>(r.float_bytes)),
             human_bytes(static_cast<double>(r.quantized_bytes)),
             static_cast<double>(r.quantized_bytes) /
                 static_cast<double>(std::max<std::size_t>(1, r.float_bytes)));
  fmt::print("samples     {} calibrated, {} held back for the verdict\n", r.calibration_samples,
             r.held_back_samples);
  for (const std::string& note : r.notes) fmt::print("note        {}\n", note);
  std::string agreement;
  if (r.agreement)
    agreement = fmt::format(", agreement {:.1f} % (95 % interval {:.1f} to {:.1f})",
                            100 * *r.agreement, 100 * r.agreement_low, 100 * r.agreement_high);
  fmt::print("verdict     {}: SQNR {:.1f} dB (95 % interval {:.1f} to {:.1f}){}\n",
             to_string(r.verdict), r.sqnr_db, r.sqnr_low_db, r.sqnr_high_db, agreement);
  if (drop)
    fmt::print("metric      {} {:.3f} -> {:.3f} {} on {} samples: drop {:.3f}, limit {:.3f}\n",
               f.metric, drop->before.value, drop->after.value, drop->after.unit,
               drop->after.samples, drop->drop, drop->limit);
  if (r.verdict != Verdict::kIntact && !r.noisiest_samples.empty()) {
    std::string samples;
    for (const auto& [i, share] : r.noisiest_samples)
      samples += fmt::format("{}{} ({:.0f} %)", samples.empty() ? "" : ", ", i, 100 * share);
    fmt::print("noise       most of it in samples {}\n", samples);
  }
  if ((r.verdict != Verdict::kIntact || (drop && drop->missed())) && !r.worst_nodes.empty()) {
    std::string command = fmt::format("intact quantize {} --data {} --force", f.model, f.data.path);
    for (std::size_t i = 0; i < std::min<std::size_t>(3, r.worst_nodes.size()); ++i)
      command += fmt::format(" --keep-float '{}'", r.worst_nodes[i]);
    fmt::print("try         {}\n", command);
  }
  fmt::print("wrote       {}\nnext        intact bench {} {}\n", f.out, f.model, f.out);
}

Json to_json(const Flags& f, const QuantizeResult& r, const std::optional<MetricDrop>& drop) {
  Json json;
  json["out"] = f.out;
  json["verdict"] = to_string(r.verdict);
  json["sqnr_db"] = r.sqnr_db;
  json["sqnr_interval_db"] = {r.sqnr_low_db, r.sqnr_high_db};
  for (const auto& [i, share] : r.noisiest_samples)
    json["noisiest_samples"].push_back({{"sample", i}, {"share", share}});
  if (r.agreement)
    json["agreement"] = {
        {"value", *r.agreement}, {"low", r.agreement_low}, {"high", r.agreement_high}};
  if (drop)
    json["metric"] = {{"name", f.metric},
                      {"float", drop->before.value},
                      {"quantized", drop->after.value},
                      {"unit", drop->after.unit},
                      {"samples", drop->after.samples},
                      {"drop", drop->drop},
                      {"limit", drop->limit}};
  json["integer_share"] = r.integer_share;
  json["float_bytes"] = r.float_bytes;
  json["quantized_bytes"] = r.quantized_bytes;
  json["calibration_samples"] = r.calibration_samples;
  json["held_back_samples"] = r.held_back_samples;
  json["fingerprint"] = r.fingerprint;
  json["worst_nodes"] = r.worst_nodes;
  json["notes"] = r.notes;
  for (const NodeReport& n : r.nodes)
    json["nodes"].push_back({{"name", n.name},
                             {"op", n.op},
                             {"multiply_adds", n.multiply_adds},
                             {"integer", n.integer},
                             {"reason", n.reason},
                             {"fit", n.fit},
                             {"local_sqnr_db", n.local_sqnr_db}});
  return json;
}

// NAME=TYPE of --input-type. What --images does to a byte need not be said twice.
Status take_input_types(Flags& f) {
  for (const std::string& text : f.input_types) {
    const auto equals = text.find("=uint8");
    if (equals == std::string::npos || equals == 0)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("--input-type '{}': expected NAME=uint8[,nhwc]", text));
    INTACT_ASSIGN(const std::string type,
                  input_type_of(text.substr(equals + 1), f.data.options.images));
    if (!f.options.input_types.emplace(text.substr(0, equals), type).second)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("--input-type gives input '{}' twice", text.substr(0, equals)));
  }
  f.data.options.input_types = f.options.input_types;
  return {};
}

// NAME=uint8 of --output-type.
Status take_output_types(Flags& f) {
  for (const std::string& text : f.output_types) {
    const auto equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("--output-type '{}': expected NAME=uint8", text));
    f.options.output_types[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return {};
}

int run_quantize(Flags& f) {
  if (f.scheme != "auto" && f.scheme != "w8a8")
    return refuse(
        {ErrorCode::kUnsupported,
         fmt::format("--scheme {} is not in this release; w8a8 (static INT8) is", f.scheme),
         {}});
  // Ranges of a calibration file may stand where samples do.
  if (f.data.path.ends_with(".cal") && f.options.calibration.empty())
    f.options.calibration = std::exchange(f.data.path, {});
  if (f.data.path.empty() && f.options.calibration.empty())
    return refuse({ErrorCode::kInvalidArgument,
                   "no samples: give --data with inputs that the model really receives; intact "
                   "never calibrates on random numbers",
                   {}});
  if (f.min_sqnr && f.data.path.empty())
    return refuse({ErrorCode::kInvalidArgument,
                   "--min-sqnr is measured on samples: give --data beside the calibration file",
                   {}});
  if (f.eval_data.path.empty()) f.eval_data.path = f.data.path;
  if (f.max_drop.empty() != f.metric.empty() || (!f.max_drop.empty() && f.eval_data.path.empty()))
    return refuse({ErrorCode::kInvalidArgument,
                   "--max-drop is measured: say how with --metric, and on what with --eval-data",
                   {}});
  if (!f.max_drop.empty())
    if (const auto limit = check_max_drop(f.max_drop); !limit) return refuse(limit.error());
  if (auto status = take_input_types(f); !status) return refuse(status.error());
  if (auto status = take_output_types(f); !status) return refuse(status.error());
  f.eval_data.options = f.data.options;
  if (f.out.empty()) f.out = default_out(f.model);
  if (!f.force && std::filesystem::exists(f.out))
    return refuse({ErrorCode::kInvalidArgument,
                   fmt::format("{} exists; add --force to replace it", f.out),
                   {}});
  std::error_code same;
  if (std::filesystem::equivalent(f.model, f.out, same))
    return refuse({ErrorCode::kInvalidArgument,
                   "the output would replace the model itself; choose another -o",
                   {}});
  f.options.threads = f.common.threads;
  f.options.cancel = &interrupted();
  auto session = Session::open(f.model, {.threads = f.common.threads});
  if (!session) return refuse(session.error());
  SampleSource samples;
  if (!f.data.path.empty()) {
    auto opened = f.data.samples(*session);
    if (!opened) return refuse(opened.error());
    samples = std::move(*opened);
  }
  Result<QuantizeResult> result = fail(ErrorCode::kInterrupted, "");
  {
    Progress progress("quantize");
    f.options.progress = [&](const std::string& stage, double done) {
      progress.update(done, stage);
    };
    result = quantize(f.model, samples, f.options);
  }
  if (!result) return refuse(result.error());
  const auto drop = drop_of(f, *session, result->model);
  if (!drop) return refuse(drop.error());
  const bool noisy = f.min_sqnr && result->sqnr_db < *f.min_sqnr;
  const bool worse = *drop && (*drop)->missed();
  if (noisy || worse) f.out += ".best";
  if (auto status = write_file(f.out, result->model); !status) return refuse(status.error());
  // What we write, we have run.
  if (auto check = Session::open(f.out, {.threads = f.common.threads}); !check)
    return refuse(check.error());
  if (!f.common.quiet()) print(f, *result, *drop);
  if (auto status = f.common.write("quantize", to_json(f, *result, *drop)); !status)
    return refuse(status.error());
  if (noisy)
    fmt::print(stderr, "intact: SQNR {:.1f} dB is below --min-sqnr {:g}; the best found is in {}\n",
               result->sqnr_db, *f.min_sqnr, f.out);
  if (worse)
    fmt::print(stderr,
               "intact: {} drops by {:.3f}, more than --max-drop {}; the best found is in {}\n",
               f.metric, (*drop)->drop, f.max_drop, f.out);
  return noisy || worse ? kAccuracyMissed : kDone;
}

}  // namespace

std::function<int()> declare_quantize(CLI::App& app) {
  auto f = std::make_shared<Flags>();
  app.add_option("MODEL", f->model, "The float model")->required();
  app.add_option("-o,--out", f->out, "Default: MODEL with .int8.onnx")->type_name("OUT");
  f->data.add_to(app, false);
  app.add_option("--scheme", f->scheme, "auto or w8a8")->type_name("S");
  app.add_option("--target", f->options.target, "any or tensorrt")
      ->check(CLI::IsMember({"any", "tensorrt"}))
      ->type_name("T");
  app.add_option("--range", f->options.range, "mse, minmax, average, moving=B, percentile=P or kl")
      ->type_name("R");
  app.add_option("--scales", f->options.scales,
                 "short: few bits, the same codes in every engine; any: up to 1 dB better")
      ->check(CLI::IsMember({"short", "any"}))
      ->type_name("S");
  app.add_option("--weight-range", f->options.weight_range, "minmax or mse")
      ->check(CLI::IsMember({"minmax", "mse"}))
      ->type_name("R");
  app.add_option("--effort", f->options.effort,
                 "0: ranges only, 1: fit every layer, 2: on more samples")
      ->check(CLI::Range(0, 2))
      ->type_name("E");
  app.add_option("--keep-float", f->options.keep_float,
                 "Nodes or operators that stay float, with * and ?")
      ->type_name("PATTERN");
  app.add_option("--require-int8", f->options.require_int8, "Nodes that must not stay float")
      ->type_name("PATTERN");
  app.add_option("--input-type", f->input_types,
                 "An input takes image bytes: uint8[,nhwc][,scale=1/255][,mean=...][,std=...], as "
                 "--images has them; they become part of the first layer")
      ->type_name("NAME=TYPE");
  app.add_option("--output-type", f->output_types,
                 "An output becomes uint8 codes: a byte a value; the notes say what they stand for")
      ->type_name("NAME=uint8");
  app.add_option("--calibration", f->options.calibration, "Ranges from this file")
      ->type_name("FILE.cal");
  app.add_option("--min-sqnr", f->min_sqnr,
                 "Exit 3 when the worst output's SQNR is below; the result is then in OUT.best")
      ->type_name("DB");
  app.add_option(
         "--max-drop", f->max_drop,
         "Exit 3 when --metric drops by more, in its own unit or as a share (1%); the result "
         "is then in OUT.best")
      ->type_name("X");
  app.add_option("--metric", f->metric, "What --max-drop limits: the metrics of intact eval")
      ->type_name("M");
  app.add_option("--eval-data", f->eval_data.path,
                 "Labelled samples for --metric, as --data, which is the default")
      ->type_name("DATA");
  app.add_flag("--force", f->force, "Replace an existing output file");
  f->common.add_to(app);
  return [f] { return run_quantize(*f); };
}

}  // namespace intact::cli
