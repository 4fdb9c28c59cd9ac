// The integer kernels on every layer of the networks in bench/shapes, one thread, requantized to
// codes: each row that this machine executes, when its answer was compared with the definition
// once, against the peak of its own level (peak.h), by turns. Winograd is counted in the
// multiply-adds of the direct form: it may pass 100 %.
//
//   build/release/intact_kernels_bench --benchmark_filter='avx512vnni.*c=64 n=64 kh=3'
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "kernels/conv_runs.h"
#include "kernels/dwconv_u8s8.h"
#include "kernels/gemm_u8s8.h"
#include "kernels/layer_shapes.h"
#include "kernels/peak.h"
#include "kernels/wino43_u8s8.h"

namespace intact {
namespace {

constexpr std::int64_t kRowsAtOnce = 192;  // As the runtime: so many pixels' pointers at a time.
constexpr std::int32_t kZero = 121;

template <class T>
struct Array {
  std::shared_ptr<Buffer> memory;
  T* data = nullptr;
  explicit Array(std::size_t count)
      : memory(Buffer::allocate(count * sizeof(T) + 64)),
        data(reinterpret_cast<T*>(memory->data())) {
    std::memset(memory->data(), 0, memory->bytes());
  }
};

// One layer with random operands: codes in, weights, bias, scales.
struct Layer {
  LayerShape s;
  std::int64_t pixels, k, padded;
  Array<std::uint8_t> in, pad, out;
  Array<std::int8_t> w;
  Array<std::int32_t> bias;
  Array<float> m, c;
  Epilogue e;

  explicit Layer(const LayerShape& shape)
      : s(shape.op == "gemm" ? as_pointwise(shape) : padded_image(shape)),
        pixels(s.window.out_h * s.window.out_w),
        k(std::int64_t{s.window.kernel_h} * s.window.kernel_w * (s.op == "dwconv" ? 1 : s.c)),
        padded(padded_n(s.n)),
        in(size(s.window.in_h * s.window.in_w * s.c)),
        pad(size(s.c)),
        out(size(pixels * s.n)),
        w(size(s.n * k)),
        bias(size(padded)),
        m(size(padded)),
        c(size(padded)) {
    std::mt19937 rng(1);
    for (std::int64_t i = 0; i < s.window.in_h * s.window.in_w * s.c; ++i)
      in.data[i] = static_cast<std::uint8_t>(rng());
    std::memset(pad.data, kZero, size(s.c));
    for (std::int64_t i = 0; i < s.n * k; ++i)
      w.data[i] = static_cast<std::int8_t>(static_cast<int>(rng() % 127) - 63);
    for (std::int64_t i = 0; i < s.n; ++i) {
      bias.data[i] = static_cast<std::int32_t>(rng() % 2001) - 1000;
      m.data[i] = 0.02f / static_cast<float>(std::sqrt(static_cast<double>(k)));
    }
    e.m = m.data;
    e.c = c.data;
    e.codes.zero = 117;
  }
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }
  static LayerShape as_pointwise(LayerShape g) {
    g.op = "conv";
    g.window.in_h = g.window.out_h = 1;
    g.window.in_w = g.window.out_w = g.m;
    g.c = g.k;
    return g;
  }
  [[nodiscard]] bool pointwise() const {
    return k == s.c && s.window.stride_h == 1 && s.window.stride_w == 1;
  }
  // A row of the kernel is one tap.
  [[nodiscard]] bool joined() const {
    return s.op == "conv" && s.window.kernel_w > 1 && ConvRuns::can_join(s.window);
  }
  // Few channels: the runtime pads the image first.
  [[nodiscard]] bool padded_first() const { return joined() && s.c <= 4; }
  static LayerShape padded_image(LayerShape x) {
    WindowGeometry& g = x.window;
    if (x.op != "conv" || x.c > 4 || g.kernel_w == 1) return x;
    g.in_h = (g.out_h - 1) * g.stride_h + g.kernel_h;
    g.in_w = (g.out_w - 1) * g.stride_w + g.kernel_w;
    g.pad_top = g.pad_left = 0;
    return x;
  }
  // Weights are [n, taps, c].
  [[nodiscard]] GemmShape shape() const {
    if (joined()) return {s.n, s.window.kernel_h, s.window.kernel_w * s.c};
    return {s.n, k / s.c, s.c};
  }
  [[nodiscard]] GemmBSource weights() const {
    return {.b = w.data, .tap_bytes = shape().k_per_tap, .k_bytes = 1, .n_bytes = k};
  }
};

using Call = std::function<void()>;

// Pixels [begin, end) of a convolution as a matrix product.
Call direct(const Layer& x, const GemmU8S8Kernel& kernel, std::int64_t begin, std::int64_t end) {
  const GemmShape shape = x.shape();
  auto packed = std::make_shared<Array<std::int8_t>>(kernel.packed_bytes(shape));
  auto init = std::make_shared<Array<std::int32_t>>(Layer::size(x.padded));
  auto colsum = std::make_shared<Array<std::int32_t>>(Layer::size(x.padded));
  auto scratch = std::make_shared<Array<std::byte>>(kernel.scratch_bytes(shape));
  auto rows =
      std::make_shared<std::vector<const std::uint8_t*>>(Layer::size(kRowsAtOnce * shape.taps));
  const ConvRuns runs(x.s.window, x.s.c);
  auto edges = std::make_shared<Array<std::uint8_t>>(Layer::size(runs.edge_elems(kRowsAtOnce)));
  kernel.pack_b(shape, x.weights(), 0, panels_of(x.s.n), packed->data, {.colsum = colsum->data});
  kernel.make_init(shape, x.bias.data, kZero, colsum->data, init->data);
  return [=, &x, &kernel] {
    GemmU8S8Args a;
    a.shape = shape;
    a.b = {.packed = packed->data,
           .init = init->data,
           .colsum = colsum->data,
           .bias = x.bias.data,
           .za = kZero};
    a.epilogue = x.e;
    a.panel_end = panels_of(x.s.n);
    a.out_row_bytes = x.s.n;
    a.scratch = scratch->data;
    for (std::int64_t p = begin; p < end; p += kRowsAtOnce) {
      const std::int64_t count = std::min(kRowsAtOnce, end - p);
      if (x.pointwise()) {
        a.a = x.in.data + p * x.s.c;
        a.a_row_bytes = x.s.c;
      } else {
        const std::int64_t row_bytes = x.s.window.in_w * x.s.c;
        WindowGeometry window = x.s.window;
        if (x.padded_first()) window.kernel_w = 1;
        if (x.joined() && !x.padded_first())
          runs.fill<std::uint8_t>(x.in.data, kZero, p, p + count, edges->data, rows->data(), count);
        else
          fill_conv_rows(window, x.in.data, row_bytes, x.s.c, x.pad.data, p, p + count,
                         rows->data(), count);
        a.rows = rows->data();
        a.rows_stride = count;
      }
      a.out = x.out.data + p * x.s.n;
      a.row_end = count;
      kernel.run(a);
    }
  };
}

Call winograd(const Layer& x, const Wino43U8S8Kernel& kernel) {
  const Wino43Shape shape{x.s.c, x.s.n, x.s.window};
  auto packed = std::make_shared<Array<std::byte>>(kernel.packed_bytes(shape));
  auto scratch = std::make_shared<Array<std::byte>>(kernel.scratch_bytes(shape));
  kernel.pack(shape, {.b = x.w.data, .tap_bytes = x.s.c, .k_bytes = 1, .n_bytes = x.k}, 0,
              panels_of(x.s.n), packed->data);
  Wino43U8S8Args a;
  a.shape = shape;
  a.in = x.in.data;
  a.in_pixel_bytes = x.s.c;
  a.in_row_bytes = x.s.c * x.s.window.in_w;
  a.pad = x.pad.data;
  a.za = kZero;
  a.packed = packed->data;
  a.bias = x.bias.data;
  a.out = x.out.data;
  a.out_pixel_bytes = x.s.n;
  a.out_row_bytes = x.s.n * x.s.window.out_w;
  a.epilogue = x.e;
  a.tile_end = wino43_tiles(x.s.window);
  a.panel_end = panels_of(x.s.n);
  a.scratch = scratch->data;
  return [=, &kernel] { (void)packed, (void)scratch, kernel.run(a); };
}

Call depthwise(const Layer& x, const DwconvU8S8Kernel& kernel, std::int64_t begin,
               std::int64_t end) {
  const DwconvShape shape{x.s.c, x.s.window};
  auto packed = std::make_shared<Array<std::byte>>(kernel.packed_bytes(shape));
  auto scratch = std::make_shared<Array<std::byte>>(kernel.scratch_bytes(shape));
  kernel.pack(shape,
              {.w = x.w.data,
               .channel_bytes = x.k,
               .y_bytes = x.s.window.kernel_w,
               .x_bytes = 1,
               .bias = x.bias.data,
               .za = kZero},
              packed->data);
  DwconvU8S8Args a;
  a.shape = shape;
  a.in = x.in.data;
  a.in_pixel_bytes = x.s.c;
  a.in_row_bytes = x.s.c * x.s.window.in_w;
  a.pad = x.pad.data;
  a.packed = packed->data;
  a.out = x.out.data;
  a.out_pixel_bytes = x.s.c;
  a.out_row_bytes = x.s.c * x.s.window.out_w;
  a.epilogue = x.e;
  a.row_begin = begin;
  a.row_end = end;
  a.scratch = scratch->data;
  return [=, &kernel] { (void)packed, (void)scratch, kernel.run(a); };
}

// Compares three output rows with the definition.
void verify(const Layer& x, const Call& call) {
  const WindowGeometry& g = x.s.window;
  call();
  const std::int64_t row = g.out_w * x.s.n;
  const std::vector<std::uint8_t> got(x.out.data, x.out.data + g.out_h * row);
  for (const std::int64_t y : {std::int64_t{0}, g.out_h / 2, g.out_h - 1}) {
    if (x.s.op == "dwconv")
      depthwise(x, dwconv_u8s8_int64(), y, y + 1)();
    else
      direct(x, gemm_u8s8_int64(), y * g.out_w, (y + 1) * g.out_w)();
    if (std::memcmp(x.out.data + y * row, got.data() + y * row, Layer::size(row)) != 0)
      throw std::runtime_error("a wrong answer for " + x.s.text);
  }
}

// The share of the level's peak that calls of so many multiply-adds reach: the best of 30 turns of
// a millisecond over the peak's best of as many in between. Clocks drift, and other programs
// interrupt, for both alike.
double share_of_peak(const PeakKernel& peak, const Call& call, double macs) {
  using Clock = std::chrono::steady_clock;
  constexpr double kTurn = 1e-3;
  constexpr int kTurns = 30;
  const auto timed = [](const auto& work, std::int64_t count) {
    const auto start = Clock::now();
    work(count);
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const auto calls = [&](std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) call();
  };
  const auto rounds = [&](std::int64_t count) { benchmark::DoNotOptimize(peak.run(count)); };
  std::int64_t call_count = 1, round_count = 1024;
  while (timed(calls, call_count) < kTurn) call_count *= 2;
  while (timed(rounds, round_count) < kTurn) round_count *= 2;
  const auto macs_a_turn = static_cast<double>(peak.run(round_count));
  double least_call = 1e9, least_peak = 1e9;
  for (int turn = 0; turn < kTurns; ++turn) {
    least_call = std::min(least_call, timed(calls, call_count));
    least_peak = std::min(least_peak, timed(rounds, round_count));
  }
  return macs * static_cast<double>(call_count) / least_call / (macs_a_turn / least_peak);
}

template <class Kernel, class Make>
void add(const LayerShape& s, Make make) {
  for (const Kernel* kernel : kernel_rows<Kernel>()) {
    if (kernel->isa == IsaLevel::kScalar || !isa_covers(detect_isa(), kernel->isa)) continue;
    benchmark::RegisterBenchmark(
        (std::string(kernel->name) + " " + s.text).c_str(), [=](benchmark::State& state) {
          const Layer layer(s);
          const Call call = make(layer, *kernel);
          verify(layer, call);
          for (auto _ : state) {
            call();
            benchmark::ClobberMemory();
          }
          const auto macs = static_cast<double>(s.macs());
          const auto rate = benchmark::Counter::kIsIterationInvariantRate;
          state.counters["GMAC/s"] = benchmark::Counter(1e-9 * macs, rate);
          if (const PeakKernel* peak = find_peak(kernel->isa, true))
            state.counters["%peak"] = 100 * share_of_peak(*peak, call, macs);
        });
  }
}

const bool kRegistered = [] {
  for (const LayerShape& s : read_layer_shapes()) {
    if (s.op == "dwconv") {
      add<DwconvU8S8Kernel>(s, [](const Layer& x, const DwconvU8S8Kernel& k) {
        return depthwise(x, k, 0, x.s.window.out_h);
      });
      continue;
    }
    add<GemmU8S8Kernel>(
        s, [](const Layer& x, const GemmU8S8Kernel& k) { return direct(x, k, 0, x.pixels); });
    if (s.op == "conv" && wino43_takes(s.window)) add<Wino43U8S8Kernel>(s, winograd);
  }
  return true;
}();

}  // namespace
}  // namespace intact
