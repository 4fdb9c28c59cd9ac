// Every row of window_f32 against the scalar row (bytes), that one against loops in double.
#include "kernels/window_f32.h"

#include <fmt/format.h>

#include "kernels/f32_test_util.h"
#include "kernels/rows_f32.h"

namespace intact {
namespace {

struct Problem {
  std::int64_t channels;
  WindowGeometry g;
  std::int32_t pad_bottom, pad_right;
  Inputs inputs = Inputs::kNormal;

  [[nodiscard]] std::string text() const {
    return fmt::format("c={} in={}x{} kernel={}x{} stride={}x{} dilation={}x{} pad={},{}", channels,
                       g.in_h, g.in_w, g.kernel_h, g.kernel_w, g.stride_h, g.stride_w, g.dilation_h,
                       g.dilation_w, g.pad_top, g.pad_left);
  }
};

Problem problem(std::int64_t channels, std::int64_t in, std::int32_t kernel, std::int32_t stride,
                std::int32_t dilation, std::int32_t pad, bool ceil = false) {
  Problem p{channels, {}, pad, pad};
  WindowGeometry& g = p.g;
  g.in_h = in, g.in_w = in + 2;
  g.kernel_h = kernel, g.kernel_w = kernel;
  g.stride_h = g.stride_w = stride;
  g.dilation_h = g.dilation_w = dilation;
  g.pad_top = g.pad_left = pad;
  const auto out = [&](std::int64_t n) {
    const std::int64_t room = n + 2 * pad - dilation * (kernel - 1) - 1 + (ceil ? stride - 1 : 0);
    return room / stride + 1;
  };
  g.out_h = out(g.in_h), g.out_w = out(g.in_w);
  return p;
}

std::vector<Problem> problems() {
  std::vector<Problem> all;
  for (const std::int64_t c : {1, 3, 7, 8, 9, 16, 17, 31, 32, 33, 65}) {
    all.push_back(problem(c, 7, 3, 1, 1, 1));
    all.push_back(problem(c, 9, 3, 2, 1, 1));
  }
  for (std::int64_t in = 1; in <= 14; ++in) {
    all.push_back(problem(18, in, 3, 1, 1, 1));
    all.push_back(problem(18, in, 3, 2, 1, 1));
    all.push_back(problem(18, in, 5, 1, 1, 2));
    all.push_back(problem(18, in, 5, 2, 1, 2));
  }
  all.push_back(problem(150, 40, 3, 1, 1, 1));  // Channels in several blocks.
  all.push_back(problem(80, 60, 3, 1, 1, 1));   // Rows in several bands.
  all.push_back(problem(20, 11, 5, 1, 1, 2));
  all.push_back(problem(20, 11, 3, 1, 2, 2));
  all.push_back(problem(20, 12, 2, 2, 1, 0));
  all.push_back(problem(20, 12, 3, 2, 1, 0, true));
  all.push_back(problem(20, 5, 7, 1, 1, 3));
  all.push_back(problem(5, 3, 5, 3, 2, 4));
  all.push_back(problem(24, 6, 6, 1, 1, 0));
  all.push_back(problem(37, 7, 3, 2, 1, 1));
  all.back().inputs = Inputs::kHard;
  return all;
}

enum class Kind { kDepthwise, kMax, kAverage, kAveragePadded };

class Operands {
 public:
  explicit Operands(const Problem& p)
      : p_(p),
        pixel_(p.channels + 3),
        row_(pixel_ * p.g.in_w + 1),
        out_pixel_(p.channels + 2),
        in_((p.g.in_h - 1) * row_ + (p.g.in_w - 1) * pixel_ + p.channels),
        weights_(p.g.kernel_h * p.g.kernel_w * p.channels),
        bias_(p.channels),
        residual_((p.g.out_h * p.g.out_w - 1) * out_pixel_ + p.channels) {
    fill(in_.span(), 1, p.inputs);
    fill(weights_.span(), 2, p.inputs);
    fill(bias_.span(), 3);
    fill(residual_.span(), 4);
  }

  std::vector<float> run(const WindowF32Kernel& k, Kind kind, std::int64_t row_step) const {
    Guarded<float> out((p_.g.out_h * p_.g.out_w - 1) * out_pixel_ + p_.channels);
    for (float& v : out.span()) v = -77.0f;
    WindowF32Args args{.channels = p_.channels,
                       .window = p_.g,
                       .in = in_.data(),
                       .in_row_stride = row_,
                       .in_pixel_stride = pixel_,
                       .out = out.data(),
                       .out_row_stride = out_pixel_ * p_.g.out_w,
                       .out_pixel_stride = out_pixel_};
    args.weights = weights_.data();
    args.epilogue = {.bias = bias_.data(),
                     .residual = residual_.data(),
                     .residual_stride = out_pixel_,
                     .lo = -1.0f,
                     .hi = 2.0f};
    args.include_pad = kind == Kind::kAveragePadded;
    args.pad_bottom = p_.pad_bottom;
    args.pad_right = p_.pad_right;
    for (std::int64_t r = 0; r < p_.g.out_h; r += row_step) {
      args.row_begin = r;
      args.row_end = std::min(p_.g.out_h, r + row_step);
      (kind == Kind::kDepthwise ? k.depthwise : kind == Kind::kMax ? k.max : k.average)(args);
    }
    return {out.span().begin(), out.span().end()};
  }

  void expect_near_exact(const std::vector<float>& got, Kind kind) const {
    const WindowGeometry& g = p_.g;
    for (std::int64_t oy = 0; oy < g.out_h; ++oy) {
      for (std::int64_t ox = 0; ox < g.out_w; ++ox) {
        const std::int64_t pixel = oy * g.out_w + ox;
        for (std::int64_t c = 0; c < p_.channels; ++c) {
          double sum = 0, magnitude = 0, max = -INFINITY;
          int taps = 0, padded = 0;
          for (std::int64_t ky = 0; ky < g.kernel_h; ++ky) {
            for (std::int64_t kx = 0; kx < g.kernel_w; ++kx) {
              const std::int64_t y = oy * g.stride_h + ky * g.dilation_h - g.pad_top;
              const std::int64_t x = ox * g.stride_w + kx * g.dilation_w - g.pad_left;
              padded += y < g.in_h + p_.pad_bottom && x < g.in_w + p_.pad_right;
              if (y < 0 || y >= g.in_h || x < 0 || x >= g.in_w) continue;
              ++taps;
              auto v = static_cast<double>(in_[y * row_ + x * pixel_ + c]);
              max = std::max(max, v);
              if (kind == Kind::kDepthwise)
                v *= static_cast<double>(weights_[(ky * g.kernel_w + kx) * p_.channels + c]);
              sum += v, magnitude += std::fabs(v);
            }
          }
          double want = max, bound = 0;
          if (kind == Kind::kDepthwise) {
            const auto bias = static_cast<double>(bias_[c]);
            const auto residual = static_cast<double>(residual_[pixel * out_pixel_ + c]);
            want = std::min(std::max(sum + bias + residual, -1.0), 2.0);
            bound = (taps + 2) * 0x1p-24 * (magnitude + std::fabs(bias) + std::fabs(residual));
          } else if (kind != Kind::kMax) {
            const double count = kind == Kind::kAverage ? taps : padded;
            want = sum / count;
            bound = (taps + 1) * 0x1p-24 * magnitude / count;
          }
          ASSERT_NEAR(static_cast<double>(got[static_cast<std::size_t>(pixel * out_pixel_ + c)]),
                      want, bound)
              << p_.text() << " kind " << static_cast<int>(kind) << " at " << oy << ", " << ox;
        }
      }
    }
  }

 private:
  Problem p_;
  std::ptrdiff_t pixel_, row_, out_pixel_;
  Guarded<float> in_, weights_, bias_, residual_;
};

constexpr Kind kKinds[] = {Kind::kDepthwise, Kind::kMax, Kind::kAverage, Kind::kAveragePadded};

TEST(WindowF32, ScalarRowIsNearTheExactLoops) {
  for (const Problem& p : problems()) {
    if (p.inputs == Inputs::kHard) continue;
    const Operands operands(p);
    for (const Kind kind : kKinds) {
      // A pooling window must hold a pixel of the image; this one has windows that do not.
      if (kind != Kind::kDepthwise && p.g.pad_top >= p.g.kernel_h - 1) continue;
      operands.expect_near_exact(
          operands.run(*rows_here<WindowF32Kernel>().back(), kind, p.g.out_h), kind);
    }
  }
}

TEST(WindowF32, EveryRowGivesTheBytesOfTheScalarRow) {
  const auto rows = rows_here<WindowF32Kernel>();
  for (const Problem& p : problems()) {
    const Operands operands(p);
    for (const Kind kind : kKinds) {
      const auto want = operands.run(*rows.back(), kind, p.g.out_h);
      for (const WindowF32Kernel* row : rows) {
        for (const std::int64_t step : {p.g.out_h, std::int64_t{1}})
          expect_same_bytes(
              operands.run(*row, kind, step), want,
              fmt::format("{} kind {} {}", row->name, static_cast<int>(kind), p.text()));
      }
    }
  }
}

TEST(WindowF32, GlobalAverageIsTheMeanOverPixels) {
  const std::int64_t h = 7, w = 5, c = 21;
  std::vector<float> in(static_cast<std::size_t>(h * w * c)), pooled(21), mean(21);
  fill(in, 9);
  for (const WindowF32Kernel* row : rows_here<WindowF32Kernel>()) {
    WindowF32Args args{.channels = c,
                       .in = in.data(),
                       .in_row_stride = w * c,
                       .in_pixel_stride = c,
                       .out = pooled.data(),
                       .out_row_stride = c,
                       .out_pixel_stride = c,
                       .row_end = 1};
    args.window.in_h = h, args.window.in_w = w, args.window.out_h = args.window.out_w = 1;
    args.window.kernel_h = h, args.window.kernel_w = w;
    row->average(args);
    select_kernel<RowsF32Kernel>(row->isa).reduce_first({.op = ReduceOp::kMean,
                                                         .rows = h * w,
                                                         .cols = c,
                                                         .x = in.data(),
                                                         .x_stride = c,
                                                         .y = mean.data()});
    expect_same_bytes(pooled, mean, std::string(row->name));
  }
}

}  // namespace
}  // namespace intact
