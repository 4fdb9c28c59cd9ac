// Every row of the Winograd table against the definition of convolution: the int64 matrix product
// over the row pointers of the same window.
#include "kernels/wino43_u8s8.h"

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
  std::int64_t in_channels = 1, out_channels = 1;
  std::int64_t h = 8, w = 8;
  int pad = 1;
  int za = 121;
  int weights = 0;  // 0 random, 1: all 127, 2: all -128, 3: 127 and -128 in turn.
  int codes = -1;   // -1 random, 256: 0 and 255 in turn.
  EpilogueKind kind = EpilogueKind::kCodes;
  Residual residual = Residual::kNone;
  bool lut = false, views = false, narrow_limits = false;
  std::optional<UnaryF32> function = std::nullopt;
  Rounding rounding = Rounding::kOnce;
  bool huge_scale = false;  // m[0] overflows int32 after scaling: the clamp must come first.
  bool n_contiguous = false;
};

std::string describe(const Case& c) {
  return std::to_string(c.in_channels) + " to " + std::to_string(c.out_channels) + " channels, " +
         std::to_string(c.h) + "x" + std::to_string(c.w) + " pad=" + std::to_string(c.pad) +
         " za=" + std::to_string(c.za) + " weights=" + std::to_string(c.weights) +
         " kind=" + std::to_string(int(c.kind)) + " residual=" + std::to_string(int(c.residual)) +
         " function=" + std::to_string(c.function ? int(c.function->op) : -1) +
         " rounding=" + std::to_string(int(c.rounding));
}

void check(const Case& c) {
  Rng rng(7);
  Wino43Shape s{c.in_channels, c.out_channels, {}};
  WindowGeometry& g = s.window;
  g.in_h = c.h;
  g.in_w = c.w;
  g.kernel_h = g.kernel_w = 3;
  g.pad_top = g.pad_left = c.pad;
  g.out_h = c.h + 2 * c.pad - 2;
  g.out_w = c.w + 2 * c.pad - 2;
  ASSERT_TRUE(wino43_takes(g));

  const std::int64_t gap = c.views ? 3 : 0;
  const std::int64_t in_pixel = c.in_channels + gap;
  const std::int64_t in_row = in_pixel * c.w + gap;
  Guarded<std::uint8_t> in((c.h - 1) * in_row + (c.w - 1) * in_pixel + c.in_channels, 64);
  for (std::size_t i = 0; i < in.size(); ++i)
    in[static_cast<std::int64_t>(i)] =
        static_cast<std::uint8_t>(c.codes == 256 ? (i % 3 == 0 ? 255 : 0)
                                  : c.codes >= 0 ? c.codes
                                                 : uniform(rng, 0, 255));
  Guarded<std::uint8_t> pad(c.in_channels, 64);
  for (auto& x : pad.span()) x = static_cast<std::uint8_t>(c.za);
  const std::int64_t k = 9 * c.in_channels;
  Guarded<std::int8_t> w(c.out_channels * k);
  for (std::size_t i = 0; i < w.size(); ++i)
    w[static_cast<std::int64_t>(i)] =
        static_cast<std::int8_t>(c.weights == 1   ? 127
                                 : c.weights == 2 ? -128
                                 : c.weights == 3 ? (i % 2 == 0 ? 127 : -128)
                                                  : uniform(rng, -128, 127));
  const GemmBSource source{.b = w.data(),
                           .tap_bytes = c.n_contiguous ? c.in_channels * c.out_channels : 1,
                           .k_bytes = c.n_contiguous ? c.out_channels : 9,
                           .n_bytes = c.n_contiguous ? 1 : k};
  const std::int64_t n16 = padded_n(c.out_channels);
  Guarded<std::int32_t> bias(n16);
  Guarded<float> m(n16), cc(n16), g_m(n16), g_c(n16);
  for (auto& b : bias.span()) b = uniform(rng, -5000, 5000);
  for (auto& x : m.span()) x = static_cast<float>(uniform(rng, 500, 1500)) / 2e6f;
  for (auto& x : cc.span()) x = static_cast<float>(uniform(rng, -300, 300)) / 7.0f;
  Guarded<float> steps(4 * n16);
  for (auto& x : steps.span()) x = static_cast<float>(uniform(rng, 500, 1500)) / 997.0f;
  for (auto& x : g_m.span()) x = static_cast<float>(uniform(rng, -500, 1500)) / 1e3f;
  for (auto& x : g_c.span()) x = static_cast<float>(uniform(rng, -300, 300)) / 7.0f;
  if (c.huge_scale) m[0] = 1e6f;
  std::uint8_t table[256];
  for (auto& t : table) t = static_cast<std::uint8_t>(uniform(rng, 0, 255));
  const std::int64_t pixels = g.out_h * g.out_w;
  Guarded<std::uint8_t> residual(pixels * (c.out_channels + 1), 64);
  for (auto& x : residual.span()) x = static_cast<std::uint8_t>(uniform(rng, 0, 255));
  Guarded<float> reals(pixels * c.out_channels);
  for (auto& x : reals.span()) x = static_cast<float>(uniform(rng, -900, 900)) / 7.0f;
  const bool real = c.residual == Residual::kReal;
  Epilogue e;
  e.kind = c.kind;
  e.residual = c.residual;
  e.m = m.data();
  e.c = cc.data();
  e.function = c.function;
  e.g_m = g_m.data();
  e.g_c = g_c.data();
  put_rounding(c.rounding, steps.data(), n16, e);
  e.codes = c.narrow_limits ? CodeLimits{37, 200, 64} : CodeLimits{0, 255, 117};
  e.first = c.narrow_limits ? CodeLimits{3, 250, 3} : CodeLimits{0, 255, 130};
  e.first_ratio = 0.577f;
  e.lut = c.lut ? table : nullptr;
  e.r = c.residual == Residual::kNone ? nullptr
        : real                        ? reinterpret_cast<const std::uint8_t*>(reals.data())
                                      : residual.data();
  e.r_row_bytes = real ? 4 * c.out_channels : c.out_channels + 1;
  e.r_zero = 99;
  e.r_ratio = 0.731f;
  const int element = c.kind == EpilogueKind::kCodes ? 1 : 4;
  const std::int64_t out_pixel = (c.out_channels + gap) * element;

  // The definition. Rows of pixels lie without a gap in it.
  const auto bytes_of = [&](std::int64_t row_gap) {
    return (g.out_h - 1) * (out_pixel * g.out_w + row_gap) + (g.out_w - 1) * out_pixel +
           c.out_channels * element;
  };
  Guarded<std::byte> want(bytes_of(0), 0, 4);
  {
    const GemmU8S8Kernel& direct = gemm_u8s8_int64();
    const GemmShape shape{.n = c.out_channels, .taps = 9, .k_per_tap = c.in_channels};
    std::vector<const std::uint8_t*> rows(static_cast<std::size_t>(9 * pixels));
    fill_conv_rows(g, in.data(), in_row, in_pixel, pad.data(), 0, pixels, rows.data(), pixels);
    Guarded<std::int8_t> packed(static_cast<std::int64_t>(direct.packed_bytes(shape)), 0, 64);
    std::vector<std::int32_t> colsum(static_cast<std::size_t>(n16)), sum_abs(colsum);
    direct.pack_b(shape, source, 0, panels_of(c.out_channels), packed.data(),
                  {.colsum = colsum.data(), .sum_abs = sum_abs.data()});
    for (std::int64_t n = 0; n < c.out_channels; ++n)
      ASSERT_TRUE(wino43_is_exact(sum_abs[static_cast<std::size_t>(n)], c.za, bias[n]));
    GemmU8S8Args a;
    a.shape = shape;
    a.rows = rows.data();
    a.rows_stride = pixels;
    a.b = {.packed = packed.data(), .colsum = colsum.data(), .bias = bias.data(), .za = c.za};
    a.out = want.data();
    a.out_row_bytes = out_pixel;
    a.epilogue = e;
    a.row_end = pixels;
    a.panel_end = panels_of(c.out_channels);
    direct.run(a);
  }

  const std::int64_t row_gap = gap * element;
  const std::int64_t out_row = out_pixel * g.out_w + row_gap;
  for (const Wino43U8S8Kernel* kernel : kernel_rows<Wino43U8S8Kernel>()) {
    if (!isa_covers(detect_isa(), kernel->isa)) continue;
    SCOPED_TRACE(std::string(kernel->name) + " " + describe(c));
    Guarded<std::byte> packed(static_cast<std::int64_t>(kernel->packed_bytes(s)), 0, 64);
    const std::int64_t panels = panels_of(c.out_channels);
    kernel->pack(s, source, 0, panels / 2, packed.data());
    kernel->pack(s, source, panels / 2, panels, packed.data());
    Guarded<std::byte> got(bytes_of(row_gap), 0, 4);
    Guarded<std::byte> scratch(static_cast<std::int64_t>(kernel->scratch_bytes(s)), 0, 64);
    // In parts, as threads and fused strips would: tiles first, then panels.
    const auto run = [&](std::int64_t tile0, std::int64_t tile1, std::int64_t p0, std::int64_t p1) {
      Wino43U8S8Args a;
      a.shape = s;
      a.in = in.data();
      a.in_row_bytes = in_row;
      a.in_pixel_bytes = in_pixel;
      a.pad = pad.data();
      a.za = c.za;
      a.packed = packed.data();
      a.bias = bias.data();
      a.out = got.data();
      a.out_row_bytes = out_row;
      a.out_pixel_bytes = out_pixel;
      a.epilogue = e;
      a.tile_begin = tile0;
      a.tile_end = tile1;
      a.panel_begin = p0;
      a.panel_end = p1;
      a.scratch = scratch.data();
      kernel->run(a);
    };
    const std::int64_t tiles = wino43_tiles(g), cut = tiles / 3;
    run(0, cut, 0, panels);
    run(cut, tiles, panels / 3, panels);
    run(cut, tiles, 0, panels / 3);
    for (std::int64_t p = 0; p < pixels; ++p)
      for (std::int64_t b = 0; b < out_pixel; ++b) {
        const bool gap_byte = b >= c.out_channels * element;
        if (gap_byte && p == pixels - 1) continue;
        const std::byte value = got[p / g.out_w * out_row + p % g.out_w * out_pixel + b];
        const std::byte wanted = gap_byte ? std::byte{0xA5} : want[p * out_pixel + b];
        ASSERT_EQ(int(value), int(wanted))
            << "byte " << b << " of pixel " << p / g.out_w << ", " << p % g.out_w;
      }
  }
}

TEST(Wino43U8S8, EqualsReferenceAroundEveryTileEdge) {
  for (const std::int64_t h : {1, 2, 3, 4, 5, 8, 9, 11})
    for (const std::int64_t w : {1, 2, 4, 5, 7, 16, 17, 23})
      for (const int pad : {0, 1, 2}) {
        if (h + 2 * pad < 3 || w + 2 * pad < 3) continue;
        check({.in_channels = 5, .out_channels = 7, .h = h, .w = w, .pad = pad});
      }
}

TEST(Wino43U8S8, EqualsReferenceForAnyChannels) {
  for (const std::int64_t in : {1, 2, 3, 8, 15, 16, 17, 31, 32, 33, 64, 67})
    for (const std::int64_t out : {1, 15, 16, 17, 32, 40, 48, 63, 64, 65, 80, 97, 130})
      check({.in_channels = in, .out_channels = out, .h = 9, .w = 6});
}

TEST(Wino43U8S8, EqualsReferenceOverManyBlocks) {
  check({.in_channels = 48, .out_channels = 40, .h = 37, .w = 61});
  check({.in_channels = 256, .out_channels = 20, .h = 21, .w = 22, .za = 128, .codes = 3});
}

TEST(Wino43U8S8, IsExactAtTheExtremes) {
  for (const int weights : {1, 2, 3})
    for (const int codes : {0, 255, 256})
      for (const int za : {0, 128, 255})
        for (const auto kind : {EpilogueKind::kRaw, EpilogueKind::kCodes})
          check({.in_channels = 112,  // 1008 * 128 * 255 is just below 2^25.
                 .out_channels = 17,
                 .h = 6,
                 .w = 7,
                 .za = za,
                 .weights = weights,
                 .codes = codes,
                 .kind = kind});
}

TEST(Wino43U8S8, AppliesEveryEpilogue) {
  for (const std::int64_t n : {5, 16, 24, 40, 100})
    for (const bool views : {false, true})
      for (const bool narrow : {false, true}) {
        Case c{.in_channels = 20, .out_channels = n, .h = 7, .w = 10};
        c.views = views;
        c.narrow_limits = narrow;
        c.n_contiguous = views;
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

TEST(Wino43U8S8, ProofHoldsAtItsEdge) {
  // 255 * 131586 = 2^25 - 2 is inside, one more weight step is not.
  EXPECT_TRUE(wino43_is_exact(131586, 0, 0));
  EXPECT_FALSE(wino43_is_exact(131587, 0, 0));
  EXPECT_TRUE(wino43_is_exact(262143, 128, 0));
  EXPECT_TRUE(wino43_is_exact(131586, 0, -1));
  EXPECT_FALSE(wino43_is_exact(131586, 0, -2));
  EXPECT_FALSE(wino43_is_exact(131586, 0, 2));
  EXPECT_FALSE(wino43_is_exact(1, 0, std::int64_t{1} << 31));
}

}  // namespace
}  // namespace intact
