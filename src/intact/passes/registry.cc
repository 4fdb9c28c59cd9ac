#include "passes/registry.h"

#include <algorithm>
#include <array>

namespace intact {
namespace {

constexpr std::array kPasses = {
    Pass{"eliminate_common_subexpressions",
         "computes equal expressions and stores equal constants once",
         &eliminate_common_subexpressions},
    Pass{"eliminate_dead_code", "drops what no output depends on", &eliminate_dead_code},
    Pass{"fold_constants", "computes what depends on constants only", &fold_constants},
};

}  // namespace

std::span<const Pass> all_passes() { return kPasses; }

const Pass* find_pass(std::string_view name) {
  const auto* it =
      std::find_if(kPasses.begin(), kPasses.end(), [&](const Pass& p) { return p.name == name; });
  return it == kPasses.end() ? nullptr : it;
}

}  // namespace intact
