#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <thread>

#include "base/thread_pool.h"
#include "command.h"
#include "kernels/codes_u8.h"
#include "kernels/cpu_features.h"
#include "kernels/dwconv_u8s8.h"
#include "kernels/gemm_f32.h"
#include "kernels/gemm_u8s8.h"

namespace intact::cli {

std::function<int()> declare_host(CLI::App& app) {
  auto common = std::make_shared<Common>();
  common->add_to(app);
  return [common] {
    const auto isa = host_isa();
    if (!isa) return refuse(isa.error());
    const char* pin = std::getenv("INTACT_ISA");
    Json json;
    json["cpu"] = cpu_name();
    json["isa"] = name_of(*isa);
    json["isa_detected"] = name_of(detect_isa());
    json["isa_pinned"] = pin == nullptr ? "" : pin;
    json["cores"] = std::thread::hardware_concurrency();
    json["threads"] = default_threads();
    json["kernels"] = {std::string(select_kernel<GemmU8S8Kernel>(*isa).name),
                       std::string(select_kernel<DwconvU8S8Kernel>(*isa).name),
                       std::string(select_kernel<CodesU8Kernel>(*isa).name),
                       std::string(select_kernel<GemmF32Kernel>(*isa).name)};
    if (!common->quiet()) {
      fmt::print("processor   {}\n", cpu_name());
      fmt::print("ISA level   {}{}\n", name_of(*isa),
                 pin != nullptr && *pin != 0
                     ? fmt::format(" (pinned by INTACT_ISA; detected {})", name_of(detect_isa()))
                     : "");
      fmt::print(
          "threads     {} of {} cores (the least of affinity mask, CPU quota, "
          "INTACT_NUM_THREADS)\n",
          default_threads(), std::thread::hardware_concurrency());
      fmt::print("kernels     {}\n",
                 fmt::join(json["kernels"].get<std::vector<std::string>>(), "  "));
    }
    if (auto status = common->write("host", json); !status) return refuse(status.error());
    return kDone;
  };
}

}  // namespace intact::cli
