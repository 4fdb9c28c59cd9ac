#include "intact/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/shape.h"
#include "command.h"

namespace intact::cli {
namespace {

struct Flags {
  Common common;
  DataFlags data;
  InspectOptions options;
  InspectDataOptions data_options;
  std::string model;
  std::vector<std::string> shapes;
};

std::string describe(const ValueDescription& v) {
  std::vector<std::string> dims;
  for (std::size_t i = 0; i < v.shape.size(); ++i)
    dims.push_back(v.shape[i] >= 0        ? std::to_string(v.shape[i])
                   : v.symbols[i].empty() ? "?"
                                          : v.symbols[i]);
  return fmt::format("{} {} [{}]", v.name, v.dtype, fmt::join(dims, ","));
}

void print(const Flags& f, const Inspection& r) {
  fmt::print("{}: opset {}, {} nodes, {} parameters, made by {}\n", f.model, r.opset, r.nodes,
             r.parameters, r.producer.empty() ? "(not said)" : r.producer);
  for (const auto& v : r.inputs) fmt::print("  input   {}\n", describe(v));
  for (const auto& v : r.outputs) fmt::print("  output  {}\n", describe(v));
  for (const auto& [type, size] : r.constant_bytes)
    fmt::print("  stored  {:<10} {}\n", type, human_bytes(static_cast<double>(size)));
  for (const auto& [op, count] : r.operators) fmt::print("  {:>6}  {}\n", count, op);
  if (!r.problem.empty()) {
    fmt::print(stderr, "intact: warning: no session opens this model: {}\n", r.problem);
    return;
  }
  std::size_t integer = 0;
  double macs = 0, integer_macs = 0;
  bool known = true;
  for (const NodeReport& p : r.products) {
    integer += p.integer ? 1 : 0;
    macs += p.multiply_adds;
    integer_macs += p.integer ? p.multiply_adds : 0;
    known &= p.multiply_adds > 0;
  }
  fmt::print("{} {} of {} Conv, ConvTranspose, Gemm and MatMul{}\n",
             r.quantized ? "integer are" : "quantize would make integer", integer,
             r.products.size(),
             known && macs > 0 ? fmt::format(": {:.1f} % of {:.1f} M multiply-adds",
                                             100 * integer_macs / macs, macs / 1e6)
                               : std::string());
  for (const NodeReport& p : r.products)
    if (!p.integer) fmt::print("  float   {:<14} {:<40} {}\n", p.op, p.name, p.reason);
}

void print(const DataInspection& d, const std::string& sheet) {
  fmt::print("{} samples\n", d.samples);
  for (const InputData& in : d.inputs) {
    std::vector<std::string> shapes;
    for (const auto& s : in.shapes) shapes.push_back(to_string(s));
    fmt::print("  receives {} {} {}\n", in.name, in.dtype, fmt::join(shapes, " "));
    fmt::print("    {:<10} {:>12} {:>12} {:>12} {:>12}\n", "", "min", "mean", "max", "std");
    const auto row = [](const std::string& what, const ValueFigures& v) {
      fmt::print("    {:<10} {:>12.5g} {:>12.5g} {:>12.5g} {:>12.5g}\n", what, v.min, v.mean, v.max,
                 v.std);
    };
    row("all", in.all);
    for (std::size_t c = 0; c < in.channels.size(); ++c)
      row(fmt::format("channel {}", c), in.channels[c]);
  }
  if (!sheet.empty()) fmt::print("wrote   {}\n", sheet);
}

Json figures(const ValueFigures& v) {
  return {{"min", v.min}, {"mean", v.mean}, {"max", v.max}, {"std", v.std}};
}

Json to_json(const Flags& f, const Inspection& r) {
  Json json;
  json["model"] = f.model;
  json["opset"] = r.opset;
  json["producer"] = r.producer;
  json["nodes"] = r.nodes;
  json["parameters"] = r.parameters;
  json["constant_bytes"] = r.constant_bytes;
  json["operators"] = r.operators;
  for (const auto& v : r.inputs) json["inputs"].push_back(describe(v));
  for (const auto& v : r.outputs) json["outputs"].push_back(describe(v));
  json["metadata"] = r.metadata;
  json["quantized"] = r.quantized;
  if (!r.problem.empty()) json["problem"] = r.problem;
  json["products"] = Json::array();
  for (const NodeReport& p : r.products)
    json["products"].push_back({{"name", p.name},
                                {"op", p.op},
                                {"multiply_adds", p.multiply_adds},
                                {"integer", p.integer},
                                {"reason", p.reason}});
  return json;
}

void add_data(Json& json, const DataInspection& d) {
  json["samples"] = d.samples;
  for (const InputData& in : d.inputs) {
    Json row;
    row["name"] = in.name;
    row["dtype"] = in.dtype;
    row["shapes"] = in.shapes;
    row["all"] = figures(in.all);
    row["channels"] = Json::array();
    for (const ValueFigures& c : in.channels) row["channels"].push_back(figures(c));
    json["data"].push_back(row);
  }
}

int run_inspect(Flags& f) {
  if (!f.data_options.contact_sheet.empty() && f.data.path.empty())
    return refuse({ErrorCode::kInvalidArgument, "--contact-sheet shows samples: give --data", {}});
  for (const std::string& text : f.shapes) {
    auto shape = parse_shape(text);
    if (!shape) return refuse(shape.error());
    f.options.shapes.insert(std::move(*shape));
  }
  const auto r = inspect(f.model, f.options);
  if (!r) return refuse(r.error());
  Json json = to_json(f, *r);
  if (!f.common.quiet()) print(f, *r);
  if (!f.data.path.empty()) {
    auto session = Session::open(f.model, {.threads = f.common.threads});
    if (!session) return refuse(session.error());
    auto samples = f.data.samples(*session);
    if (!samples) return refuse(samples.error());
    f.data_options.cancel = &interrupted();
    const auto d = inspect_data(*session, *samples, f.data_options);
    if (!d) return refuse(d.error());
    add_data(json, *d);
    if (!f.common.quiet()) print(*d, f.data_options.contact_sheet);
  }
  if (!f.common.quiet() && !r->quantized && r->problem.empty())
    fmt::print("next    intact quantize {} --data {}\n", f.model,
               f.data.path.empty() ? "samples/" : f.data.path);
  if (auto status = f.common.write("inspect", json); !status) return refuse(status.error());
  return kDone;
}

}  // namespace

std::function<int()> declare_inspect(CLI::App& app) {
  auto f = std::make_shared<Flags>();
  app.add_option("MODEL", f->model, "The model")->required();
  f->data.add_to(app, false);
  app.add_option("--shape", f->shapes, "NAME=1x3x640x640: input sizes that the model leaves open")
      ->type_name("NAME=DIMS");
  app.add_option("--contact-sheet", f->data_options.contact_sheet,
                 "Write the first 64 pictures that the model receives, labels underneath")
      ->type_name("FILE.png");
  app.add_option("--samples", f->data_options.max_samples, "Look at this many; 0: all")
      ->check(CLI::Range(0, 1000000000))
      ->type_name("N");
  app.add_option("--target", f->options.target, "any or tensorrt: for whom it would be quantized")
      ->check(CLI::IsMember({"any", "tensorrt"}))
      ->type_name("T");
  f->common.add_to(app);
  return [f] { return run_inspect(*f); };
}

}  // namespace intact::cli
