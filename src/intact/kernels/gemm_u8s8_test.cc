// Every row of the table that this processor executes against the definition (gemm_u8s8_ref.cc).
#include "kernels/gemm_u8s8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "kernels/epilogue_test_util.h"
#include "kernels/guarded_memory.h"

namespace intact {
namespace {

using Rng = std::mt19937_64;

int uniform(Rng& rng, int lo, int hi) {
  return lo + static_cast<int>(rng() % static_cast<std::uint64_t>(hi - lo + 1));
}

// One problem: operands, epilogue, and how they are laid out.
struct Case {
  std::int64_t m = 1;
  GemmShape shape;
  int za = 0;
  bool indirect = false;
  bool za_per_row = false;
  bool b_unsigned = false;
  int zb = 0;  // Of every column, or the spread of random ones.
  bool zb_per_col = false;
  bool b_n_contiguous = false;
  int weights = 0;  // 0 random, 1: all +127, 2: all -128, 3: alternating -128, 127,
                    // 4: 127 in the first half of k, -127 in the second.
  int codes = 0;    // 0 random, else all of this value.
  EpilogueKind kind = EpilogueKind::kCodes;
  Residual residual = Residual::kNone;
  bool lut = false;
  bool row_scale = false;
  bool narrow_limits = false;
  std::optional<UnaryF32> function = std::nullopt;
  Rounding rounding = Rounding::kOnce;
  bool huge_scale = false;  // m[0] overflows int32 after scaling: the clamp must come first.
  bool out_view = false;    // Output rows lie apart.
  std::uint64_t seed = 1;
};

std::string describe(const Case& c) {
  return "m=" + std::to_string(c.m) + " n=" + std::to_string(c.shape.n) +
         " taps=" + std::to_string(c.shape.taps) + " k=" + std::to_string(c.shape.k_per_tap) +
         " za=" + std::to_string(c.za) + " zb=" + std::to_string(c.zb) +
         " weights=" + std::to_string(c.weights) + " kind=" + std::to_string(int(c.kind)) +
         " residual=" + std::to_string(int(c.residual)) +
         " function=" + std::to_string(c.function ? int(c.function->op) : -1) +
         " rounding=" + std::to_string(int(c.rounding)) + " seed=" + std::to_string(c.seed);
}

class Problem {
 public:
  explicit Problem(const Case& c) : c_(c), rng_(c.seed) {
    const GemmShape& s = c.shape;
    const std::int64_t k = s.k();
    a_ = std::make_unique<Guarded<std::uint8_t>>(c.m * k, 64);
    for (std::int64_t i = 0; i < c.m * k; ++i)
      (*a_)[i] = static_cast<std::uint8_t>(c.codes != 0 ? c.codes : uniform(rng_, 0, 255));
    // Indirect: tap t of row m lies in its own place, in an order of its own.
    rows_.resize(static_cast<std::size_t>(s.taps * c.m));
    for (std::int64_t t = 0; t < s.taps; ++t)
      for (std::int64_t m = 0; m < c.m; ++m) {
        const std::int64_t segment = (m * s.taps + t) * 7 % (c.m * s.taps);
        rows_[static_cast<std::size_t>(t * c.m + m)] = a_->data() + segment * s.k_per_tap;
      }
    b_ = std::make_unique<Guarded<std::int8_t>>(k * s.n);
    for (std::int64_t i = 0; i < k * s.n; ++i)
      (*b_)[i] = static_cast<std::int8_t>(c.weights == 1   ? 127
                                          : c.weights == 2 ? -128
                                          : c.weights == 3 ? (i % 2 == 0 ? -128 : 127)
                                          : c.weights == 4 ? (i % k < k / 2 ? 127 : -127)
                                                           : uniform(rng_, -128, 127));
    const auto n16 = static_cast<std::size_t>(padded_n(s.n));
    zb_.assign(n16, c.zb);
    if (c.zb_per_col)
      for (auto& z : zb_) z = c.b_unsigned ? uniform(rng_, 0, 255) : uniform(rng_, -128, 127);
    bias_.resize(n16);
    m_.resize(n16);
    cc_.resize(n16);
    const double spread = 73.0 * 73.0 * std::sqrt(static_cast<double>(k) + 1);
    for (std::size_t n = 0; n < n16; ++n) {
      bias_[n] = uniform(rng_, -20000, 20000);
      m_[n] = static_cast<float>(40.0 / spread * (0.5 + uniform(rng_, 0, 1000) / 1000.0));
      cc_[n] = static_cast<float>(uniform(rng_, -300, 300)) / 7.0f;
    }
    for (std::size_t n = 0; n < n16; ++n) {
      g_m_.push_back(static_cast<float>(uniform(rng_, -500, 1500)) / 1e3f);
      g_c_.push_back(static_cast<float>(uniform(rng_, -300, 300)) / 7.0f);
    }
    steps_.resize(static_cast<std::size_t>(4 * padded_n(s.n)));
    for (float& v : steps_) v = static_cast<float>(uniform(rng_, 500, 1500)) / 997.0f;
    if (c.huge_scale) m_[0] = 1e4f;
    for (auto& t : table_) t = static_cast<std::uint8_t>(uniform(rng_, 0, 255));
    za_rows_.resize(static_cast<std::size_t>(c.m));
    row_scale_.resize(static_cast<std::size_t>(c.m));
    for (std::size_t i = 0; i < za_rows_.size(); ++i) {
      za_rows_[i] = static_cast<std::uint8_t>(uniform(rng_, 0, 255));
      row_scale_[i] = static_cast<float>(uniform(rng_, 1, 1000)) / 997.0f;
    }
    r_ = std::make_unique<Guarded<std::uint8_t>>(c.m * (s.n + 3), 64);
    for (auto& r : r_->span()) r = static_cast<std::uint8_t>(uniform(rng_, 0, 255));
    reals_ = std::make_unique<Guarded<float>>(c.m * s.n);
    for (auto& r : reals_->span()) r = static_cast<float>(uniform(rng_, -900, 900)) / 7.0f;
    (*reals_)[c.m * s.n - 1] = std::numeric_limits<float>::quiet_NaN();
  }

  // Computes rows [row0, row1) and panels [p0, p1) with one row of the table.
  void run(const GemmU8S8Kernel& kernel, Guarded<std::byte>& out, std::int64_t row0,
           std::int64_t row1, std::int64_t p0, std::int64_t p1) {
    const GemmShape& s = c_.shape;
    const std::int64_t n16 = padded_n(s.n);
    Guarded<std::int8_t> packed(static_cast<std::int64_t>(kernel.packed_bytes(s)), 0, 64);
    Guarded<std::int32_t> colsum(n16), sum_abs(n16), zb(n16), init(n16), bias(n16);
    Guarded<float> m(n16), cc(n16);
    std::copy(bias_.begin(), bias_.end(), bias.data());
    std::copy(m_.begin(), m_.end(), m.data());
    std::copy(cc_.begin(), cc_.end(), cc.data());
    GemmBSource src{.b = b_->data(),
                    .is_unsigned = c_.b_unsigned,
                    .tap_bytes = c_.b_n_contiguous ? s.k_per_tap * s.n : s.k_per_tap,
                    .k_bytes = c_.b_n_contiguous ? s.n : 1,
                    .n_bytes = c_.b_n_contiguous ? 1 : s.k(),
                    .zb = c_.zb_per_col ? zb_.data() : nullptr,
                    .zb_all = c_.zb};
    const GemmBStats stats{.colsum = colsum.data(), .sum_abs = sum_abs.data(), .zb = zb.data()};
    const std::int64_t half = panels_of(s.n) / 2;
    kernel.pack_b(s, src, 0, half, packed.data(), stats);
    kernel.pack_b(s, src, half, panels_of(s.n), packed.data(), stats);
    kernel.make_init(s, bias.data(), c_.za_per_row ? 0 : c_.za, colsum.data(), init.data());
    const bool any_zb = std::any_of(zb.data(), zb.data() + s.n, [](auto z) { return z != 0; });
    for (std::int64_t n = 0; n < s.n; ++n) {
      std::int32_t want_sum = 0;
      std::int32_t want_abs = 0;
      for (std::int64_t i = 0; i < s.k(); ++i) {
        const std::int64_t at =
            i / s.k_per_tap * src.tap_bytes + i % s.k_per_tap * src.k_bytes + n * src.n_bytes;
        const int b = c_.b_unsigned ? static_cast<std::uint8_t>((*b_)[at]) : (*b_)[at];
        const int d = b - (c_.zb_per_col ? zb_[static_cast<std::size_t>(n)] : c_.zb);
        want_sum += d;
        want_abs += std::abs(d);
      }
      ASSERT_EQ(colsum[n], want_sum);
      ASSERT_EQ(sum_abs[n], want_abs);
    }
    Guarded<std::byte> scratch(static_cast<std::int64_t>(kernel.scratch_bytes(s)), 0, 64);
    GemmU8S8Args args;
    args.shape = s;
    if (c_.indirect) {
      args.rows = rows_.data();
      args.rows_stride = c_.m;
    } else {
      args.a = a_->data();
      args.a_row_bytes = s.k();
    }
    args.za_rows = c_.za_per_row ? za_rows_.data() : nullptr;
    args.b = {.packed = packed.data(),
              .init = init.data(),
              .colsum = colsum.data(),
              .zb = any_zb ? zb.data() : nullptr,
              .bias = bias.data(),
              .za = c_.za};
    args.out = out.data();
    args.out_row_bytes = out_row_bytes();
    Epilogue& e = args.epilogue;
    e.kind = c_.kind;
    e.residual = c_.residual;
    e.m = m.data();
    e.c = cc.data();
    e.function = c_.function;
    e.g_m = g_m_.data();
    e.g_c = g_c_.data();
    put_rounding(c_.rounding, steps_.data(), n16, e);
    e.codes = c_.narrow_limits ? CodeLimits{37, 200, 64} : CodeLimits{0, 255, 117};
    e.lut = c_.lut ? table_ : nullptr;
    if (c_.residual != Residual::kNone) {
      const bool reals = c_.residual == Residual::kReal;
      e.r = reals ? reinterpret_cast<const std::uint8_t*>(reals_->data()) : r_->data();
      e.r_row_bytes = reals ? 4 * s.n : s.n + 3;
      e.r_zero = 99;
      e.r_ratio = 0.731f;
      e.first = c_.narrow_limits ? CodeLimits{3, 250, 3} : CodeLimits{0, 255, 130};
      e.first_ratio = 0.577f;
    }
    if (c_.narrow_limits) {
      e.lo_f = 0.0f;
      e.hi_f = 6.0f;
    }
    e.row_scale = c_.row_scale ? row_scale_.data() : nullptr;
    args.row_begin = row0;
    args.row_end = row1;
    args.panel_begin = p0;
    args.panel_end = p1;
    args.scratch = scratch.data();
    kernel.run(args);
  }

  // Exact at the end of the buffer: an output byte too many faults or shows in the gaps.
  [[nodiscard]] std::ptrdiff_t out_row_bytes() const {
    return (c_.shape.n + (c_.out_view ? 5 : 0)) * (c_.kind == EpilogueKind::kCodes ? 1 : 4);
  }
  [[nodiscard]] std::int64_t out_bytes() const {
    const int element = c_.kind == EpilogueKind::kCodes ? 1 : 4;
    return (c_.m - 1) * out_row_bytes() + c_.shape.n * element;
  }

 private:
  Case c_;
  Rng rng_;
  std::unique_ptr<Guarded<std::uint8_t>> a_, r_;
  std::unique_ptr<Guarded<float>> reals_;
  std::unique_ptr<Guarded<std::int8_t>> b_;
  std::vector<const std::uint8_t*> rows_;
  std::vector<std::int32_t> zb_, bias_;
  std::vector<float> m_, cc_, g_m_, g_c_, row_scale_, steps_;
  std::vector<std::uint8_t> za_rows_;
  std::uint8_t table_[256] = {};
};

void check(const Case& c) {
  Problem p(c);
  const std::int64_t panels = panels_of(c.shape.n);
  Guarded<std::byte> want(p.out_bytes(), 0, 4);
  p.run(gemm_u8s8_int64(), want, 0, c.m, 0, panels);
  for (const GemmU8S8Kernel* row : kernel_rows<GemmU8S8Kernel>()) {
    if (!isa_covers(detect_isa(), row->isa)) continue;
    SCOPED_TRACE(std::string(row->name) + " " + describe(c));
    Guarded<std::byte> got(p.out_bytes(), 0, 4);
    // In parts, as threads and fused strips would: rows first, then columns.
    const std::int64_t cut_m = c.m / 3;
    const std::int64_t cut_p = panels / 3;
    p.run(*row, got, 0, cut_m, 0, panels);
    p.run(*row, got, cut_m, c.m, cut_p, panels);
    p.run(*row, got, cut_m, c.m, 0, cut_p);
    for (std::int64_t i = 0; i < p.out_bytes(); ++i)
      ASSERT_EQ(int(got[i]), int(want[i]))
          << "byte " << i % p.out_row_bytes() << " of row " << i / p.out_row_bytes();
  }
}

TEST(GemmU8S8, EqualsReferenceAroundEveryTileEdge) {
  for (const std::int64_t n : {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 97, 113})
    for (const std::int64_t m : {1, 2, 3, 5, 6, 7, 13, 24, 25, 53})
      for (const std::int64_t k : {1, 3, 4, 7, 16, 33})
        check({.m = m, .shape = {.n = n, .taps = 1, .k_per_tap = k}, .za = 121});
}

TEST(GemmU8S8, EqualsReferenceForLargerProblems) {
  for (const std::int64_t k : {127, 576, 1153})
    for (const std::int64_t n : {10, 73, 200})
      for (const std::int64_t m : {1, 29, 131})
        check({.m = m, .shape = {.n = n, .taps = 1, .k_per_tap = k}, .za = 128, .seed = 3});
  // More columns than a chunk of B holds.
  check({.m = 9, .shape = {.n = 600, .taps = 1, .k_per_tap = 2048}, .za = 3});
}

TEST(GemmU8S8, ReadsRowsThroughTapPointers) {
  for (const std::int64_t taps : {1, 2, 9, 25})
    for (const std::int64_t k : {1, 3, 4, 5, 9, 16, 21, 32, 35, 64})
      for (const std::int64_t n : {7, 16, 40, 70})
        check({.m = 31,
               .shape = {.n = n, .taps = taps, .k_per_tap = k},
               .za = 77,
               .indirect = true,
               .seed = 5});
}

// Few columns of a long K have a layout of their own.
TEST(GemmU8S8, EqualsReferenceForFewColumns) {
  for (const std::int64_t n : {1, 7, 8, 9, 15, 16, 17, 23, 24, 25})
    for (const std::int64_t m : {1, 5, 7, 9, 12, 13, 25, 53})
      for (const std::int64_t k : {127, 128, 129, 133, 260}) {
        check({.m = m, .shape = {.n = n, .taps = 1, .k_per_tap = k}, .za = 121, .seed = 7});
        check({.m = m,
               .shape = {.n = n, .taps = 1, .k_per_tap = k},
               .za = 9,
               .b_unsigned = true,
               .zb = 131,
               .zb_per_col = true,
               .b_n_contiguous = true,
               .seed = 8});
      }
  for (const std::int64_t n : {5, 16, 24})
    for (const std::int64_t taps : {3, 9, 49})
      for (const std::int64_t k : {3, 15, 16, 21, 43, 44})
        for (const bool b_unsigned : {false, true})
          check({.m = 31,
                 .shape = {.n = n, .taps = taps, .k_per_tap = k},
                 .za = 77,
                 .indirect = true,
                 .b_unsigned = b_unsigned,
                 .zb = b_unsigned ? 120 : 0,
                 .seed = 9});
  for (const auto kind : {EpilogueKind::kCodes, EpilogueKind::kFloat, EpilogueKind::kRaw})
    for (const std::int64_t n : {8, 24})
      check({.m = 37,
             .shape = {.n = n, .taps = 1, .k_per_tap = 300},
             .za = 50,
             .kind = kind,
             .residual = kind == EpilogueKind::kCodes ? Residual::kAfterCode : Residual::kNone,
             .out_view = true,
             .seed = 10});
}

TEST(GemmU8S8, IsExactAtTheExtremes) {
  for (const int weights : {1, 2, 3})
    for (const int codes : {255, 1})
      for (const int za : {0, 128, 255})
        for (const std::int64_t k : {64, 8192}) {
          Case c{.m = 7,
                 .shape = {.n = 35, .taps = 1, .k_per_tap = k},
                 .za = za,
                 .weights = weights,
                 .codes = codes};
          c.kind = EpilogueKind::kRaw;
          check(c);
          c.kind = EpilogueKind::kCodes;
          check(c);
          c.huge_scale = true;
          check(c);
        }
}

TEST(GemmU8S8, PartialSumsMayWrap) {
  // Half way the sum is 70000 * 255 * 127 = 2.27e9 > 2^31; it comes back to 0.
  check({.m = 1,
         .shape = {.n = 3, .taps = 1, .k_per_tap = 140000},
         .weights = 4,
         .codes = 255,
         .kind = EpilogueKind::kRaw});
}

TEST(GemmU8S8, TakesZeroPointsOnBothSides) {
  for (const bool b_unsigned : {false, true})
    for (const bool per_col : {false, true})
      for (const bool per_row : {false, true})
        for (const int za : {0, 128, 255})
          for (const auto kind : {EpilogueKind::kRaw, EpilogueKind::kCodes, EpilogueKind::kFloat})
            for (const std::int64_t taps : {1, 3})
              check({.m = 31,
                     .shape = {.n = 50, .taps = taps, .k_per_tap = 67},
                     .za = za,
                     .indirect = taps > 1,
                     .za_per_row = per_row,
                     .b_unsigned = b_unsigned,
                     .zb = b_unsigned ? 131 : -7,
                     .zb_per_col = per_col,
                     .b_n_contiguous = per_col,
                     .kind = kind,
                     .row_scale = per_row,
                     .seed = 11});
}

TEST(GemmU8S8, AppliesEveryEpilogue) {
  for (const bool narrow : {false, true})
    for (const bool view : {false, true})
      for (const std::int64_t n : {1, 9, 16, 24, 64, 100})
        for (const std::int64_t m : {1, 6, 31}) {
          Case c{.m = m, .shape = {.n = n, .taps = 1, .k_per_tap = 40}, .za = 100};
          c.narrow_limits = narrow;
          c.out_view = view;
          c.seed = 17;
          for (const bool lut : {false, true}) {
            c.lut = lut;
            c.huge_scale = lut == narrow;
            for_each_ending(c, check);
          }
          c.residual = Residual::kNone;
          c.lut = false;
          c.kind = EpilogueKind::kRaw;
          check(c);
          c.kind = EpilogueKind::kFloat;
          check(c);
          c.row_scale = true;
          check(c);
        }
}

TEST(GemmU8S8, ProofOfInt32HoldsAtItsEdge) {
  // 255 * 8421504 = 2^31 - 128 is inside, one more weight step is not.
  EXPECT_TRUE(fits_int32(8421504, 0, 127));
  EXPECT_FALSE(fits_int32(8421504, 0, 128));
  EXPECT_TRUE(fits_int32(8421504, 128, 1 << 29));
  EXPECT_FALSE(fits_int32(8421504, 128, 128 + (1LL << 30), true));
}

TEST(GemmU8S8, SelectionIsAPureFunctionOfTheLevel) {
  EXPECT_EQ(select_kernel<GemmU8S8Kernel>(IsaLevel::kScalar).name, "gemm_u8s8/scalar");
#if defined(__x86_64__)
  EXPECT_EQ(select_kernel<GemmU8S8Kernel>(IsaLevel::kAvx2).name, "gemm_u8s8/avx2");
  EXPECT_EQ(select_kernel<GemmU8S8Kernel>(IsaLevel::kAvxVnni).name, "gemm_u8s8/avxvnni");
  EXPECT_EQ(select_kernel<GemmU8S8Kernel>(IsaLevel::kAvx512).name, "gemm_u8s8/avx2");
  EXPECT_EQ(select_kernel<GemmU8S8Kernel>(IsaLevel::kAvx512Dot).name, "gemm_u8s8/avx512dot");
  EXPECT_EQ(select_kernel<GemmU8S8Kernel>(IsaLevel::kAvx512Vnni).name, "gemm_u8s8/avx512vnni");
#endif
}

}  // namespace
}  // namespace intact
