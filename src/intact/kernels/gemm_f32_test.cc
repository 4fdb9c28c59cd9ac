// Every row of gemm_f32 against the scalar row (bytes) and that one against sums in double.
#include "kernels/gemm_f32.h"

#include <fmt/format.h>

#include "kernels/f32_test_util.h"

namespace intact {
namespace {

struct Problem {
  std::int64_t m, n, taps, k_per_tap;
  bool transposed_b = false;
  bool bias = true;
  bool residual = false;
  bool clamp = false;
  Inputs inputs = Inputs::kNormal;

  [[nodiscard]] GemmShape shape() const { return {.n = n, .taps = taps, .k_per_tap = k_per_tap}; }
  [[nodiscard]] std::string text() const {
    return fmt::format("m={} n={} taps={} k_per_tap={} transposed={} bias={} residual={} hard={}",
                       m, n, taps, k_per_tap, transposed_b, bias, residual,
                       inputs == Inputs::kHard);
  }
};

// All operands end at guard pages; rows of A, C and residual have gaps between them.
class Operands {
 public:
  explicit Operands(const Problem& p)
      : problem_(p),
        k_(p.taps * p.k_per_tap),
        a_stride_(k_ + 3),
        out_stride_(p.n + 5),
        a_((p.m - 1) * a_stride_ + k_),
        b_(k_ * p.n),
        bias_(p.n),
        residual_((p.m - 1) * out_stride_ + p.n) {
    fill(a_.span(), 1, p.inputs);
    fill(b_.span(), 2, p.inputs);
    fill(bias_.span(), 3, p.inputs);
    fill(residual_.span(), 4, p.inputs);
    // The same A as a table: tap t of row m is a run of row m.
    for (std::int64_t t = 0; t < p.taps; ++t)
      for (std::int64_t m = 0; m < p.m; ++m)
        table_.push_back(a_.data() + m * a_stride_ + t * p.k_per_tap - 2);  // row_offset is 2.
  }

  [[nodiscard]] GemmF32Source source() const {
    const auto n = static_cast<std::ptrdiff_t>(problem_.n);
    if (problem_.transposed_b)
      return {.b = b_.data(), .tap_stride = problem_.k_per_tap, .k_stride = 1, .n_stride = k_};
    return {.b = b_.data(), .tap_stride = problem_.k_per_tap * n, .k_stride = n, .n_stride = 1};
  }
  [[nodiscard]] double b_at(std::int64_t k, std::int64_t n) const {
    return static_cast<double>(problem_.transposed_b ? b_[n * k_ + k] : b_[k * problem_.n + n]);
  }

  // C with `gap` between rows, computed in the given pieces.
  std::vector<float> run(const GemmF32Kernel& kernel, std::int64_t row_step,
                         std::int64_t panel_step, bool indirect) const {
    const Problem& p = problem_;
    Guarded<float> packed(packed_elems_f32(p.shape()), 0, 64);
    const std::int64_t panels = panels_of(p.n);
    for (std::int64_t i = 0; i < panels; i += panel_step)
      kernel.pack_b(p.shape(), source(), i, std::min(panels, i + panel_step), packed.data());
    Guarded<float> out((p.m - 1) * out_stride_ + p.n);
    for (float& v : out.span()) v = -77.0f;
    GemmF32Args args{
        .shape = p.shape(), .packed = packed.data(), .out = out.data(), .out_stride = out_stride_};
    if (indirect) {
      args.rows = table_.data();
      args.rows_stride = p.m;
      args.row_offset = 2;
    } else {
      args.a = a_.data();
      args.a_stride = a_stride_;
    }
    if (p.bias) args.epilogue.bias = bias_.data();
    if (p.residual) args.epilogue.residual = residual_.data();
    args.epilogue.residual_stride = out_stride_;
    if (p.clamp) args.epilogue.lo = 0.0f, args.epilogue.hi = 6.0f;
    for (std::int64_t i = 0; i < panels; i += panel_step) {
      for (std::int64_t r = 0; r < p.m; r += row_step) {
        args.row_begin = r;
        args.row_end = std::min(p.m, r + row_step);
        args.panel_begin = i;
        args.panel_end = std::min(panels, i + panel_step);
        kernel.run(args);
      }
    }
    return {out.span().begin(), out.span().end()};
  }

  // |got - exact| <= (k + 3) eps (sum |a b| + |bias| + |residual|): one rounding an operation.
  void expect_near_exact(const std::vector<float>& got) const {
    const Problem& p = problem_;
    for (std::int64_t m = 0; m < p.m; ++m) {
      for (std::int64_t n = 0; n < p.n; ++n) {
        double sum = 0.0, magnitude = 0.0;
        const auto add = [&](double v) { sum += v, magnitude += std::fabs(v); };
        for (std::int64_t k = 0; k < k_; ++k)
          add(static_cast<double>(a_[m * a_stride_ + k]) * b_at(k, n));
        if (p.bias) add(static_cast<double>(bias_[n]));
        if (p.residual) add(static_cast<double>(residual_[m * out_stride_ + n]));
        if (p.clamp) sum = std::min(std::max(sum, 0.0), 6.0);
        const double bound = static_cast<double>(k_ + 3) * 0x1p-24 * magnitude + 1e-44;
        ASSERT_NEAR(static_cast<double>(got[static_cast<std::size_t>(m * out_stride_ + n)]), sum,
                    bound)
            << p.text() << " at " << m << ", " << n;
      }
      if (m + 1 == p.m) continue;
      for (std::int64_t n = p.n; n < out_stride_; ++n)
        ASSERT_EQ(got[static_cast<std::size_t>(m * out_stride_ + n)], -77.0f) << p.text();
    }
  }

 private:
  Problem problem_;
  std::int64_t k_;
  std::ptrdiff_t a_stride_, out_stride_;
  Guarded<float> a_, b_, bias_, residual_;
  std::vector<const float*> table_;
};

std::vector<Problem> problems() {
  std::vector<Problem> all;
  for (const std::int64_t m : {1, 2, 5, 6, 7, 8, 9, 23})
    for (const std::int64_t n : {1, 15, 16, 17, 24, 31, 40, 48, 49, 56, 67})
      all.push_back({.m = m, .n = n, .taps = 1, .k_per_tap = 13, .transposed_b = (m + n) % 2 == 0});
  all.push_back({.m = 7, .n = 19, .taps = 1, .k_per_tap = 1});
  all.push_back({.m = 7, .n = 19, .taps = 1, .k_per_tap = 0});
  all.push_back({.m = 70, .n = 50, .taps = 1, .k_per_tap = 257, .residual = true, .clamp = true});
  all.push_back({.m = 40, .n = 33, .taps = 1, .k_per_tap = 2049, .bias = false});
  all.push_back({.m = 29, .n = 21, .taps = 9, .k_per_tap = 3, .residual = true});
  all.push_back(
      {.m = 29, .n = 21, .taps = 9, .k_per_tap = 17, .transposed_b = true, .clamp = true});
  all.push_back({.m = 21, .n = 24, .taps = 3, .k_per_tap = 7, .residual = true, .clamp = true});
  all.push_back({.m = 9, .n = 46, .taps = 1, .k_per_tap = 40, .transposed_b = true});
  all.push_back({.m = 13, .n = 37, .taps = 1, .k_per_tap = 5, .inputs = Inputs::kHard});
  all.push_back({.m = 13, .n = 24, .taps = 1, .k_per_tap = 5, .inputs = Inputs::kHard});
  all.push_back({.m = 13,
                 .n = 37,
                 .taps = 3,
                 .k_per_tap = 2,
                 .residual = true,
                 .clamp = true,
                 .inputs = Inputs::kHard});
  return all;
}

TEST(GemmF32, ScalarRowIsNearTheExactSums) {
  for (const Problem& p : problems()) {
    if (p.inputs == Inputs::kHard) continue;
    const Operands operands(p);
    operands.expect_near_exact(
        operands.run(*rows_here<GemmF32Kernel>().back(), p.m, panels_of(p.n), p.taps > 1));
  }
}

TEST(GemmF32, EveryRowGivesTheBytesOfTheScalarRow) {
  const auto rows = rows_here<GemmF32Kernel>();
  for (const Problem& p : problems()) {
    const Operands operands(p);
    const auto want = operands.run(*rows.back(), p.m, panels_of(p.n), p.taps > 1);
    for (const GemmF32Kernel* row : rows)
      expect_same_bytes(operands.run(*row, p.m, panels_of(p.n), p.taps > 1), want,
                        fmt::format("{} {}", row->name, p.text()));
  }
}

TEST(GemmF32, BytesDoNotDependOnTheDivisionAmongThreads) {
  const Problem p{.m = 47, .n = 117, .taps = 1, .k_per_tap = 61, .residual = true};
  const Operands operands(p);
  for (const GemmF32Kernel* row : rows_here<GemmF32Kernel>()) {
    const auto want = operands.run(*row, p.m, panels_of(p.n), false);
    for (const std::int64_t row_step : {1, 4, 11, 24})
      for (const std::int64_t panel_step : {1, 2, 3, 5})
        expect_same_bytes(
            operands.run(*row, row_step, panel_step, false), want,
            fmt::format("{} in pieces of {} rows, {} panels", row->name, row_step, panel_step));
  }
}

TEST(GemmF32, IndirectRowsGiveTheBytesOfStridedRows) {
  const Problem strided{.m = 31, .n = 40, .taps = 1, .k_per_tap = 60};
  const Problem taps{.m = 31, .n = 40, .taps = 5, .k_per_tap = 12};
  for (const GemmF32Kernel* row : rows_here<GemmF32Kernel>())
    expect_same_bytes(Operands(taps).run(*row, 31, 3, true),
                      Operands(strided).run(*row, 31, 3, false), std::string(row->name));
}

TEST(GemmF32, ClampKeepsNan) {
  for (const GemmF32Kernel* row : rows_here<GemmF32Kernel>()) {
    alignas(64) float packed[16] = {1.0f};
    const float a[] = {kNanF, -3.0f, 9.0f};
    float out[3] = {};
    GemmF32Args args{.shape = {.n = 1, .taps = 1, .k_per_tap = 1},
                     .a = a,
                     .a_stride = 1,
                     .packed = packed,
                     .out = out,
                     .out_stride = 1,
                     .row_end = 3,
                     .panel_end = 1};
    args.epilogue.lo = 0.0f;
    args.epilogue.hi = 6.0f;
    row->run(args);
    EXPECT_EQ(bits_of(out[0]), 0x7fc00000u) << row->name;
    EXPECT_EQ(out[1], 0.0f) << row->name;
    EXPECT_EQ(out[2], 6.0f) << row->name;
  }
}

}  // namespace
}  // namespace intact
