#include "kernels/kernel_table.h"

#include <array>

#include "kernels/channels_u8.h"
#include "kernels/codes_u8.h"
#include "kernels/dwconv_u8s8.h"
#include "kernels/gemm_u8s8.h"
#include "kernels/pool_u8.h"
#include "kernels/wino43_u8s8.h"

namespace intact {

// The rows, each defined in the ISA file of its name.
#if defined(__x86_64__)
extern const GemmU8S8Kernel kGemmU8S8Avx512Vnni, kGemmU8S8Avx512Dot, kGemmU8S8AvxVnni,
    kGemmU8S8Avx2;
extern const DwconvU8S8Kernel kDwconvU8S8Avx512Vnni, kDwconvU8S8Avx512Dot, kDwconvU8S8AvxVnni,
    kDwconvU8S8Avx2;
extern const PoolU8Kernel kPoolU8Avx512Vnni, kPoolU8Avx2;
extern const CodesU8Kernel kCodesU8Avx512Vnni, kCodesU8Avx2;
extern const ChannelsU8Kernel kChannelsU8Avx512Vnni, kChannelsU8Avx2;
extern const Wino43U8S8Kernel kWino43U8S8Avx512Vnni, kWino43U8S8Avx512Dot, kWino43U8S8AvxVnni,
    kWino43U8S8Avx2;
#elif defined(__aarch64__)
extern const GemmU8S8Kernel kGemmU8S8NeonDot;
extern const DwconvU8S8Kernel kDwconvU8S8NeonDot;
extern const PoolU8Kernel kPoolU8NeonDot;
extern const CodesU8Kernel kCodesU8NeonDot;
extern const ChannelsU8Kernel kChannelsU8NeonDot;
extern const Wino43U8S8Kernel kWino43U8S8NeonDot;
#endif
extern const GemmU8S8Kernel kGemmU8S8Scalar;
extern const DwconvU8S8Kernel kDwconvU8S8Scalar;
extern const PoolU8Kernel kPoolU8Scalar;
extern const CodesU8Kernel kCodesU8Scalar;
extern const ChannelsU8Kernel kChannelsU8Scalar;
extern const Wino43U8S8Kernel kWino43U8S8Scalar;

template <>
std::span<const GemmU8S8Kernel* const> kernel_rows<GemmU8S8Kernel>() noexcept {
  static constexpr std::array kRows {
#if defined(__x86_64__)
    &kGemmU8S8Avx512Vnni, &kGemmU8S8Avx512Dot, &kGemmU8S8AvxVnni, &kGemmU8S8Avx2,
#elif defined(__aarch64__)
    &kGemmU8S8NeonDot,
#endif
        &kGemmU8S8Scalar,
  };
  return kRows;
}

template <>
std::span<const DwconvU8S8Kernel* const> kernel_rows<DwconvU8S8Kernel>() noexcept {
  static constexpr std::array kRows {
#if defined(__x86_64__)
    &kDwconvU8S8Avx512Vnni, &kDwconvU8S8Avx512Dot, &kDwconvU8S8AvxVnni, &kDwconvU8S8Avx2,
#elif defined(__aarch64__)
    &kDwconvU8S8NeonDot,
#endif
        &kDwconvU8S8Scalar,
  };
  return kRows;
}

template <>
std::span<const CodesU8Kernel* const> kernel_rows<CodesU8Kernel>() noexcept {
  static constexpr std::array kRows {
#if defined(__x86_64__)
    &kCodesU8Avx512Vnni, &kCodesU8Avx2,
#elif defined(__aarch64__)
    &kCodesU8NeonDot,
#endif
        &kCodesU8Scalar,
  };
  return kRows;
}

template <>
std::span<const ChannelsU8Kernel* const> kernel_rows<ChannelsU8Kernel>() noexcept {
  static constexpr std::array kRows {
#if defined(__x86_64__)
    &kChannelsU8Avx512Vnni, &kChannelsU8Avx2,
#elif defined(__aarch64__)
    &kChannelsU8NeonDot,
#endif
        &kChannelsU8Scalar,
  };
  return kRows;
}

template <>
std::span<const PoolU8Kernel* const> kernel_rows<PoolU8Kernel>() noexcept {
  static constexpr std::array kRows {
#if defined(__x86_64__)
    &kPoolU8Avx512Vnni, &kPoolU8Avx2,
#elif defined(__aarch64__)
    &kPoolU8NeonDot,
#endif
        &kPoolU8Scalar,
  };
  return kRows;
}

template <>
std::span<const Wino43U8S8Kernel* const> kernel_rows<Wino43U8S8Kernel>() noexcept {
  static constexpr std::array kRows {
#if defined(__x86_64__)
    &kWino43U8S8Avx512Vnni, &kWino43U8S8Avx512Dot, &kWino43U8S8AvxVnni, &kWino43U8S8Avx2,
#elif defined(__aarch64__)
    &kWino43U8S8NeonDot,
#endif
        &kWino43U8S8Scalar,
  };
  return kRows;
}

}  // namespace intact
