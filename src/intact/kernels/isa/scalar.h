// isa/scalar.h: the integer kernels' vocabulary, in plain C++. It defines every word; the other ISA
// headers must mean the same: the kernels' tests compare every level's row with the reference.
//
// An I32 or F32 holds kLanes lanes. A panel (16 columns of B) is kPanelVecs vectors. One dot step
// takes kStepK consecutive k: 4 bytes of the A strip, kLanes * kStepK bytes of packed B.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/isa/f32_scalar.h"

namespace intact {

struct Scalar {
  static constexpr int kLanes = 4;
  static constexpr int kPanelVecs = 4;
  static constexpr int kStepK = 4;
  static constexpr int kVecBytes = 16;         // Of packed B in one vector's step.
  static constexpr int kElemBytes = 1;         // Of the A strip.
  static constexpr bool kAlwaysStrip = false;  // A is used where it lies.
  static constexpr int kAOffset = 0;           // The strip holds a - kAOffset.
  static constexpr int kMaxPanels = 1;
  static constexpr bool kHalfPanels = false;  // Two rows may share a vector (gemm_tile.inl.h).
  static constexpr int kTileM[2] = {0, 2};    // Rows of the register tile, by panels.

  using Floats = ScalarF32;  // The float vocabulary on an F32 (or its lanes).
  struct I32 {
    std::int32_t v[kLanes];
  };
  struct F32 {
    float v[kLanes];
  };

  // Products. dot: acc[l] += sum_{i < kStepK} a[i] * w[l][i], modulo 2^32; a u8, w s8.
  struct Bytes {
    std::uint8_t v[4];
  };
  struct Weights {
    std::int8_t v[kLanes * kStepK];
  };
  static Bytes bcast_a(const std::uint8_t* a) noexcept {
    Bytes r;
    std::memcpy(r.v, a, 4);
    return r;
  }
  static Weights load_w(const std::int8_t* w) noexcept {
    Weights r;
    std::memcpy(r.v, w, sizeof(r.v));
    return r;
  }
  static void dot(I32& acc, Bytes a, const Weights& w) noexcept {
    for (int l = 0; l < kLanes; ++l) {
      std::int32_t s = 0;
      for (int i = 0; i < 4; ++i) s += a.v[i] * w.v[4 * l + i];
      acc.v[l] = wrap(std::uint32_t(acc.v[l]) + std::uint32_t(s));
    }
  }
  // keep: tells the compiler that acc lives in a register here (a barrier against spills).
  static void keep(I32&) noexcept {}

  // The same words for products of int16: acc[l] += a[0] w[l][0] + a[1] w[l][1], modulo 2^32.
  // Element index(l, i) of a vector of packed B is w[l][i].
  struct Pairs {
    static constexpr int kStepK = 2;
    static constexpr int kVecBytes = 16;
    static constexpr int index(int lane, int i) noexcept { return 2 * lane + i; }
    struct Pair {
      std::int16_t v[2];
    };
    struct Weights {
      std::int16_t v[2 * kLanes];
    };
    static Pair bcast_a(const std::uint8_t* a) noexcept {
      Pair r;
      std::memcpy(r.v, a, 4);
      return r;
    }
    static Weights load_w(const std::int8_t* w) noexcept {
      Weights r;
      std::memcpy(r.v, w, sizeof(r.v));
      return r;
    }
    static void dot(I32& acc, Pair a, const Weights& w) noexcept {
      for (int l = 0; l < kLanes; ++l)
        acc.v[l] = wrap(std::uint32_t(acc.v[l]) + std::uint32_t(a.v[0] * w.v[2 * l]) +
                        std::uint32_t(a.v[1] * w.v[2 * l + 1]));
    }
  };

  // Vectors of kLanes16 int16, modulo 2^16.
  static constexpr int kLanes16 = 8;
  struct S16 {
    std::int16_t v[kLanes16];
  };
  static S16 set_s16(std::int32_t x) noexcept {
    S16 r;
    for (int l = 0; l < kLanes16; ++l) r.v[l] = std::int16_t(x);
    return r;
  }
  static S16 widen_s16(const std::uint8_t* p) noexcept {  // kLanes16 bytes.
    S16 r;
    for (int l = 0; l < kLanes16; ++l) r.v[l] = p[l];
    return r;
  }
  static S16 load_s16(const std::int16_t* p) noexcept {
    S16 r;
    std::memcpy(r.v, p, sizeof(r.v));
    return r;
  }
  static void store_s16(std::int16_t* p, S16 x) noexcept { std::memcpy(p, x.v, sizeof(x.v)); }
  static S16 add_s16(S16 a, S16 b) noexcept {
    for (int l = 0; l < kLanes16; ++l) a.v[l] = std::int16_t(a.v[l] + b.v[l]);
    return a;
  }
  static S16 sub_s16(S16 a, S16 b) noexcept {
    for (int l = 0; l < kLanes16; ++l) a.v[l] = std::int16_t(a.v[l] - b.v[l]);
    return a;
  }
  template <int kBits>
  static S16 shl_s16(S16 a) noexcept {
    for (int l = 0; l < kLanes16; ++l) a.v[l] = std::int16_t(a.v[l] * (1 << kBits));
    return a;
  }

  // Strip: dst[i] = src[i] - kAOffset in strip elements; may write 64 bytes too many.
  static void widen(std::uint8_t* dst, const std::uint8_t* src, std::int64_t n) noexcept {
    std::memcpy(dst, src, std::size_t(n));
  }
  static std::int32_t sum_u8(const std::uint8_t* x, std::int64_t n) noexcept {
    std::uint32_t s = 0;
    for (std::int64_t i = 0; i < n; ++i) s += x[i];
    return wrap(s);
  }

  // Integers; add, sub and mul are modulo 2^32.
  static I32 load_i32(const std::int32_t* p) noexcept {
    I32 r;
    std::memcpy(r.v, p, sizeof(r.v));
    return r;
  }
  static void store_i32(std::int32_t* p, I32 x) noexcept { std::memcpy(p, x.v, sizeof(x.v)); }
  static void store_i32(std::int32_t* p, I32 x, std::int64_t n) noexcept {  // n < kLanes lanes
    std::memcpy(p, x.v, std::size_t(n) * 4);
  }
  static I32 set_i32(std::int32_t x) noexcept { return {{x, x, x, x}}; }
  static I32 add(I32 a, I32 b) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] = wrap(std::uint32_t(a.v[l]) + std::uint32_t(b.v[l]));
    return a;
  }
  static I32 sub(I32 a, I32 b) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] = wrap(std::uint32_t(a.v[l]) - std::uint32_t(b.v[l]));
    return a;
  }
  static I32 mul(I32 a, I32 b) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] = wrap(std::uint32_t(a.v[l]) * std::uint32_t(b.v[l]));
    return a;
  }
  template <int kBits>
  static I32 shl(I32 a) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] = wrap(std::uint32_t(a.v[l]) << kBits);
    return a;
  }
  template <int kBits>
  static I32 sra(I32 a) noexcept {  // Towards minus infinity.
    for (int l = 0; l < kLanes; ++l) a.v[l] >>= kBits;
    return a;
  }
  // load_u8 reads 16 bytes at most and widens the first kLanes; store_u8 narrows lanes in [0, 255].
  static I32 load_u8(const std::uint8_t* p) noexcept {
    I32 r;
    for (int l = 0; l < kLanes; ++l) r.v[l] = p[l];
    return r;
  }
  static void store_u8(std::uint8_t* p, I32 x, std::int64_t n) noexcept {  // min(n, kLanes) lanes
    for (std::int64_t l = 0; l < (n < kLanes ? n : kLanes); ++l) p[l] = std::uint8_t(x.v[l]);
  }

  // Reals. Each word is one IEEE operation. to_i32 rounds half to even; what lies below -2^31 gives
  // INT32_MIN; x must be below 2^31 and not NaN.
  static F32 load_f32(const float* p) noexcept {
    F32 r;
    std::memcpy(r.v, p, sizeof(r.v));
    return r;
  }
  static F32 load_f32(const float* p, std::int64_t n) noexcept {  // n < kLanes lanes, then 0
    F32 r{};
    std::memcpy(r.v, p, std::size_t(n) * 4);
    return r;
  }
  static void store_f32(float* p, F32 x) noexcept { std::memcpy(p, x.v, sizeof(x.v)); }
  static void store_f32(float* p, F32 x, std::int64_t n) noexcept {  // n < kLanes lanes
    std::memcpy(p, x.v, std::size_t(n) * 4);
  }
  static F32 set_f32(float x) noexcept { return {{x, x, x, x}}; }
  static F32 to_f32(I32 x) noexcept {
    F32 r;
    for (int l = 0; l < kLanes; ++l) r.v[l] = float(x.v[l]);
    return r;
  }
  static I32 to_i32(F32 x) noexcept {
    I32 r;
    for (int l = 0; l < kLanes; ++l)
      r.v[l] = x.v[l] < -2147483648.0f ? INT32_MIN : std::int32_t(__builtin_lrintf(x.v[l]));
    return r;
  }
  static F32 round(F32 x) noexcept {  // Half to even; |x| < 2^31.
    for (int l = 0; l < kLanes; ++l) x.v[l] = float(__builtin_lrintf(x.v[l]));
    return x;
  }
  static F32 mul(F32 a, F32 b) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] *= b.v[l];
    return a;
  }
  static F32 add(F32 a, F32 b) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] += b.v[l];
    return a;
  }
  static F32 sub(F32 a, F32 b) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] -= b.v[l];
    return a;
  }
  static F32 div(F32 a, F32 b) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] /= b.v[l];
    return a;
  }
  static F32 nan_to_zero(F32 a) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] = a.v[l] == a.v[l] ? a.v[l] : 0.0f;
    return a;
  }
  static F32 fma(F32 a, F32 b, F32 c) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] = __builtin_fmaf(a.v[l], b.v[l], c.v[l]);
    return a;
  }
  // f, a function of Floats::V, of every lane.
  template <class F>
  static F32 apply(const F& f, F32 a) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] = f(a.v[l]);
    return a;
  }
  static F32 min(F32 a, F32 b) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] = a.v[l] < b.v[l] ? a.v[l] : b.v[l];
    return a;
  }
  static F32 max(F32 a, F32 b) noexcept {
    for (int l = 0; l < kLanes; ++l) a.v[l] = a.v[l] > b.v[l] ? a.v[l] : b.v[l];
    return a;
  }

  // y[i] = table[x[i]], n bytes exactly; x may be y.
  static void lut(const std::uint8_t* x, std::uint8_t* y, std::int64_t n,
                  const std::uint8_t* table) noexcept {
    for (std::int64_t i = 0; i < n; ++i) y[i] = table[x[i]];
  }

  // Bytes: load_bytes reads kBytes; store_bytes writes the first n.
  static constexpr int kBytes = 16;
  struct Bytes16 {
    std::uint8_t v[kBytes];
  };
  static Bytes16 zero_bytes() noexcept { return {}; }
  static Bytes16 load_bytes(const std::uint8_t* p) noexcept {
    Bytes16 r;
    std::memcpy(r.v, p, kBytes);
    return r;
  }
  static Bytes16 max_bytes(Bytes16 a, const Bytes16& b) noexcept {
    for (int i = 0; i < kBytes; ++i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
    return a;
  }
  static void store_bytes(std::uint8_t* p, const Bytes16& x, std::int64_t n) noexcept {
    std::memcpy(p, x.v, std::size_t(n < kBytes ? n : kBytes));
  }

  // Picks: kPickBytes bytes of each of kPickPixels pixels that lie `second` bytes apart. pick: lane
  // l takes byte control[l] of its pixel, 0 where that is 0x80; join: the union of picks of
  // different lanes. store_picks writes the first n bytes of each pixel.
  static constexpr int kPickBytes = 16;
  static constexpr int kPickPixels = 1;
  using PickControl = Bytes16;
  using PickTable = const std::uint8_t*;
  static Bytes16 no_picks() noexcept { return {}; }
  static PickControl load_control(const std::uint8_t* control) noexcept {
    return load_bytes(control);
  }
  static PickTable load_table(const std::uint8_t* table) noexcept { return table; }
  static Bytes16 load_picks(const std::uint8_t* p, std::ptrdiff_t) noexcept {
    return load_bytes(p);
  }
  static Bytes16 pick(const Bytes16& x, const PickControl& control) noexcept {
    Bytes16 r;
    for (int i = 0; i < kPickBytes; ++i)
      r.v[i] = control.v[i] < 0x80 ? x.v[control.v[i]] : std::uint8_t{0};
    return r;
  }
  static Bytes16 join(Bytes16 a, const Bytes16& b) noexcept {
    for (int i = 0; i < kPickBytes; ++i) a.v[i] |= b.v[i];
    return a;
  }
  static Bytes16 look_up(Bytes16 x, PickTable table) noexcept {
    for (std::uint8_t& v : x.v) v = table[v];
    return x;
  }
  static void store_picks(std::uint8_t* p, std::ptrdiff_t, const Bytes16& x,
                          std::int64_t n) noexcept {
    store_bytes(p, x, n);
  }

  // store_codes: dst[i] = lut(clamp(q[i] + zero, lo, hi)) for the first n lanes of NV vectors in
  // order; q may be anything, 0 <= lo <= hi <= 255; lut may be null.
  // y[3 i + c] = byte i of a, b or c, for kThirds i.
  static constexpr int kThirds = 16;
  static void interleave3(const std::uint8_t* a, const std::uint8_t* b, const std::uint8_t* c,
                          std::uint8_t* y) noexcept {
    for (int i = 0; i < 16; ++i, y += 3) {
      y[0] = a[i];
      y[1] = b[i];
      y[2] = c[i];
    }
  }

  static constexpr int kCodeVecs = 4;  // Vectors that one store_codes takes best.
  // store_codes takes any number of vectors up to that.
  static constexpr bool kAnyCodeVecs = false;
  struct CodeConsts {
    std::int32_t zero;
    std::int32_t lo;
    std::int32_t hi;
  };
  static CodeConsts code_consts(std::int32_t zero, std::int32_t lo, std::int32_t hi) noexcept {
    return {zero, lo, hi};
  }
  template <int NV>
  static void store_codes(std::uint8_t* dst, const I32 (&q)[NV], const CodeConsts& k,
                          std::int64_t n, const std::uint8_t* table) noexcept {
    for (std::int64_t i = 0; i < n && i < NV * kLanes; ++i) {
      std::int64_t x = std::int64_t(q[i / kLanes].v[i % kLanes]) + k.zero;
      x = x < k.lo ? k.lo : x > k.hi ? k.hi : x;
      dst[i] = table == nullptr ? std::uint8_t(x) : table[x];
    }
  }

  // The same for kRows rows, row_bytes apart, of NV vectors each: kRows * NV == kCodeVecs.
  template <int NV, int kRows>
  static void store_codes(std::uint8_t* dst, std::ptrdiff_t row_bytes, const I32 (*q)[NV],
                          const CodeConsts& k, std::int64_t n, const std::uint8_t* table) noexcept {
    for (int i = 0; i < kRows; ++i) store_codes<NV>(dst + i * row_bytes, q[i], k, n, table);
  }

  // Depthwise: kDwVecs vectors hold kDwBlock channels in the order dw_channel. A Column holds up to
  // four rows of one pixel column, interleaved so that dw_dot adds
  // acc[lane] += sum_{r < 4} (row_r[channel] - kAOffset) * w[r][channel] (modulo 2^32).
  static constexpr bool kDwSlides = false;  // Output by output: nothing to gain, much to compile.
  static constexpr int kDwVecs = 4;
  static constexpr int kDwBlock = 16;
  static constexpr int kDwWeightBytes = kDwBlock * 4;  // Of one group of four rows at one kx.
  static constexpr int dw_channel(int vec, int lane) noexcept { return vec * kLanes + lane; }
  static constexpr std::size_t dw_weight_offset(int channel, int row) noexcept {
    return std::size_t(channel * 4 + row);  // Byte of that weight in the group.
  }
  static void dw_put_weight(std::byte* group, int channel, int row, int w) noexcept {
    group[dw_weight_offset(channel, row)] = std::byte(std::uint8_t(w));
  }
  struct Column {
    std::uint8_t v[4][kDwBlock];
  };
  // Rows beyond `rows` count as 0. Each row is read for kDwBlock bytes.
  template <int kRows>
  static void dw_column(Column& d, const std::uint8_t* const (&p)[4]) noexcept {
    for (int r = 0; r < 4; ++r) {
      if (r < kRows)
        std::memcpy(d.v[r], p[r], kDwBlock);
      else
        std::memset(d.v[r], 0, kDwBlock);
    }
  }
  // dw_dot of one vector; weights from memory, or loaded before (kDwHeldWeights vectors at most).
  static constexpr int kDwHeldWeights = 0;
  using DwWeight = I32;
  static DwWeight dw_weight(const std::byte* group, int vec) noexcept {
    I32 r;
    std::memcpy(r.v, group + vec * 16, 16);
    return r;
  }
  static void dw_dot(I32& acc, const Column& d, int vec, const std::byte* group) noexcept {
    for (int l = 0; l < kLanes; ++l) {
      const int c = dw_channel(vec, l);
      std::int32_t s = 0;
      for (int r = 0; r < 4; ++r)
        s += d.v[r][c] * std::int32_t(std::int8_t(group[dw_weight_offset(c, r)]));
      acc.v[l] = wrap(std::uint32_t(acc.v[l]) + std::uint32_t(s));
    }
  }
  // Between the natural order of channels and the vectors' order.
  static void dw_load(F32 (&v)[kDwVecs], const float* p) noexcept {
    for (int j = 0; j < kDwVecs; ++j) v[j] = load_f32(p + j * kLanes);
  }
  static void dw_store(std::int32_t* p, const I32 (&v)[kDwVecs]) noexcept {
    for (int j = 0; j < kDwVecs; ++j) store_i32(p + j * kLanes, v[j]);
  }
  static void dw_store_codes(std::uint8_t* dst, const I32 (&q)[kDwVecs], const CodeConsts& k,
                             std::int64_t n, const std::uint8_t* table) noexcept {
    store_codes<kDwVecs>(dst, q, k, n, table);
  }

 private:
  static std::int32_t wrap(std::uint32_t x) noexcept { return static_cast<std::int32_t>(x); }
};

}  // namespace intact
