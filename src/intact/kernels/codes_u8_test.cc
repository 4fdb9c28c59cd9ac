// Every row of the element-wise and pooling tables against its definition.
#include "kernels/codes_u8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/exact_inverse.h"
#include "kernels/guarded_memory.h"
#include "kernels/pool_u8.h"

namespace intact {
namespace {

using Rng = std::mt19937_64;

int uniform(Rng& rng, int lo, int hi) {
  return lo + static_cast<int>(rng() % static_cast<std::uint64_t>(hi - lo + 1));
}

template <class Kernel, class Check>
void for_each_row(Check check) {
  for (const Kernel* row : kernel_rows<Kernel>()) {
    if (!isa_covers(detect_isa(), row->isa)) continue;
    SCOPED_TRACE(std::string(row->name));
    check(*row);
  }
}

void expect_equal(const Guarded<std::uint8_t>& got, const Guarded<std::uint8_t>& want) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    const auto k = static_cast<std::int64_t>(i);
    ASSERT_EQ(int(got[k]), int(want[k])) << "element " << i;
  }
}

const std::vector<std::int64_t> kSizes{1,  2,  7,  8,  9,  15, 16,  17,  31,  32,
                                       33, 47, 63, 64, 65, 96, 127, 128, 131, 1000};

TEST(CodesU8, LutEqualsTheTable) {
  Rng rng(1);
  std::uint8_t table[256];
  for (auto& t : table) t = static_cast<std::uint8_t>(uniform(rng, 0, 255));
  for (const std::int64_t n : kSizes) {
    Guarded<std::uint8_t> x(n, 64), want(n);
    for (std::int64_t i = 0; i < n; ++i)
      x[i] = static_cast<std::uint8_t>(n >= 256 ? i : uniform(rng, 0, 255));
    codes_u8_ref().lut(x.data(), want.data(), n, table);
    for_each_row<CodesU8Kernel>([&](const CodesU8Kernel& k) {
      Guarded<std::uint8_t> got(n);
      k.lut(x.data(), got.data(), n, table);
      expect_equal(got, want);
      Guarded<std::uint8_t> same(n);
      std::memcpy(same.data(), x.data(), static_cast<std::size_t>(n));
      k.lut(same.data(), same.data(), n, table);
      expect_equal(same, want);
    });
  }
}

// Values that sit on and around ties, and everything that is not a number.
std::vector<float> hard_reals(Rng& rng, float scale) {
  std::vector<float> x;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float f : {0.0f, -0.0f, kInf, -kInf, std::numeric_limits<float>::quiet_NaN(),
                        std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest(),
                        std::numeric_limits<float>::denorm_min(), 3e9f, -3e9f, 2147483648.0f})
    x.push_back(f);
  for (int half = -600; half <= 600; ++half) {
    const float tie = static_cast<float>(half) * 0.5f * scale;
    x.push_back(tie);
    x.push_back(std::nextafter(tie, kInf));
    x.push_back(std::nextafter(tie, -kInf));
  }
  for (int i = 0; i < 500; ++i)
    x.push_back(static_cast<float>(uniform(rng, -1000000, 1000000)) / 3000.0f * scale);
  return x;
}

TEST(CodesU8, QuantizeRoundsAsDivisionDoes) {
  Rng rng(2);
  for (const float scale : {1.0f, 0.1f, 0.0235f, 1.0f / 3.0f, 1e-30f, 3e20f, 0x1p-126f})
    for (const int zero : {0, 1, 128, 255})
      for (const auto& [lo, hi] : {std::pair{0, 255}, std::pair{0, 15}, std::pair{30, 200}}) {
        if (zero < lo || zero > hi) continue;
        const std::vector<float> reals = hard_reals(rng, scale);
        const auto n = static_cast<std::int64_t>(reals.size());
        Guarded<float> x(n);
        std::memcpy(x.data(), reals.data(), reals.size() * 4);
        QuantParams p{.scale = &scale, .zero = &zero, .lo = lo, .hi = hi};
        Guarded<std::uint8_t> want(n);
        codes_u8_ref().quantize(x.data(), 1, n, p, want.data());
        EXPECT_EQ(int(want[4]), zero);  // NaN
        for (const float inverse : {0.0f, exact_inverse(scale)}) {
          p.inverse = inverse;
          for_each_row<CodesU8Kernel>([&](const CodesU8Kernel& k) {
            Guarded<std::uint8_t> got(n);
            k.quantize(x.data(), 1, n, p, got.data());
            expect_equal(got, want);
          });
        }
      }
}

TEST(ExactInverse, ExistsForMostScalesAndGivesTheCodesOfADivision) {
  EXPECT_EQ(exact_inverse(0.25f), 4.0f);
  for (const float bad : {0.0f, -1.0f, 1e-38f, std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()})
    EXPECT_EQ(exact_inverse(bad), 0.0f);
  Rng rng(11);
  int found = 0;
  const std::int32_t zero = 100;
  for (int i = 0; i < 200; ++i) {
    const float scale = static_cast<float>(uniform(rng, 1, 1 << 30)) * 0x1p-32f;
    const float inverse = exact_inverse(scale);
    if (inverse == 0) continue;
    ++found;
    const std::vector<float> x = hard_reals(rng, scale);
    std::vector<std::uint8_t> want(x.size()), got(x.size());
    QuantParams p{.scale = &scale, .zero = &zero};
    const auto n = static_cast<std::int64_t>(x.size());
    codes_u8_ref().quantize(x.data(), 1, n, p, want.data());
    p.inverse = inverse;
    kernel_rows<CodesU8Kernel>().back()->quantize(x.data(), 1, n, p, got.data());
    EXPECT_EQ(got, want) << scale;
  }
  EXPECT_GT(found, 190);
}

TEST(CodesU8, InterleaveTurnsPlanesIntoPixels) {
  Rng rng(13);
  for (const std::int64_t channels : {1, 2, 3, 4, 5})
    for (const std::int64_t count : {1, 15, 16, 17, 64, 100}) {
      const std::int64_t plane = count + 3;
      Guarded<std::uint8_t> x((channels - 1) * plane + count, 64), want(channels * count);
      for (auto& v : x.span()) v = static_cast<std::uint8_t>(uniform(rng, 0, 255));
      codes_u8_ref().interleave(x.data(), plane, channels, count, want.data());
      for_each_row<CodesU8Kernel>([&](const CodesU8Kernel& k) {
        Guarded<std::uint8_t> got(channels * count);
        k.interleave(x.data(), plane, channels, count, got.data());
        expect_equal(got, want);
      });
    }
}

TEST(CodesU8, QuantizeAndDequantizeTakeOneScaleAColumn) {
  Rng rng(3);
  for (const std::int64_t cols : kSizes)
    for (const bool per_col : {false, true}) {
      const std::int64_t rows = 3;
      Guarded<float> scale(per_col ? cols : 1), x(rows * cols);
      Guarded<std::int32_t> zero(per_col ? cols : 1);
      for (auto& s : scale.span()) s = static_cast<float>(uniform(rng, 1, 1000)) / 7777.0f;
      for (auto& z : zero.span()) z = uniform(rng, 0, 255);
      for (auto& f : x.span()) f = static_cast<float>(uniform(rng, -100000, 100000)) / 9999.0f;
      const QuantParams p{.scale = scale.data(), .zero = zero.data(), .per_col = per_col};
      Guarded<std::uint8_t> want(rows * cols, 64);
      codes_u8_ref().quantize(x.data(), rows, cols, p, want.data());
      Guarded<float> reals(rows * cols);
      codes_u8_ref().dequantize(want.data(), rows, cols, p, reals.data());
      for_each_row<CodesU8Kernel>([&](const CodesU8Kernel& k) {
        Guarded<std::uint8_t> got(rows * cols);
        k.quantize(x.data(), rows, cols, p, got.data());
        expect_equal(got, want);
        Guarded<float> back(rows * cols);
        k.dequantize(want.data(), rows, cols, p, back.data());
        EXPECT_EQ(std::memcmp(back.data(), reals.data(), reals.size() * 4), 0);
      });
    }
}

TEST(CodesU8, QuantizeMultipliesByAFactorAColumnFirst) {
  Rng rng(9);
  for (const std::int64_t cols : kSizes)
    for (const float scale : {1.0f / 77.0f, 1e-30f}) {
      const int zero = 97;
      const std::int64_t rows = 7;
      Guarded<float> x(rows * cols), factor(cols), product(rows * cols);
      const auto hard = hard_reals(rng, scale);
      for (auto& f : x.span()) f = hard[rng() % hard.size()];
      for (auto& f : factor.span()) f = static_cast<float>(uniform(rng, 1, 3000)) / 999.0f;
      for (std::int64_t i = 0; i < rows * cols; ++i) product[i] = x[i] * factor[i % cols];
      QuantParams p{.scale = &scale, .zero = &zero};
      Guarded<std::uint8_t> want(rows * cols);
      codes_u8_ref().quantize(product.data(), rows, cols, p, want.data());
      p.factor = factor.data();
      for (const float inverse : {0.0f, exact_inverse(scale)}) {
        p.inverse = inverse;
        for_each_row<CodesU8Kernel>([&](const CodesU8Kernel& k) {
          Guarded<std::uint8_t> got(rows * cols);
          k.quantize(x.data(), rows, cols, p, got.data());
          expect_equal(got, want);
        });
      }
    }
}

TEST(CodesU8, QuantizePlanesMultipliesQuantizesAndInterleaves) {
  Rng rng(12);
  for (const std::int64_t channels : {1, 2, 3, 4})
    for (const std::int64_t count : kSizes)
      for (const float scale : {1.0f / 77.0f, 1e-30f}) {
        const int zero = 97;
        const std::int64_t plane = count + 5;
        Guarded<float> x((channels - 1) * plane + count), factor(channels);
        const auto hard = hard_reals(rng, scale);
        for (auto& f : x.span()) f = hard[rng() % hard.size()];
        for (auto& f : factor.span()) f = static_cast<float>(uniform(rng, 1, 3000)) / 999.0f;
        for (const bool with_factor : {false, true}) {
          std::vector<std::uint8_t> want(static_cast<std::size_t>(channels * count));
          const QuantParams p{.scale = &scale, .zero = &zero};
          for (std::int64_t i = 0; i < count; ++i)
            for (std::int64_t c = 0; c < channels; ++c) {
              const float v = x[c * plane + i] * (with_factor ? factor[c] : 1.0f);
              codes_u8_ref().quantize(&v, 1, 1, p,
                                      &want[static_cast<std::size_t>(i * channels + c)]);
            }
          QuantizePlanesArgs g{.x = x.data(),
                               .plane = plane,
                               .channels = channels,
                               .count = count,
                               .scale = scale,
                               .zero = zero,
                               .factor = with_factor ? factor.data() : nullptr};
          const auto check = [&](const CodesU8Kernel& k) {
            Guarded<std::uint8_t> got(channels * count);
            g.y = got.data();
            k.quantize_planes(g);
            EXPECT_TRUE(std::equal(want.begin(), want.end(), got.data()));
          };
          check(codes_u8_ref());
          for (const float inverse : {0.0f, exact_inverse(scale)}) {
            g.inverse = inverse;
            for_each_row<CodesU8Kernel>(check);
          }
        }
      }
}

TEST(CodesU8, ArithmeticRoundsEachStepInOrder) {
  using Op = ArithmeticStep::Op;
  Rng rng(13);
  const std::int64_t rows = 3;
  for (const std::int64_t cols : kSizes) {
    Guarded<float> reals(rows * cols), scalar(1);
    Guarded<std::uint8_t> codes(rows * cols, 64);
    for (auto& f : reals.span()) f = static_cast<float>(uniform(rng, 1, 100000)) / 9999.0f;
    for (auto& q : codes.span()) q = static_cast<std::uint8_t>(uniform(rng, 0, 255));
    scalar[0] = 1.7f;
    const ArithmeticOperand operands[] = {
        {.reals = reals.data(), .row = cols},
        {.reals = reals.data()},
        {.reals = scalar.data(), .one = true},
        {.codes = codes.data(), .scale = 0.37f, .zero = 300, .row = cols},
        {.codes = codes.data(), .scale = 0.37f, .zero = 300},
        {.codes = codes.data(), .scale = 0.37f, .zero = 300, .one = true},
    };
    for (int trial = 0; trial < 24; ++trial) {
      std::vector<ArithmeticStep> steps;
      for (int k = trial % 5; k > 0; --k)
        steps.push_back({static_cast<Op>(uniform(rng, 0, 5)), operands[uniform(rng, 0, 5)]});
      ArithmeticArgs g{.rows = rows,
                       .cols = cols,
                       .x = operands[trial % 2 * 3],
                       .steps = steps.data(),
                       .count = static_cast<std::int64_t>(steps.size()),
                       .scale = 1.0f / 77.0f,
                       .zero = 97};
      // The definition, from its own words.
      std::vector<float> want(static_cast<std::size_t>(rows * cols));
      std::vector<std::uint8_t> want_codes(want.size());
      for (std::int64_t i = 0; i < rows * cols; ++i) {
        const auto at = [&](const ArithmeticOperand& o) {
          const std::int64_t k = o.one ? 0 : o.row == 0 ? i % cols : i;
          return o.reals != nullptr ? o.reals[k]
                                    : static_cast<float>(o.codes[k] - o.zero) * o.scale;
        };
        volatile float v = at(g.x);
        for (const ArithmeticStep& s : steps) {
          const float b = at(s.b);
          v = s.op == Op::kAdd    ? v + b
              : s.op == Op::kSub  ? v - b
              : s.op == Op::kMul  ? v * b
              : s.op == Op::kDiv  ? v / b
              : s.op == Op::kRSub ? b - v
                                  : b / v;
        }
        const float result = v;
        want[static_cast<std::size_t>(i)] = result;
        codes_u8_ref().quantize(&result, 1, 1, {.scale = &g.scale, .zero = &g.zero},
                                &want_codes[static_cast<std::size_t>(i)]);
      }
      const auto check = [&](const CodesU8Kernel& k) {
        Guarded<float> got(rows * cols);
        g.reals = got.data();
        g.codes = nullptr;
        k.arithmetic(g);
        EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0);
        Guarded<std::uint8_t> got_codes(rows * cols);
        g.codes = got_codes.data();
        k.arithmetic(g);
        EXPECT_TRUE(std::equal(want_codes.begin(), want_codes.end(), got_codes.data()));
      };
      check(codes_u8_ref());
      for (const float inverse : {0.0f, exact_inverse(g.scale)}) {
        g.inverse = inverse;
        for_each_row<CodesU8Kernel>(check);
      }
    }
  }
}

TEST(CodesU8, QuantizeWithAMapAColumnRoundsAsDivisionDoes) {
  Rng rng(5);
  for (const std::int64_t cols : kSizes) {
    Guarded<float> scale(cols), inverse(cols);
    Guarded<std::int32_t> zero(cols);
    std::vector<float> reals;
    for (std::int64_t c = 0; c < cols; ++c) {
      // Few scales, since an inverse takes time to prove; one column without one is not asked for.
      do scale[c] = static_cast<float>(uniform(rng, 1, 20)) / 77.0f;
      while ((inverse[c] = exact_inverse(scale[c])) == 0);
      zero[c] = uniform(rng, 0, 2) * 127 + uniform(rng, 0, 1);
    }
    const auto hard = hard_reals(rng, 3.0f / 77.0f);
    const std::int64_t rows = 40, gap = 3;
    Guarded<float> x(rows * (cols + gap) - gap);
    for (auto& f : x.span()) f = hard[rng() % hard.size()];
    QuantizeColsArgs g{rows, cols, x.data(), cols + gap, scale.data(), inverse.data(), zero.data()};
    g.y_row_bytes = cols + gap;
    Guarded<std::uint8_t> want(rows * (cols + gap) - gap);
    g.y = want.data();
    codes_u8_ref().quantize_cols(g);
    for_each_row<CodesU8Kernel>([&](const CodesU8Kernel& k) {
      Guarded<std::uint8_t> got(rows * (cols + gap) - gap);
      g.y = got.data();
      k.quantize_cols(g);
      expect_equal(got, want);
    });
  }
}

TEST(CodesU8, AddAndMulEqualTheDefinition) {
  Rng rng(4);
  std::uint8_t table[256];
  for (auto& t : table) t = static_cast<std::uint8_t>(uniform(rng, 0, 255));
  for (const std::int64_t cols : kSizes)
    for (const std::int64_t rows : {1, 3})
      for (const std::int64_t gap : {0, 5})
        for (const Operand kind : {Operand::kSame, Operand::kScalar, Operand::kPerCol})
          for (int variant = 0; variant < 4; ++variant) {
            const std::int64_t pitch = cols + gap;
            const std::int64_t count = (rows - 1) * pitch + cols;
            Guarded<std::uint8_t> a(count, 64), b(count, 64);
            for (auto& v : a.span()) v = static_cast<std::uint8_t>(uniform(rng, 0, 255));
            for (auto& v : b.span()) v = static_cast<std::uint8_t>(uniform(rng, 0, 255));
            BinaryU8Args g;
            g.rows = rows;
            g.cols = cols;
            g.a = a.data();
            g.a_row_bytes = g.b_row_bytes = g.y_row_bytes = pitch;
            g.b = b.data();
            g.b_kind = kind;
            g.za = variant == 0 ? 0 : variant == 1 ? 255 : 121;
            g.zb = variant == 0 ? 255 : 7;
            g.ra = variant == 3 ? 1e9f : 0.4142f;
            g.rb = variant == 3 ? 3e8f : 1.7321f;
            g.codes = variant == 1 ? CodeLimits{20, 220, 50} : CodeLimits{0, 255, 128};
            g.lut = variant == 2 ? table : nullptr;
            for (const bool product : {false, true}) {
              if (product) g.ra = variant == 3 ? 1e9f : 0.0123f;
              Guarded<std::uint8_t> want(count);
              g.y = want.data();
              (product ? codes_u8_ref().mul : codes_u8_ref().add)(g);
              for_each_row<CodesU8Kernel>([&](const CodesU8Kernel& k) {
                Guarded<std::uint8_t> got(count);
                g.y = got.data();
                (product ? k.mul : k.add)(g);
                expect_equal(got, want);
              });
            }
          }
}

TEST(CodesU8, EncodeEqualsTheDefinition) {
  Rng rng(9);
  for (const std::int64_t rows : {1, 3})
    for (const std::int64_t cols : {1, 15, 16, 24, 63, 64, 65, 200})
      for (const std::int64_t gap : {0, 5})
        for (const bool per_col : {false, true})
          for (const bool residual : {false, true}) {
            const std::int64_t pitch = cols + gap;
            const std::int64_t count = (rows - 1) * pitch + cols;
            Guarded<float> x(count), a(per_col ? cols : 1), c(per_col ? cols : 1);
            Guarded<std::uint8_t> r(count, 64);
            for (auto& v : x.span()) v = static_cast<float>(uniform(rng, -3000, 3000)) * 0.125f;
            if (count > 4) {
              x.data()[1] = std::numeric_limits<float>::quiet_NaN();
              x.data()[2] = std::numeric_limits<float>::infinity();
              x.data()[3] = -1e30f;
            }
            for (auto& v : a.span()) v = static_cast<float>(uniform(rng, -40, 40)) * 0.25f;
            for (auto& v : c.span()) v = static_cast<float>(uniform(rng, -40, 40)) * 0.25f;
            for (auto& v : r.span()) v = static_cast<std::uint8_t>(uniform(rng, 0, 255));
            EncodeU8Args g;
            g.rows = rows;
            g.cols = cols;
            g.x = x.data();
            g.x_stride = g.r_row_bytes = g.y_row_bytes = pitch;
            g.a = a.data();
            g.c = c.data();
            g.per_col = per_col;
            g.r = residual ? r.data() : nullptr;
            g.r_zero = 77;
            g.r_ratio = 0.37f;
            g.codes = per_col ? CodeLimits{20, 220, 50} : CodeLimits{0, 255, 128};
            Guarded<std::uint8_t> want(count);
            g.y = want.data();
            codes_u8_ref().encode(g);
            for_each_row<CodesU8Kernel>([&](const CodesU8Kernel& k) {
              Guarded<std::uint8_t> got(count);
              g.y = got.data();
              k.encode(g);
              expect_equal(got, want);
            });
          }
}

TEST(CodesU8, SoftmaxEqualsTheDefinitionAndTheRealOne) {
  Rng rng(10);
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const std::int64_t rows : {1, 3, 4, 6})
    for (const std::int64_t cols : {1, 2, 15, 16, 17, 63, 64, 65, 128, 200})
      for (const std::int64_t gap : {0, 5})
        for (const float scale : {1.0f / 255.0f, 0.02f, 0x1p-100f, 0x1p100f})
          for (const int zero : {0, 100, 255}) {
            const std::int64_t pitch = cols + gap;
            const std::int64_t count = (rows - 1) * pitch + cols;
            std::vector<float> reals(static_cast<std::size_t>(count));
            for (auto& v : reals) v = static_cast<float>(uniform(rng, -6000, 3000)) * 0.002f;
            // A masked column, and rows of nothing but -inf, with an infinity and with a NaN.
            if (cols > 2) reals[2] = std::numeric_limits<float>::lowest();
            const auto row = [&](std::int64_t r) { return reals.data() + r * pitch; };
            if (rows >= 3) {
              std::fill_n(row(0), cols, -kInf);
              row(1)[cols / 2] = kInf;
              row(2)[cols - 1] = std::numeric_limits<float>::quiet_NaN();
            }
            const auto run = [&](const CodesU8Kernel& k, Guarded<std::uint8_t>& y) {
              Guarded<float> x(count);
              std::memcpy(x.data(), reals.data(), reals.size() * sizeof(float));
              k.softmax({rows, cols, x.data(), pitch, scale, zero, y.data(), pitch});
            };
            Guarded<std::uint8_t> want(count);
            run(codes_u8_ref(), want);
            for_each_row<CodesU8Kernel>([&](const CodesU8Kernel& k) {
              Guarded<std::uint8_t> got(count);
              run(k, got);
              expect_equal(got, want);
            });
            for (std::int64_t r = 0; r < rows; ++r) {
              double max = -HUGE_VAL, sum = 0;
              for (std::int64_t j = 0; j < cols; ++j)
                max = std::max(max, static_cast<double>(row(r)[j]));
              for (std::int64_t j = 0; j < cols; ++j)
                sum += std::exp(static_cast<double>(row(r)[j]) - max);
              for (std::int64_t j = 0; j < cols; ++j) {
                const int code = want[r * pitch + j];
                if (rows >= 3 && r < 3) {
                  EXPECT_EQ(code, zero);
                  continue;
                }
                const double t = std::exp(static_cast<double>(row(r)[j]) - max) / sum /
                                 static_cast<double>(scale);
                const double exact = std::min(t, 255.0 - zero) + zero;
                EXPECT_NEAR(code, exact, 0.5 + std::min(1.0, t * 0x1p-20));
              }
            }
          }
}

TEST(PoolU8, EqualsTheDefinition) {
  Rng rng(5);
  std::uint8_t table[256];
  for (auto& t : table) t = static_cast<std::uint8_t>(uniform(rng, 0, 255));
  struct Shape {
    int h, w, kernel, stride, pad, dilation, ceil;
  };
  for (const std::int64_t channels : {1, 15, 16, 17, 40, 64, 65, 130})
    for (const Shape& s :
         {Shape{7, 7, 7, 1, 0, 1, 0}, Shape{9, 8, 3, 2, 1, 1, 0}, Shape{9, 8, 3, 2, 1, 1, 1},
          Shape{5, 6, 2, 2, 0, 1, 1}, Shape{11, 9, 3, 1, 1, 2, 0}, Shape{13, 13, 5, 1, 2, 1, 0}})
      for (const bool include_pad : {false, true})
        for (const bool lut : {false, true}) {
          PoolU8Args a;
          a.channels = channels;
          WindowGeometry& g = a.window;
          g.in_h = s.h;
          g.in_w = s.w;
          g.kernel_h = g.kernel_w = s.kernel;
          g.stride_h = g.stride_w = s.stride;
          g.dilation_h = g.dilation_w = s.dilation;
          g.pad_top = g.pad_left = a.pad_bottom = a.pad_right = s.pad;
          const int reach = s.dilation * (s.kernel - 1) + 1;
          g.out_h = (s.h + 2 * s.pad - reach + s.ceil * (s.stride - 1)) / s.stride + 1;
          g.out_w = (s.w + 2 * s.pad - reach + s.ceil * (s.stride - 1)) / s.stride + 1;
          // Ceil mode drops windows that start in the padding behind the image.
          if ((g.out_h - 1) * s.stride >= s.h + s.pad) --g.out_h;
          if ((g.out_w - 1) * s.stride >= s.w + s.pad) --g.out_w;
          const std::int64_t pixel = channels + 3;
          a.in_pixel_bytes = pixel;
          a.in_row_bytes = pixel * s.w + 11;
          Guarded<std::uint8_t> in((s.h - 1) * a.in_row_bytes + (s.w - 1) * pixel + channels, 64);
          for (auto& v : in.span()) v = static_cast<std::uint8_t>(uniform(rng, 0, 255));
          a.in = in.data();
          a.out_pixel_bytes = channels + 1;
          a.out_row_bytes = (channels + 1) * g.out_w;
          const std::int64_t count =
              (g.out_h - 1) * a.out_row_bytes + (g.out_w - 1) * (channels + 1) + channels;
          a.za = 131;
          a.ratio = 0.9137;
          a.include_pad = include_pad;
          a.codes = CodeLimits{5, 250, 100};
          a.lut = lut ? table : nullptr;
          Guarded<std::uint8_t> want_max(count), want_average(count);
          a.row_end = g.out_h;
          a.out = want_max.data();
          pool_u8_ref().max(a);
          a.out = want_average.data();
          pool_u8_ref().average(a);
          for_each_row<PoolU8Kernel>([&](const PoolU8Kernel& k) {
            Guarded<std::uint8_t> got_max(count), got_average(count);
            Guarded<std::byte> scratch(static_cast<std::int64_t>(k.scratch_bytes(channels)), 0, 64);
            a.scratch = scratch.data();
            for (const bool first : {true, false}) {
              a.row_begin = first ? 0 : g.out_h / 2;
              a.row_end = first ? g.out_h / 2 : g.out_h;
              a.out = got_max.data();
              k.max(a);
              a.out = got_average.data();
              k.average(a);
            }
            expect_equal(got_max, want_max);
            expect_equal(got_average, want_average);
          });
          a.row_begin = 0;
        }
}

}  // namespace
}  // namespace intact
