#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "command.h"
#include "onnx/import.h"

namespace intact::cli {
namespace {

std::string describe(const ValueDescription& v) {
  std::vector<std::string> dims;
  for (std::size_t i = 0; i < v.shape.size(); ++i)
    dims.push_back(v.shape[i] >= 0        ? std::to_string(v.shape[i])
                   : v.symbols[i].empty() ? "?"
                                          : v.symbols[i]);
  return fmt::format("{} {} [{}]", v.name, v.dtype, fmt::join(dims, ","));
}

}  // namespace

std::function<int()> declare_inspect(CLI::App& app) {
  auto common = std::make_shared<Common>();
  auto model = std::make_shared<std::string>();
  app.add_option("MODEL", *model, "The model")->required();
  common->add_to(app);
  return [common, model] {
    auto graph = import_onnx_file(*model);
    if (!graph) return refuse(graph.error());
    auto session = Session::open(*model, {.threads = common->threads});
    if (!session) return refuse(session.error());
    std::map<std::string, std::int64_t> ops;
    for (const Node& node : graph->nodes)
      ++ops[node.domain.empty() ? node.op : node.domain + "." + node.op];
    std::map<std::string, std::int64_t> bytes;
    std::int64_t parameters = 0;
    for (const Value& v : graph->values)
      if (v.constant) {
        parameters += v.constant->size();
        bytes[std::string(name_of(v.constant->dtype()))] +=
            static_cast<std::int64_t>(v.constant->bytes());
      }
    Json json;
    json["model"] = *model;
    json["opset"] = graph->opset();
    json["producer"] = graph->producer_name;
    json["nodes"] = graph->nodes.size();
    json["parameters"] = parameters;
    json["constant_bytes"] = bytes;
    json["operators"] = ops;
    for (const auto& v : session->inputs()) json["inputs"].push_back(describe(v));
    for (const auto& v : session->outputs()) json["outputs"].push_back(describe(v));
    json["metadata"] = graph->metadata;
    if (!common->quiet()) {
      fmt::print("{}: opset {}, {} nodes, {} parameters, made by {}\n", *model, graph->opset(),
                 graph->nodes.size(), parameters,
                 graph->producer_name.empty() ? "(not said)" : graph->producer_name);
      for (const auto& v : session->inputs()) fmt::print("  input   {}\n", describe(v));
      for (const auto& v : session->outputs()) fmt::print("  output  {}\n", describe(v));
      for (const auto& [type, size] : bytes)
        fmt::print("  stored  {:<10} {}\n", type, human_bytes(static_cast<double>(size)));
      for (const auto& [op, count] : ops) fmt::print("  {:>6}  {}\n", count, op);
    }
    if (auto status = common->write("inspect", json); !status) return refuse(status.error());
    return kDone;
  };
}

}  // namespace intact::cli
