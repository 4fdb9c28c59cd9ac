#include "kernels/self_check.h"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "base/buffer.h"
#include "kernels/dwconv_u8s8.h"
#include "kernels/gemm_u8s8.h"
#include "kernels/wino43_u8s8.h"

namespace intact {
namespace {

// A 3 x 3 convolution of an image, wider than a vector of any level and no multiple of one.
constexpr std::int64_t kImage = 5;
constexpr std::int64_t kChannels = 35;
constexpr std::int64_t kTaps = 9;
constexpr std::int32_t kZero = 131;
constexpr std::int32_t kEdges[] = {0, 255, 1, 254, 127, 128};
constexpr std::int32_t kWeightEdges[] = {127, -128, -127, 1, 0, -1, 127};

struct Problem {
  std::vector<std::uint8_t> in = std::vector<std::uint8_t>(kImage * kImage * kChannels + 64);
  std::vector<std::uint8_t> pad = std::vector<std::uint8_t>(kChannels + 64, kZero);
  std::vector<std::int8_t> weights = std::vector<std::int8_t>(kTaps * kChannels * kChannels);
  std::vector<std::int32_t> bias = std::vector<std::int32_t>(padded_n(kChannels), 12345);
  WindowGeometry window;

  Problem() {
    for (std::size_t i = 0; i < in.size(); ++i)
      in[i] = static_cast<std::uint8_t>(kEdges[i % std::size(kEdges)]);
    for (std::size_t i = 0; i < weights.size(); ++i)
      weights[i] = static_cast<std::int8_t>(kWeightEdges[i % std::size(kWeightEdges)]);
    window.in_h = window.in_w = window.out_h = window.out_w = kImage;
    window.kernel_h = window.kernel_w = 3;
    window.pad_top = window.pad_left = 1;
  }
};

using Sums = std::vector<std::int32_t>;  // [pixel, channel]

template <class Args>
Args image_args(const Problem& p, const std::byte* packed, Sums& out, std::byte* scratch) {
  Args a;
  a.shape.window = p.window;
  a.in = p.in.data();
  a.in_pixel_bytes = kChannels;
  a.in_row_bytes = kChannels * kImage;
  a.pad = p.pad.data();
  a.packed = packed;
  a.out = out.data();
  a.out_pixel_bytes = kChannels * static_cast<std::ptrdiff_t>(sizeof(std::int32_t));
  a.out_row_bytes = a.out_pixel_bytes * kImage;
  a.epilogue.kind = EpilogueKind::kRaw;
  a.scratch = scratch;
  return a;
}

Sums sums_of(const GemmU8S8Kernel& kernel, const Problem& p) {
  // Pixels as rows: a 1 x 1 convolution with the first tap's weights.
  const GemmShape shape{kChannels, 1, kChannels};
  const auto packed = Buffer::allocate(kernel.packed_bytes(shape));
  const auto scratch = Buffer::allocate(kernel.scratch_bytes(shape));
  Sums colsum(p.bias.size());
  Sums init(p.bias.size());
  Sums out(kImage * kImage * kChannels);
  GemmU8S8Args a;
  a.shape = shape;
  a.a = p.in.data();
  a.a_row_bytes = kChannels;
  auto* b = reinterpret_cast<std::int8_t*>(packed->data());
  GemmBStats stats;
  stats.colsum = colsum.data();
  GemmBSource source;
  source.b = p.weights.data();
  source.k_bytes = 1;
  source.n_bytes = kChannels;
  kernel.pack_b(shape, source, 0, panels_of(kChannels), b, stats);
  kernel.make_init(shape, p.bias.data(), kZero, colsum.data(), init.data());
  a.b.packed = b;
  a.b.init = init.data();
  a.b.colsum = colsum.data();
  a.b.bias = p.bias.data();
  a.b.za = kZero;
  a.out = out.data();
  a.out_row_bytes = kChannels * static_cast<std::ptrdiff_t>(sizeof(std::int32_t));
  a.epilogue.kind = EpilogueKind::kRaw;
  a.row_end = kImage * kImage;
  a.panel_end = panels_of(kChannels);
  a.scratch = scratch->data();
  kernel.run(a);
  return out;
}

Sums sums_of(const DwconvU8S8Kernel& kernel, const Problem& p) {
  const DwconvShape shape{kChannels, p.window};
  const auto packed = Buffer::allocate(kernel.packed_bytes(shape));
  const auto scratch = Buffer::allocate(kernel.scratch_bytes(shape));
  DwconvWeights w;
  w.w = p.weights.data();
  w.channel_bytes = kTaps;
  w.y_bytes = 3;
  w.x_bytes = 1;
  w.bias = p.bias.data();
  w.za = kZero;
  kernel.pack(shape, w, packed->data());
  Sums out(kImage * kImage * kChannels);
  auto a = image_args<DwconvU8S8Args>(p, packed->data(), out, scratch->data());
  a.shape.channels = kChannels;
  a.row_end = kImage;
  kernel.run(a);
  return out;
}

Sums sums_of(const Wino43U8S8Kernel& kernel, const Problem& p) {
  const Wino43Shape shape{kChannels, kChannels, p.window};
  const auto packed = Buffer::allocate(kernel.packed_bytes(shape));
  const auto scratch = Buffer::allocate(kernel.scratch_bytes(shape));
  const GemmBSource source{
      .b = p.weights.data(), .tap_bytes = 1, .k_bytes = kTaps, .n_bytes = kTaps * kChannels};
  kernel.pack(shape, source, 0, panels_of(kChannels), packed->data());
  Sums out(kImage * kImage * kChannels);
  auto a = image_args<Wino43U8S8Args>(p, packed->data(), out, scratch->data());
  a.shape.in_channels = a.shape.out_channels = kChannels;
  a.tile_end = wino43_tiles(p.window);
  a.za = kZero;
  a.bias = p.bias.data();
  a.panel_end = panels_of(kChannels);
  kernel.run(a);
  return out;
}

template <class Kernel>
Status check(IsaLevel isa, const Problem& p) {
  const Kernel& row = select_kernel<Kernel>(isa);
  if (row.isa == IsaLevel::kScalar ||
      sums_of(row, p) == sums_of(select_kernel<Kernel>(IsaLevel::kScalar), p))
    return {};
  return fail(ErrorCode::kUnsupported,
              fmt::format("{} computes other sums on this processor ({}) than scalar code does; "
                          "INTACT_ISA=scalar or a lower level does without it",
                          row.name, cpu_name()));
}

}  // namespace

Status self_check(IsaLevel isa) {
  static std::mutex mutex;
  static std::map<IsaLevel, Status> checked;
  const std::lock_guard lock(mutex);
  if (const auto known = checked.find(isa); known != checked.end()) return known->second;
  const Problem p;
  Status status = check<GemmU8S8Kernel>(isa, p);
  if (status) status = check<DwconvU8S8Kernel>(isa, p);
  if (status) status = check<Wino43U8S8Kernel>(isa, p);
  return checked.emplace(isa, status).first->second;
}

}  // namespace intact
