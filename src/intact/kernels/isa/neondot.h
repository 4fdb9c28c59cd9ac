// isa/neondot.h: the integer vocabulary (isa/scalar.h) for ARMv8.2 with the dot product.
//
// sdot multiplies signed bytes: the A strip holds a - 128 (a copy with the top bit flipped), and
// what that changes is folded into the accumulators' initial values.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/isa/f32_neon.h"

namespace intact {

struct NeonDot {
  static constexpr int kLanes = 4;
  static constexpr int kPanelVecs = 4;
  static constexpr int kStepK = 4;
  static constexpr int kVecBytes = 16;
  static constexpr int kElemBytes = 1;
  static constexpr bool kAlwaysStrip = true;
  static constexpr int kAOffset = 128;
  static constexpr bool kHalfPanels = false;
  static constexpr int kMaxPanels = 1;
  static constexpr int kTileM[2] = {0, 6};  // 24 accumulators, 4 weights, 1 broadcast.

  using I32 = int32x4_t;
  using F32 = float32x4_t;
  using Floats = NeonF32;

  [[gnu::always_inline]] static inline int8x16_t bcast_a(const std::uint8_t* a) noexcept {
    std::int32_t x;
    std::memcpy(&x, a, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(x));
  }
  [[gnu::always_inline]] static inline int8x16_t load_w(const std::int8_t* w) noexcept {
    return vld1q_s8(w);
  }
  [[gnu::always_inline]] static inline void dot(I32& acc, int8x16_t a, int8x16_t w) noexcept {
    acc = vdotq_s32(acc, w, a);
  }
  [[gnu::always_inline]] static inline void keep(I32& acc) noexcept {
    asm volatile("" : "+w"(acc));
  }

  struct Pairs {
    static constexpr int kStepK = 2;
    static constexpr int kVecBytes = 16;
    // The four lanes' first elements, then the second ones: one multiply-add by lane each.
    static constexpr int index(int lane, int i) noexcept { return 4 * i + lane; }
    [[gnu::always_inline]] static inline int16x4_t bcast_a(const std::uint8_t* a) noexcept {
      std::int32_t x;
      std::memcpy(&x, a, 4);
      return vreinterpret_s16_s32(vdup_n_s32(x));
    }
    [[gnu::always_inline]] static inline int16x8_t load_w(const std::int8_t* w) noexcept {
      return vreinterpretq_s16_s8(vld1q_s8(w));
    }
    [[gnu::always_inline]] static inline void dot(I32& acc, int16x4_t a, int16x8_t w) noexcept {
      acc = vmlal_lane_s16(acc, vget_low_s16(w), a, 0);
      acc = vmlal_high_lane_s16(acc, w, a, 1);
    }
  };

  static constexpr int kLanes16 = 8;
  using S16 = int16x8_t;
  [[gnu::always_inline]] static inline S16 set_s16(std::int32_t x) noexcept {
    return vdupq_n_s16(static_cast<std::int16_t>(x));
  }
  [[gnu::always_inline]] static inline S16 widen_s16(const std::uint8_t* p) noexcept {
    return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p)));
  }
  [[gnu::always_inline]] static inline S16 load_s16(const std::int16_t* p) noexcept {
    return vld1q_s16(p);
  }
  [[gnu::always_inline]] static inline void store_s16(std::int16_t* p, S16 x) noexcept {
    vst1q_s16(p, x);
  }
  [[gnu::always_inline]] static inline S16 add_s16(S16 a, S16 b) noexcept {
    return vaddq_s16(a, b);
  }
  [[gnu::always_inline]] static inline S16 sub_s16(S16 a, S16 b) noexcept {
    return vsubq_s16(a, b);
  }
  template <int kBits>
  [[gnu::always_inline]] static inline S16 shl_s16(S16 a) noexcept {
    return vshlq_n_s16(a, kBits);
  }

  static void widen(std::uint8_t* dst, const std::uint8_t* src, std::int64_t n) noexcept {
    const uint8x16_t flip = vdupq_n_u8(0x80);
    for (std::int64_t i = 0; i < n; i += 16) vst1q_u8(dst + i, veorq_u8(vld1q_u8(src + i), flip));
  }
  static std::int32_t sum_u8(const std::uint8_t* x, std::int64_t n) noexcept {
    std::uint32_t s = 0;
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16) s += vaddlvq_u8(vld1q_u8(x + i));
    for (; i < n; ++i) s += x[i];
    return static_cast<std::int32_t>(s);
  }

  [[gnu::always_inline]] static inline I32 load_i32(const std::int32_t* p) noexcept {
    return vld1q_s32(p);
  }
  [[gnu::always_inline]] static inline void store_i32(std::int32_t* p, I32 x) noexcept {
    vst1q_s32(p, x);
  }
  [[gnu::always_inline]] static inline void store_i32(std::int32_t* p, I32 x,
                                                      std::int64_t n) noexcept {
    std::int32_t lanes[kLanes];
    vst1q_s32(lanes, x);
    for (std::int64_t i = 0; i < n; ++i) p[i] = lanes[i];
  }
  [[gnu::always_inline]] static inline I32 set_i32(std::int32_t x) noexcept {
    return vdupq_n_s32(x);
  }
  [[gnu::always_inline]] static inline I32 add(I32 a, I32 b) noexcept { return vaddq_s32(a, b); }
  [[gnu::always_inline]] static inline I32 sub(I32 a, I32 b) noexcept { return vsubq_s32(a, b); }
  [[gnu::always_inline]] static inline I32 mul(I32 a, I32 b) noexcept { return vmulq_s32(a, b); }
  template <int kBits>
  [[gnu::always_inline]] static inline I32 shl(I32 a) noexcept {
    return vshlq_n_s32(a, kBits);
  }
  template <int kBits>
  [[gnu::always_inline]] static inline I32 sra(I32 a) noexcept {
    return vshrq_n_s32(a, kBits);
  }
  [[gnu::always_inline]] static inline I32 load_u8(const std::uint8_t* p) noexcept {
    std::uint32_t bytes;
    std::memcpy(&bytes, p, 4);
    const uint8x8_t b = vreinterpret_u8_u32(vdup_n_u32(bytes));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(b))));
  }
  [[gnu::always_inline]] static inline void store_u8(std::uint8_t* p, I32 x,
                                                     std::int64_t n) noexcept {
    const uint8x8_t b = vqmovun_s16(vcombine_s16(vqmovn_s32(x), vqmovn_s32(x)));
    std::uint8_t lanes[8];
    vst1_u8(lanes, b);
    if (n >= kLanes) [[likely]]
      std::memcpy(p, lanes, kLanes);
    else
      for (std::int64_t i = 0; i < n; ++i) p[i] = lanes[i];
  }

  [[gnu::always_inline]] static inline F32 load_f32(const float* p) noexcept {
    return vld1q_f32(p);
  }
  [[gnu::always_inline]] static inline F32 load_f32(const float* p, std::int64_t n) noexcept {
    float lanes[kLanes] = {};
    for (std::int64_t i = 0; i < n; ++i) lanes[i] = p[i];
    return vld1q_f32(lanes);
  }
  [[gnu::always_inline]] static inline void store_f32(float* p, F32 x) noexcept { vst1q_f32(p, x); }
  [[gnu::always_inline]] static inline void store_f32(float* p, F32 x, std::int64_t n) noexcept {
    float lanes[kLanes];
    vst1q_f32(lanes, x);
    for (std::int64_t i = 0; i < n; ++i) p[i] = lanes[i];
  }
  [[gnu::always_inline]] static inline F32 set_f32(float x) noexcept { return vdupq_n_f32(x); }
  [[gnu::always_inline]] static inline F32 to_f32(I32 x) noexcept { return vcvtq_f32_s32(x); }
  [[gnu::always_inline]] static inline I32 to_i32(F32 x) noexcept { return vcvtnq_s32_f32(x); }
  [[gnu::always_inline]] static inline F32 round(F32 x) noexcept { return vrndnq_f32(x); }
  [[gnu::always_inline]] static inline F32 mul(F32 a, F32 b) noexcept { return vmulq_f32(a, b); }
  [[gnu::always_inline]] static inline F32 add(F32 a, F32 b) noexcept { return vaddq_f32(a, b); }
  [[gnu::always_inline]] static inline F32 sub(F32 a, F32 b) noexcept { return vsubq_f32(a, b); }
  [[gnu::always_inline]] static inline F32 div(F32 a, F32 b) noexcept { return vdivq_f32(a, b); }
  [[gnu::always_inline]] static inline F32 nan_to_zero(F32 a) noexcept {
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vceqq_f32(a, a)));
  }
  [[gnu::always_inline]] static inline F32 fma(F32 a, F32 b, F32 c) noexcept {
    return vfmaq_f32(c, a, b);
  }
  template <class F>
  [[gnu::always_inline]] static inline F32 apply(const F& f, F32 x) noexcept {
    return f(x);
  }
  [[gnu::always_inline]] static inline F32 min(F32 a, F32 b) noexcept { return vminq_f32(a, b); }
  [[gnu::always_inline]] static inline F32 max(F32 a, F32 b) noexcept { return vmaxq_f32(a, b); }

  // Four look-ups of 64 entries; an index outside of a quarter leaves (tbx) what there was.
  [[gnu::always_inline]] static inline uint8x16_t lut16(uint8x16_t x,
                                                        const std::uint8_t* table) noexcept {
    const uint8x16_t quarter = vdupq_n_u8(64);
    uint8x16_t r = vqtbl4q_u8(vld1q_u8_x4(table), x);
    for (int i = 1; i < 4; ++i) {
      x = vsubq_u8(x, quarter);
      r = vqtbx4q_u8(r, vld1q_u8_x4(table + 64 * i), x);
    }
    return r;
  }
  static void lut(const std::uint8_t* x, std::uint8_t* y, std::int64_t n,
                  const std::uint8_t* table) noexcept {
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16) vst1q_u8(y + i, lut16(vld1q_u8(x + i), table));
    for (; i < n; ++i) y[i] = table[x[i]];
  }

  static constexpr int kBytes = 16;
  [[gnu::always_inline]] static inline uint8x16_t zero_bytes() noexcept { return vdupq_n_u8(0); }
  [[gnu::always_inline]] static inline uint8x16_t load_bytes(const std::uint8_t* p) noexcept {
    return vld1q_u8(p);
  }
  [[gnu::always_inline]] static inline uint8x16_t max_bytes(uint8x16_t a, uint8x16_t b) noexcept {
    return vmaxq_u8(a, b);
  }
  static void store_bytes(std::uint8_t* p, uint8x16_t x, std::int64_t n) noexcept {
    if (n >= kBytes) [[likely]] {
      vst1q_u8(p, x);
    } else {
      std::uint8_t bytes[kBytes];
      vst1q_u8(bytes, x);
      for (std::int64_t i = 0; i < n; ++i) p[i] = bytes[i];
    }
  }

  static constexpr int kPickBytes = 16;
  static constexpr int kPickPixels = 1;
  using PickControl = uint8x16_t;
  using PickTable = const std::uint8_t*;
  [[gnu::always_inline]] static inline uint8x16_t no_picks() noexcept { return vdupq_n_u8(0); }
  [[gnu::always_inline]] static inline PickControl load_control(
      const std::uint8_t* control) noexcept {
    return vld1q_u8(control);
  }
  static PickTable load_table(const std::uint8_t* table) noexcept { return table; }
  [[gnu::always_inline]] static inline uint8x16_t load_picks(const std::uint8_t* p,
                                                             std::ptrdiff_t) noexcept {
    return vld1q_u8(p);
  }
  [[gnu::always_inline]] static inline uint8x16_t pick(uint8x16_t x, PickControl control) noexcept {
    return vqtbl1q_u8(x, control);
  }
  [[gnu::always_inline]] static inline uint8x16_t join(uint8x16_t a, uint8x16_t b) noexcept {
    return vorrq_u8(a, b);
  }
  [[gnu::always_inline]] static inline uint8x16_t look_up(uint8x16_t x, PickTable table) noexcept {
    return lut16(x, table);
  }
  [[gnu::always_inline]] static inline void store_picks(std::uint8_t* p, std::ptrdiff_t,
                                                        uint8x16_t x, std::int64_t n) noexcept {
    store_bytes(p, x, n);
  }

  // y[3 i + c] = byte i of a, b or c, for kThirds i.
  static constexpr int kThirds = 16;
  [[gnu::always_inline]] static inline void interleave3(const std::uint8_t* a,
                                                        const std::uint8_t* b,
                                                        const std::uint8_t* c,
                                                        std::uint8_t* y) noexcept {
    const uint8x16x3_t v{{vld1q_u8(a), vld1q_u8(b), vld1q_u8(c)}};
    vst3q_u8(y, v);
  }

  static constexpr int kCodeVecs = 4;
  static constexpr bool kAnyCodeVecs = false;
  struct CodeConsts {
    int16x8_t zero;
    uint8x16_t lo, hi;
  };
  [[gnu::always_inline]] static inline CodeConsts code_consts(std::int32_t zero, std::int32_t lo,
                                                              std::int32_t hi) noexcept {
    return {vdupq_n_s16(static_cast<std::int16_t>(zero)), vdupq_n_u8(static_cast<std::uint8_t>(lo)),
            vdupq_n_u8(static_cast<std::uint8_t>(hi))};
  }
  template <int NV>
  [[gnu::always_inline]] static inline void store_codes(std::uint8_t* dst, const I32 (&q)[NV],
                                                        const CodeConsts& k, std::int64_t n,
                                                        const std::uint8_t* table) noexcept {
    static_assert(NV == 4);
    const int16x8_t p0 = vcombine_s16(vqmovn_s32(q[0]), vqmovn_s32(q[1]));
    const int16x8_t p1 = vcombine_s16(vqmovn_s32(q[2]), vqmovn_s32(q[3]));
    uint8x16_t r =
        vcombine_u8(vqmovun_s16(vqaddq_s16(p0, k.zero)), vqmovun_s16(vqaddq_s16(p1, k.zero)));
    r = vminq_u8(vmaxq_u8(r, k.lo), k.hi);
    if (table != nullptr) r = lut16(r, table);
    store_bytes(dst, r, n);
  }

  template <int NV, int kRows>
  [[gnu::always_inline]] static inline void store_codes(std::uint8_t* dst, std::ptrdiff_t,
                                                        const I32 (*q)[NV], const CodeConsts& k,
                                                        std::int64_t n,
                                                        const std::uint8_t* table) noexcept {
    static_assert(kRows == 1);
    store_codes<NV>(dst, q[0], k, n, table);
  }

  static constexpr bool kDwSlides = true;
  static constexpr int kDwVecs = 4;
  static constexpr int kDwBlock = 16;
  static constexpr int kDwWeightBytes = 64;
  static constexpr int dw_channel(int vec, int lane) noexcept { return 4 * vec + lane; }
  static void dw_put_weight(std::byte* group, int channel, int row, int w) noexcept {
    group[channel * 4 + row] = std::byte(static_cast<std::uint8_t>(w));
  }
  struct Column {
    int8x16_t v[4];
  };
  template <int kRows>
  [[gnu::always_inline]] static inline void dw_column(Column& d,
                                                      const std::uint8_t* const (&p)[4]) noexcept {
    const uint8x16_t flip = vdupq_n_u8(0x80);
    const uint8x16_t r0 = veorq_u8(vld1q_u8(p[0]), flip);
    const uint8x16_t r1 = kRows > 1 ? veorq_u8(vld1q_u8(p[1]), flip) : flip;
    const uint8x16_t r2 = kRows > 2 ? veorq_u8(vld1q_u8(p[2]), flip) : flip;
    const uint8x16_t r3 = kRows > 3 ? veorq_u8(vld1q_u8(p[3]), flip) : flip;
    const uint16x8_t lo01 = vreinterpretq_u16_u8(vzip1q_u8(r0, r1));
    const uint16x8_t hi01 = vreinterpretq_u16_u8(vzip2q_u8(r0, r1));
    const uint16x8_t lo23 = vreinterpretq_u16_u8(vzip1q_u8(r2, r3));
    const uint16x8_t hi23 = vreinterpretq_u16_u8(vzip2q_u8(r2, r3));
    d.v[0] = vreinterpretq_s8_u16(vzip1q_u16(lo01, lo23));
    d.v[1] = vreinterpretq_s8_u16(vzip2q_u16(lo01, lo23));
    d.v[2] = vreinterpretq_s8_u16(vzip1q_u16(hi01, hi23));
    d.v[3] = vreinterpretq_s8_u16(vzip2q_u16(hi01, hi23));
  }
  static constexpr int kDwHeldWeights = 12;
  using DwWeight = int8x16_t;
  [[gnu::always_inline]] static inline DwWeight dw_weight(const std::byte* group,
                                                          int vec) noexcept {
    return vld1q_s8(reinterpret_cast<const std::int8_t*>(group) + 16 * vec);
  }
  [[gnu::always_inline]] static inline void dw_dot(I32& acc, const Column& d, int vec,
                                                   DwWeight w) noexcept {
    acc = vdotq_s32(acc, d.v[vec], w);
  }
  [[gnu::always_inline]] static inline void dw_dot(I32& acc, const Column& d, int vec,
                                                   const std::byte* group) noexcept {
    acc = vdotq_s32(acc, d.v[vec], dw_weight(group, vec));
  }
  [[gnu::always_inline]] static inline void dw_load(F32 (&v)[4], const float* p) noexcept {
    for (int j = 0; j < 4; ++j) v[j] = vld1q_f32(p + 4 * j);
  }
  [[gnu::always_inline]] static inline void dw_store(std::int32_t* p, const I32 (&v)[4]) noexcept {
    for (int j = 0; j < 4; ++j) vst1q_s32(p + 4 * j, v[j]);
  }
  [[gnu::always_inline]] static inline void dw_store_codes(std::uint8_t* dst, const I32 (&q)[4],
                                                           const CodeConsts& k, std::int64_t n,
                                                           const std::uint8_t* table) noexcept {
    store_codes<4>(dst, q, k, n, table);
  }
};

}  // namespace intact
