#include "kernels/kernel_list.h"

#include "kernels/channels_u8.h"
#include "kernels/codes_u8.h"
#include "kernels/dwconv_u8s8.h"
#include "kernels/elementwise_f32.h"
#include "kernels/gemm_f32.h"
#include "kernels/gemm_u8s8.h"
#include "kernels/pool_u8.h"
#include "kernels/rows_f32.h"
#include "kernels/window_f32.h"
#include "kernels/wino43_u8s8.h"

namespace intact {
namespace {

template <class Kernel>
KernelFamily family() {
  KernelFamily rows;
  for (const Kernel* row : kernel_rows<Kernel>()) rows.push_back({row->name, row->isa});
  return rows;
}

template <class... Kernels>
std::vector<KernelFamily> families() {
  return {family<Kernels>()...};
}

}  // namespace

std::vector<KernelFamily> list_kernels() {
  return families<GemmU8S8Kernel, Wino43U8S8Kernel, DwconvU8S8Kernel, PoolU8Kernel, CodesU8Kernel,
                  ChannelsU8Kernel, GemmF32Kernel, WindowF32Kernel, ElementwiseF32Kernel,
                  RowsF32Kernel>();
}

std::optional<KernelRow> chosen(const KernelFamily& family, IsaLevel isa) {
  for (const KernelRow& row : family)
    if (isa_covers(isa, row.isa)) return row;
  return std::nullopt;
}

}  // namespace intact
