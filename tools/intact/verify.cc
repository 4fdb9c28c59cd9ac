#include <fmt/format.h>

#include "command.h"
#include "intact/quantize.h"

namespace intact::cli {

std::function<int()> declare_verify(CLI::App& app) {
  auto common = std::make_shared<Common>();
  auto model = std::make_shared<std::string>();
  app.add_option("MODEL", *model, "A model that intact quantized")->required();
  common->add_to(app);
  return [common, model] {
    const auto r = verify(*model, {.threads = common->threads}, &interrupted());
    if (!r) return refuse(r.error());
    Json json;
    json["model"] = *model;
    json["same"] = r->same;
    json["expected"] = r->expected;
    json["actual"] = r->actual;
    json["first_node"] = r->first_node;
    if (!common->quiet()) {
      if (r->expected.empty())
        fmt::print("{} holds no fingerprint; this machine computes {}\n", *model, r->actual);
      else if (r->same)
        fmt::print("same bytes as where it was made ({})\n", r->actual);
      else
        fmt::print("NOT the bytes of where it was made: the first node that differs is '{}'\n",
                   r->first_node);
    }
    if (auto status = common->write("verify", json); !status) return refuse(status.error());
    return r->same ? kDone : kAccuracyMissed;
  };
}

}  // namespace intact::cli
