// kernel_table.h: every kernel that this build holds, best first, and how one is chosen.
//
// A kernel type (GemmU8S8Kernel, ...) is a struct with at least
//
//   std::string_view name;   "gemm_u8s8/avx2": operation, operand types, ISA after the slash
//   IsaLevel isa;            the level that must be covered to call it
//
// and function pointers that keep the contract in its header. Its rows are constinit objects, one
// an ISA file; kernel_rows<K>() lists them. Integer and float kernels use the same mechanism:
// kernel_table.cc holds the integer tables, kernel_table_f32.cc the float ones.
#pragma once

#include <span>

#include "base/check.h"
#include "kernels/cpu_features.h"

namespace intact {

// Returns the rows of one kernel type that were compiled into this build, best first; the last one
// is the scalar row. Each kernel type's header declares its specialization.
template <class Kernel>
std::span<const Kernel* const> kernel_rows() noexcept;

// Returns the best row that a machine of level `isa` executes. A pure function of its argument.
template <class Kernel>
const Kernel& select_kernel(IsaLevel isa) {
  for (const Kernel* row : kernel_rows<Kernel>())
    if (isa_covers(isa, row->isa)) return *row;
  INTACT_CHECK(false, "a kernel type has no scalar row");
  throw_internal_error(__FILE__, __LINE__, "unreachable");
}

}  // namespace intact
