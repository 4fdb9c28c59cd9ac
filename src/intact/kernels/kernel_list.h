// kernel_list.h: every row of every kernel type by name, for people: what is there, what is chosen.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "kernels/cpu_features.h"

namespace intact {

struct KernelRow {
  std::string_view name;
  IsaLevel isa;
};

// The rows of one kernel type, best first.
using KernelFamily = std::vector<KernelRow>;

std::vector<KernelFamily> list_kernels();

// The row that select_kernel takes on a machine of that level.
std::optional<KernelRow> chosen(const KernelFamily& family, IsaLevel isa);

}  // namespace intact
