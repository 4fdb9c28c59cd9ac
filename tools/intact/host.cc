#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>

#include "base/cpu_budget.h"
#include "command.h"
#include "kernels/cpu_features.h"
#include "kernels/kernel_list.h"
#include "kernels/peak.h"

namespace intact::cli {
namespace {

struct Flags {
  Common common;
  bool measure = false;
  std::string board;
};

}  // namespace

std::function<int()> declare_host(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_flag("--measure", flags->measure, "Measure the peak of each instruction set");
  app.add_option("-o,--out", flags->board, "Write what was measured")->type_name("BOARD.json");
  flags->common.add_to(app);
  return [flags] {
    const Common* common = &flags->common;
    const auto isa = host_isa();
    if (!isa) return refuse(isa.error());
    const char* pin = std::getenv("INTACT_ISA");
    Json json;
    json["cpu"] = cpu_name();
    json["isa"] = name_of(*isa);
    json["isa_detected"] = name_of(detect_isa());
    json["isa_pinned"] = pin == nullptr ? "" : pin;
    const CpuBudget budget = cpu_budget();
    json["cores"] = budget.cores;
    json["cpu_quota"] = budget.quota;
    json["threads"] = budget.threads;
    json["threads_decided_by"] = budget.decided_by;
    for (const KernelFamily& family : list_kernels())
      if (const auto row = chosen(family, *isa)) json["kernels"].push_back(row->name);
    if (flags->measure)
      for (const PeakKernel* row : kernel_rows<PeakKernel>())
        if (isa_covers(detect_isa(), row->isa))
          json["peaks"].push_back({{"name", row->name}, {"gmac_per_s", 1e-9 * measure_peak(*row)}});
    if (!common->quiet()) {
      fmt::print("processor   {}\n", cpu_name());
      fmt::print("ISA level   {}{}\n", name_of(*isa),
                 pin != nullptr && *pin != 0
                     ? fmt::format(" (pinned by INTACT_ISA; detected {})", name_of(detect_isa()))
                     : "");
      fmt::print("threads     {} (decided by {}; physical cores allowed: {}, CPU quota: {})\n",
                 budget.threads, budget.decided_by, budget.cores,
                 budget.quota > 0 ? std::to_string(budget.quota) : "none");
      fmt::print("kernels     {}\n",
                 fmt::join(json["kernels"].get<std::vector<std::string>>(), "  "));
      for (const Json& peak : json.value("peaks", Json::array()))
        fmt::print("peak        {:<22}{:>8.1f} GMAC/s a core\n", peak["name"].get<std::string>(),
                   peak["gmac_per_s"].get<double>());
    }
    if (auto status = common->write("host", json); !status) return refuse(status.error());
    const Common board{.json = flags->board};
    if (auto status = board.write("host", json); !status) return refuse(status.error());
    return kDone;
  };
}

}  // namespace intact::cli
