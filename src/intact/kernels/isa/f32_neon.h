// f32_neon.h: the float vocabulary of f32_scalar.h on 4 lanes, ARMv8.0.
//
// max and min are compare-and-select: vmaxq orders zeros and passes NaN differently from x86.
#pragma once

#include <arm_neon.h>

#include "kernels/isa/f32_scalar.h"

namespace intact {

struct NeonF32 {
  using V = float32x4_t;
  using I = int32x4_t;
  using M = uint32x4_t;
  static constexpr int kLanes = 4;
  static constexpr IsaLevel kIsa = IsaLevel::kNeon;

  [[gnu::always_inline]] static V load(const float* p) noexcept { return vld1q_f32(p); }
  [[gnu::always_inline]] static void store(float* p, V v) noexcept { vst1q_f32(p, v); }
  [[gnu::always_inline]] static V load_tail(const float* p, int n) noexcept {
    return load_tail(p, n, vdupq_n_f32(0.0f));
  }
  [[gnu::always_inline]] static V load_tail(const float* p, int n, V fill) noexcept {
    V v = fill;
    if (n > 0) v = vld1q_lane_f32(p, v, 0);
    if (n > 1) v = vld1q_lane_f32(p + 1, v, 1);
    if (n > 2) v = vld1q_lane_f32(p + 2, v, 2);
    if (n > 3) v = vld1q_lane_f32(p + 3, v, 3);
    return v;
  }
  [[gnu::always_inline]] static void store_tail(float* p, V v, int n) noexcept {
    if (n > 0) vst1q_lane_f32(p, v, 0);
    if (n > 1) vst1q_lane_f32(p + 1, v, 1);
    if (n > 2) vst1q_lane_f32(p + 2, v, 2);
    if (n > 3) vst1q_lane_f32(p + 3, v, 3);
  }
  [[gnu::always_inline]] static V set(float x) noexcept { return vdupq_n_f32(x); }
  // The barrier keeps gcc from loading all rows of a tile first, which takes more registers than
  // there are.
  [[gnu::always_inline]] static V broadcast(const float* p) noexcept {
    V v = vld1q_dup_f32(p);
    barrier(v);
    return v;
  }

  [[gnu::always_inline]] static V add(V a, V b) noexcept { return vaddq_f32(a, b); }
  [[gnu::always_inline]] static V sub(V a, V b) noexcept { return vsubq_f32(a, b); }
  [[gnu::always_inline]] static V mul(V a, V b) noexcept { return vmulq_f32(a, b); }
  [[gnu::always_inline]] static V div(V a, V b) noexcept { return vdivq_f32(a, b); }
  [[gnu::always_inline]] static V sqrt(V a) noexcept { return vsqrtq_f32(a); }
  [[gnu::always_inline]] static V fma(V a, V b, V c) noexcept { return vfmaq_f32(c, a, b); }
  [[gnu::always_inline]] static V fnma(V a, V b, V c) noexcept { return vfmsq_f32(c, a, b); }
  [[gnu::always_inline]] static V max(V a, V b) noexcept {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
  }
  [[gnu::always_inline]] static V min(V a, V b) noexcept {
    return vbslq_f32(vcltq_f32(a, b), a, b);
  }
  [[gnu::always_inline]] static V floor(V a) noexcept { return vrndmq_f32(a); }
  [[gnu::always_inline]] static V ceil(V a) noexcept { return vrndpq_f32(a); }
  [[gnu::always_inline]] static V round(V a) noexcept { return vrndnq_f32(a); }

  [[gnu::always_inline]] static M lt(V a, V b) noexcept { return vcltq_f32(a, b); }
  [[gnu::always_inline]] static M le(V a, V b) noexcept { return vcleq_f32(a, b); }
  [[gnu::always_inline]] static M eq(V a, V b) noexcept { return vceqq_f32(a, b); }
  [[gnu::always_inline]] static M is_nan(V a) noexcept { return vmvnq_u32(vceqq_f32(a, a)); }
  [[gnu::always_inline]] static M either(M a, M b) noexcept { return vorrq_u32(a, b); }
  [[gnu::always_inline]] static V select(M m, V yes, V no) noexcept {
    return vbslq_f32(m, yes, no);
  }

  [[gnu::always_inline]] static I bits(V a) noexcept { return vreinterpretq_s32_f32(a); }
  [[gnu::always_inline]] static V from_bits(I a) noexcept { return vreinterpretq_f32_s32(a); }
  [[gnu::always_inline]] static I iset(std::int32_t a) noexcept { return vdupq_n_s32(a); }
  [[gnu::always_inline]] static I iadd(I a, I b) noexcept { return vaddq_s32(a, b); }
  [[gnu::always_inline]] static I isub(I a, I b) noexcept { return vsubq_s32(a, b); }
  [[gnu::always_inline]] static I iand(I a, I b) noexcept { return vandq_s32(a, b); }
  [[gnu::always_inline]] static I ior(I a, I b) noexcept { return vorrq_s32(a, b); }
  template <int kShift>
  [[gnu::always_inline]] static I shl(I a) noexcept {
    return vshlq_n_s32(a, kShift);
  }
  template <int kShift>
  [[gnu::always_inline]] static I sar(I a) noexcept {
    return vshrq_n_s32(a, kShift);
  }
  [[gnu::always_inline]] static V to_float(I a) noexcept { return vcvtq_f32_s32(a); }
  template <int kBy>
  [[gnu::always_inline]] static V upper(V a) noexcept {
    return vextq_f32(a, a, kBy);
  }
  struct D {
    float64x2_t low, high;
  };
  [[gnu::always_inline]] static D dzero() noexcept { return {vdupq_n_f64(0.0), vdupq_n_f64(0.0)}; }
  [[gnu::always_inline]] static D dadd(const D& a, V b) noexcept {
    return {vaddq_f64(a.low, vcvt_f64_f32(vget_low_f32(b))),
            vaddq_f64(a.high, vcvt_high_f64_f32(b))};
  }
  [[gnu::always_inline]] static void dstore(double* p, const D& a) noexcept {
    vst1q_f64(p, a.low);
    vst1q_f64(p + 2, a.high);
  }
  [[gnu::always_inline]] static V first_lane(V a) noexcept { return vdupq_laneq_f32(a, 0); }
  [[gnu::always_inline]] static void barrier(V& v) noexcept { asm volatile("" : "+w"(v)); }
};

}  // namespace intact
