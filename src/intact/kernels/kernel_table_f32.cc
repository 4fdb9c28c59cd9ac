// The float rows of the kernel table (kernel_table.h), best first.
#include "kernels/elementwise_f32.h"
#include "kernels/gemm_f32.h"
#include "kernels/rows_f32.h"
#include "kernels/window_f32.h"

namespace intact {

// The rows' translation units define these; which of them exist depends on the processor family.
extern const GemmF32Kernel kGemmF32Avx512, kGemmF32Avx2, kGemmF32Neon, kGemmF32Scalar;
extern const WindowF32Kernel kWindowF32Avx512, kWindowF32Avx2, kWindowF32Neon, kWindowF32Scalar;
extern const ElementwiseF32Kernel kElementwiseF32Avx512, kElementwiseF32Avx2, kElementwiseF32Neon,
    kElementwiseF32Scalar;
extern const RowsF32Kernel kRowsF32Avx512, kRowsF32Avx2, kRowsF32Neon, kRowsF32Scalar;

namespace {

#if defined(__x86_64__)
constexpr const GemmF32Kernel* kGemmRows[] = {&kGemmF32Avx512, &kGemmF32Avx2, &kGemmF32Scalar};
constexpr const WindowF32Kernel* kWindowRows[] = {&kWindowF32Avx512, &kWindowF32Avx2,
                                                  &kWindowF32Scalar};
constexpr const ElementwiseF32Kernel* kElementwiseRows[] = {
    &kElementwiseF32Avx512, &kElementwiseF32Avx2, &kElementwiseF32Scalar};
constexpr const RowsF32Kernel* kRowsRows[] = {&kRowsF32Avx512, &kRowsF32Avx2, &kRowsF32Scalar};
#elif defined(__aarch64__)
constexpr const GemmF32Kernel* kGemmRows[] = {&kGemmF32Neon, &kGemmF32Scalar};
constexpr const WindowF32Kernel* kWindowRows[] = {&kWindowF32Neon, &kWindowF32Scalar};
constexpr const ElementwiseF32Kernel* kElementwiseRows[] = {&kElementwiseF32Neon,
                                                            &kElementwiseF32Scalar};
constexpr const RowsF32Kernel* kRowsRows[] = {&kRowsF32Neon, &kRowsF32Scalar};
#else
constexpr const GemmF32Kernel* kGemmRows[] = {&kGemmF32Scalar};
constexpr const WindowF32Kernel* kWindowRows[] = {&kWindowF32Scalar};
constexpr const ElementwiseF32Kernel* kElementwiseRows[] = {&kElementwiseF32Scalar};
constexpr const RowsF32Kernel* kRowsRows[] = {&kRowsF32Scalar};
#endif

}  // namespace

template <>
std::span<const GemmF32Kernel* const> kernel_rows<GemmF32Kernel>() noexcept {
  return kGemmRows;
}
template <>
std::span<const WindowF32Kernel* const> kernel_rows<WindowF32Kernel>() noexcept {
  return kWindowRows;
}
template <>
std::span<const ElementwiseF32Kernel* const> kernel_rows<ElementwiseF32Kernel>() noexcept {
  return kElementwiseRows;
}
template <>
std::span<const RowsF32Kernel* const> kernel_rows<RowsF32Kernel>() noexcept {
  return kRowsRows;
}

}  // namespace intact
