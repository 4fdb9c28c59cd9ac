// Every row of the depthwise table against the definition (dwconv_u8s8_ref.cc), and the row
// pointers of implicit-GEMM convolution against the geometry's own formula.
#include "kernels/dwconv_u8s8.h"

#include <gtest/gtest.h>

#include <cstdlib>
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

struct Case {
  std::int64_t channels = 1;
  std::int64_t h = 7, w = 9;
  int kernel_h = 3, kernel_w = 3, stride = 1, dilation = 1, pad = 1;
  int za = 121;
  int weights = 0;  // 0 random, 1: all 127, 2: all -128.
  int codes = -1;   // -1 random.
  EpilogueKind kind = EpilogueKind::kCodes;
  Residual residual = Residual::kNone;
  bool lut = false, views = false, narrow_limits = false;
  std::optional<UnaryF32> function = std::nullopt;
  Rounding rounding = Rounding::kOnce;
  bool zero_c = false;      // c = 0, as with an int32 bias.
  bool huge_scale = false;  // m[0] overflows int32 after scaling: the clamp must come first.
};

std::string describe(const Case& c) {
  return "c=" + std::to_string(c.channels) + " " + std::to_string(c.h) + "x" + std::to_string(c.w) +
         " kernel=" + std::to_string(c.kernel_h) + "x" + std::to_string(c.kernel_w) +
         " stride=" + std::to_string(c.stride) + " dilation=" + std::to_string(c.dilation) +
         " pad=" + std::to_string(c.pad) + " kind=" + std::to_string(int(c.kind)) +
         " residual=" + std::to_string(int(c.residual)) +
         " function=" + std::to_string(c.function ? int(c.function->op) : -1) +
         " rounding=" + std::to_string(int(c.rounding));
}

void check(const Case& c) {
  Rng rng(7);
  DwconvShape s;
  s.channels = c.channels;
  WindowGeometry& g = s.window;
  g.in_h = c.h;
  g.in_w = c.w;
  g.kernel_h = c.kernel_h;
  g.kernel_w = c.kernel_w;
  g.stride_h = g.stride_w = c.stride;
  g.dilation_h = g.dilation_w = c.dilation;
  g.pad_top = g.pad_left = c.pad;
  g.out_h = (c.h + 2 * c.pad - c.dilation * (c.kernel_h - 1) - 1) / c.stride + 1;
  g.out_w = (c.w + 2 * c.pad - c.dilation * (c.kernel_w - 1) - 1) / c.stride + 1;
  ASSERT_GT(g.out_h, 0);
  ASSERT_GT(g.out_w, 0);

  const std::int64_t gap = c.views ? 3 : 0;
  const std::int64_t pixel = c.channels + gap;
  const std::int64_t row = pixel * c.w + gap;
  Guarded<std::uint8_t> in((c.h - 1) * row + (c.w - 1) * pixel + c.channels, 64);
  for (auto& x : in.span())
    x = static_cast<std::uint8_t>(c.codes >= 0 ? c.codes : uniform(rng, 0, 255));
  Guarded<std::uint8_t> pad(c.channels, 64);
  for (auto& x : pad.span()) x = static_cast<std::uint8_t>(c.za);
  const std::int64_t taps = std::int64_t{c.kernel_h} * c.kernel_w;
  Guarded<std::int8_t> w(c.channels * taps);
  for (auto& x : w.span())
    x = static_cast<std::int8_t>(c.weights == 1   ? 127
                                 : c.weights == 2 ? -128
                                                  : uniform(rng, -128, 127));
  const std::int64_t n16 = (c.channels + 15) / 16 * 16;
  Guarded<std::int32_t> bias(c.channels);
  Guarded<float> m(n16), cc(n16), g_m(n16), g_c(n16);
  for (auto& b : bias.span()) b = uniform(rng, -5000, 5000);
  for (auto& x : m.span()) x = static_cast<float>(uniform(rng, 500, 1500)) / 2e5f;
  for (auto& x : cc.span())
    x = c.zero_c ? 0.0f : static_cast<float>(uniform(rng, -300, 300)) / 7.0f;
  for (auto& x : g_m.span()) x = static_cast<float>(uniform(rng, -500, 1500)) / 1e3f;
  for (auto& x : g_c.span()) x = static_cast<float>(uniform(rng, -300, 300)) / 7.0f;
  Guarded<float> steps(4 * n16);
  for (auto& x : steps.span()) x = static_cast<float>(uniform(rng, 500, 1500)) / 997.0f;
  if (c.huge_scale) m[0] = 1e6f;
  const DwconvWeights weights{.w = w.data(),
                              .channel_bytes = taps,
                              .y_bytes = c.kernel_w,
                              .x_bytes = 1,
                              .bias = bias.data(),
                              .za = c.za};
  std::uint8_t table[256];
  for (auto& t : table) t = static_cast<std::uint8_t>(uniform(rng, 0, 255));
  Guarded<std::uint8_t> residual(g.out_h * g.out_w * (c.channels + 1), 64);
  for (auto& x : residual.span()) x = static_cast<std::uint8_t>(uniform(rng, 0, 255));
  Guarded<float> reals(g.out_h * g.out_w * c.channels);
  for (auto& x : reals.span()) x = static_cast<float>(uniform(rng, -900, 900)) / 7.0f;
  const bool real = c.residual == Residual::kReal;

  const int element = c.kind == EpilogueKind::kCodes ? 1 : 4;
  const std::int64_t out_pixel = (c.channels + gap) * element;
  const std::int64_t out_row = out_pixel * g.out_w + gap * element;
  const std::int64_t out_bytes =
      (g.out_h - 1) * out_row + (g.out_w - 1) * out_pixel + c.channels * element;
  const auto run = [&](const DwconvU8S8Kernel& kernel, Guarded<std::byte>& out,
                       std::int64_t row_begin, std::int64_t row_end, std::int64_t channel_begin,
                       std::int64_t channel_end) {
    Guarded<std::byte> packed(static_cast<std::int64_t>(kernel.packed_bytes(s)), 0, 64);
    Guarded<std::byte> scratch(static_cast<std::int64_t>(kernel.scratch_bytes(s)), 0, 64);
    kernel.pack(s, weights, packed.data());
    DwconvU8S8Args a;
    a.shape = s;
    a.in = in.data();
    a.in_row_bytes = row;
    a.in_pixel_bytes = pixel;
    a.pad = pad.data();
    a.packed = packed.data();
    a.out = out.data();
    a.out_row_bytes = out_row;
    a.out_pixel_bytes = out_pixel;
    a.epilogue.kind = c.kind;
    a.epilogue.residual = c.residual;
    a.epilogue.m = m.data();
    a.epilogue.c = cc.data();
    a.epilogue.function = c.function;
    a.epilogue.g_m = g_m.data();
    a.epilogue.g_c = g_c.data();
    put_rounding(c.rounding, steps.data(), n16, a.epilogue);
    a.epilogue.codes = c.narrow_limits ? CodeLimits{37, 200, 64} : CodeLimits{0, 255, 117};
    a.epilogue.first = c.narrow_limits ? CodeLimits{3, 250, 3} : CodeLimits{0, 255, 130};
    a.epilogue.first_ratio = 0.577f;
    a.epilogue.lut = c.lut ? table : nullptr;
    a.epilogue.r = c.residual == Residual::kNone ? nullptr
                   : real ? reinterpret_cast<const std::uint8_t*>(reals.data())
                          : residual.data();
    a.epilogue.r_row_bytes = real ? 4 * c.channels : c.channels + 1;
    a.epilogue.r_zero = 99;
    a.epilogue.r_ratio = 0.731f;
    a.row_begin = row_begin;
    a.row_end = row_end;
    a.channel_begin = channel_begin;
    a.channel_end = channel_end;
    a.scratch = scratch.data();
    kernel.run(a);
  };
  Guarded<std::byte> want(out_bytes, 0, 4);
  run(dwconv_u8s8_int64(), want, 0, g.out_h, 0, c.channels);
  for (const DwconvU8S8Kernel* kernel : kernel_rows<DwconvU8S8Kernel>()) {
    if (!isa_covers(detect_isa(), kernel->isa)) continue;
    SCOPED_TRACE(std::string(kernel->name) + " " + describe(c));
    Guarded<std::byte> got(out_bytes, 0, 4);
    run(*kernel, got, 0, g.out_h / 3, 0, c.channels);
    for (std::int64_t first = 0; first < c.channels; first += kDwconvChannels)
      run(*kernel, got, g.out_h / 3, g.out_h, first, first + kDwconvChannels);
    for (std::int64_t i = 0; i < out_bytes; ++i)
      ASSERT_EQ(int(got[i]), int(want[i]))
          << "row " << i / out_row << " pixel " << i % out_row / out_pixel << " byte "
          << i % out_row % out_pixel;
  }
}

TEST(DwconvU8S8, EqualsReferenceAroundEveryBlockEdge) {
  for (const std::int64_t channels :
       {1, 7, 8, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 72, 95, 96, 97, 128, 144, 161})
    for (const int kernel : {3, 5})
      for (const int stride : {1, 2})
        for (const bool zero_c : {false, true})
          check({.channels = channels,
                 .kernel_h = kernel,
                 .kernel_w = kernel,
                 .stride = stride,
                 .pad = kernel / 2,
                 .zero_c = zero_c});
}

TEST(DwconvU8S8, EqualsReferenceForEveryImageEdge) {
  for (const std::int64_t h : {1, 2, 3, 6})
    for (const std::int64_t w : {1, 2, 3, 4, 5, 11})
      for (const int kernel : {3, 5})
        for (const int stride : {1, 2, 3})
          for (const int pad : {kernel / 2, kernel - 1})
            check({.channels = 40,
                   .h = h,
                   .w = w,
                   .kernel_h = kernel,
                   .kernel_w = kernel,
                   .stride = stride,
                   .pad = pad});
}

// Few channels at stride 1: a block holds several pixels, unless there are gaps between them.
TEST(DwconvU8S8, EqualsReferenceForSeveralPixelsABlock) {
  for (const std::int64_t channels : {1, 2, 3, 5, 8, 11, 16})
    for (const std::int64_t w : {1, 2, 5, 8, 9, 17, 40, 70})
      for (const int kernel : {3, 5})
        for (const int pad : {0, kernel / 2, kernel - 1})
          for (const bool views : {false, true})
            for (const int finish : {0, 1, 2, 3, 4, 5, 6}) {
              if (w + 2 * pad < kernel) continue;
              Case c{.channels = channels, .h = 6, .w = w};
              c.kernel_h = c.kernel_w = kernel;
              c.pad = pad;
              c.views = views;
              c.zero_c = finish == 0;
              c.lut = finish == 1;
              if (finish == 2) c.function = UnaryF32{UnaryOp::kHardSwish, 0.3f, 0.5f};
              if (finish >= 5) {
                c.function = UnaryF32{finish == 5 ? UnaryOp::kHardSwish : UnaryOp::kHardSwish6};
                c.rounding = Rounding::kApart;
              }
              if (finish == 3) c.residual = Residual::kAfterCode;
              if (finish == 4) c.kind = EpilogueKind::kFloat;
              check(c);
            }
}

TEST(DwconvU8S8, TakesAnyWindow) {
  for (const int kernel_h : {1, 2, 3, 4, 6, 7})
    for (const int kernel_w : {1, 3, 7})
      for (const int dilation : {1, 2})
        for (const int stride : {1, 2})
          check({.channels = 70,
                 .h = 15,
                 .w = 16,
                 .kernel_h = kernel_h,
                 .kernel_w = kernel_w,
                 .stride = stride,
                 .dilation = dilation,
                 .pad = 2});
}

TEST(DwconvU8S8, IsExactAtTheExtremes) {
  for (const int weights : {1, 2})
    for (const int codes : {0, 255})
      for (const int za : {0, 128, 255})
        for (const auto kind : {EpilogueKind::kRaw, EpilogueKind::kCodes})
          for (const int kernel : {3, 5})
            check({.channels = 33,
                   .kernel_h = kernel,
                   .kernel_w = kernel,
                   .za = za,
                   .weights = weights,
                   .codes = codes,
                   .kind = kind});
}

TEST(DwconvU8S8, AppliesEveryEpilogue) {
  for (const std::int64_t channels : {5, 32, 40, 100})
    for (const bool views : {false, true})
      for (const bool narrow : {false, true}) {
        Case c{.channels = channels};
        c.views = views;
        c.narrow_limits = narrow;
        for (const bool lut : {false, true}) {
          c.lut = lut;
          c.huge_scale = lut == narrow;
          for_each_ending(c, check);
        }
        c.lut = false;
        c.residual = Residual::kNone;
        c.kind = EpilogueKind::kFloat;
        check(c);
        c.kind = EpilogueKind::kRaw;
        check(c);
      }
}

TEST(FillConvRows, PointsAtTheFormulasPixels) {
  std::vector<std::uint8_t> image(4096);
  const std::uint8_t pad = 0;
  for (const int stride : {1, 2, 3})
    for (const int dilation : {1, 2})
      for (const int kernel : {1, 3, 4})
        for (const int padding : {0, 1, 5}) {
          WindowGeometry g{.in_h = 6, .in_w = 7};
          g.kernel_h = kernel;
          g.kernel_w = kernel;
          g.stride_h = g.stride_w = stride;
          g.dilation_h = g.dilation_w = dilation;
          g.pad_top = g.pad_left = padding;
          g.out_h = (6 + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
          g.out_w = (7 + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
          if (g.out_h <= 0 || g.out_w <= 0) continue;
          const std::int64_t pixels = g.out_h * g.out_w;
          for (const std::int64_t begin : {std::int64_t{0}, pixels / 3}) {
            const std::int64_t count = pixels - begin;
            std::vector<const std::uint8_t*> rows(
                static_cast<std::size_t>(kernel * kernel * count));
            fill_conv_rows(g, image.data(), 100, 10, &pad, begin, pixels, rows.data(), count);
            for (int ky = 0; ky < kernel; ++ky)
              for (int kx = 0; kx < kernel; ++kx)
                for (std::int64_t p = begin; p < pixels; ++p) {
                  const std::int64_t iy = p / g.out_w * stride + ky * dilation - padding;
                  const std::int64_t ix = p % g.out_w * stride + kx * dilation - padding;
                  const bool inside = iy >= 0 && iy < 6 && ix >= 0 && ix < 7;
                  const std::uint8_t* want = inside ? image.data() + iy * 100 + ix * 10 : &pad;
                  const auto at = static_cast<std::size_t>((ky * kernel + kx) * count + p - begin);
                  ASSERT_EQ(rows[at], want);
                }
          }
        }
}

}  // namespace
}  // namespace intact
