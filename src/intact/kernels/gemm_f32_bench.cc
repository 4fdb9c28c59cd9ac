// gemm_f32 on shapes of ResNet-50, a small transformer and few channels, one thread: GFLOP/s of
// each row that the machine executes. The peak is 2 * lanes * (fused multiply-adds a cycle) *
// clock.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <vector>

#include "base/buffer.h"
#include "kernels/gemm_f32.h"

namespace intact {
namespace {

struct Problem {
  std::int64_t m, n, taps, k_per_tap;
};

constexpr Problem kProblems[] = {
    {3136, 64, 9, 64},  {3136, 256, 1, 64},  {784, 128, 9, 128},  {784, 512, 1, 128},
    {196, 256, 9, 256}, {196, 1024, 1, 256}, {49, 512, 9, 512},   {49, 2048, 1, 512},
    {12544, 64, 49, 3}, {128, 1536, 1, 384}, {128, 384, 1, 1536}, {1, 3072, 1, 768},
    {12800, 24, 9, 96}, {3136, 24, 1, 144},  {784, 40, 1, 240},   {3136, 16, 1, 96},
};

void run(benchmark::State& state, const GemmF32Kernel* kernel, const Problem& p) {
  const GemmShape shape{.n = p.n, .taps = p.taps, .k_per_tap = p.k_per_tap};
  const auto floats = [](std::int64_t n) {
    return Buffer::allocate(static_cast<std::size_t>(n) * sizeof(float));
  };
  // Taps of a row lie one row apart, as those of a convolution overlap.
  const auto a = floats((p.m + p.taps) * p.k_per_tap), b = floats(shape.k() * p.n);
  const auto packed = floats(packed_elems_f32(shape)), out = floats(p.m * p.n);
  std::vector<const float*> rows;
  for (std::int64_t t = 0; t < p.taps; ++t)
    for (std::int64_t m = 0; m < p.m; ++m)
      rows.push_back(reinterpret_cast<const float*>(a->data()) + (m + t) * p.k_per_tap);
  kernel->pack_b(shape,
                 {.b = reinterpret_cast<const float*>(b->data()),
                  .tap_stride = p.k_per_tap * p.n,
                  .k_stride = p.n,
                  .n_stride = 1},
                 0, panels_of(p.n), reinterpret_cast<float*>(packed->data()));
  const GemmF32Args args{.shape = shape,
                         .a = reinterpret_cast<const float*>(a->data()),
                         .a_stride = p.k_per_tap,
                         .rows = p.taps > 1 ? rows.data() : nullptr,
                         .rows_stride = p.m,
                         .packed = reinterpret_cast<const float*>(packed->data()),
                         .out = reinterpret_cast<float*>(out->data()),
                         .out_stride = p.n,
                         .row_end = p.m,
                         .panel_end = panels_of(p.n)};
  for (auto _ : state) {
    kernel->run(args);
    benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * static_cast<double>(p.m * p.n * shape.k()),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}

const bool kRegistered = [] {
  for (const GemmF32Kernel* kernel : kernel_rows<GemmF32Kernel>()) {
    if (kernel->isa == IsaLevel::kScalar || !isa_covers(detect_isa(), kernel->isa)) continue;
    for (const Problem& p : kProblems)
      benchmark::RegisterBenchmark(
          fmt::format("{}/m={}/n={}/k={}x{}", kernel->name, p.m, p.n, p.taps, p.k_per_tap).c_str(),
          run, kernel, p);
  }
  return true;
}();

}  // namespace
}  // namespace intact
