#include "calib/matrix.h"

#include <algorithm>

#include "base/buffer.h"

namespace intact {
namespace {

constexpr std::size_t kPanelsATask = 16;  // Panels packed by one task.
constexpr std::size_t kStrip = 64;        // Rows of a result computed by one task.

const GemmF32Kernel& float_kernel() {
  const auto isa = host_isa();
  return select_kernel<GemmF32Kernel>(isa ? *isa : IsaLevel::kScalar);
}

GemmShape shape_of(std::size_t k, std::size_t n) {
  return {static_cast<std::int64_t>(n), 1, static_cast<std::int64_t>(k)};
}

std::size_t tasks_of(std::size_t n, std::size_t each) { return (n + each - 1) / each; }

// Columns [begin, begin + width) of x as rows.
void transpose(const float* x, std::size_t rows, std::size_t pitch, std::size_t begin,
               std::size_t width, float* out) {
  constexpr std::size_t kTile = 16;  // One cache line of floats each way.
  for (std::size_t r0 = 0; r0 < rows; r0 += kTile)
    for (std::size_t c = 0; c < width; ++c)
      for (std::size_t r = r0; r < std::min(rows, r0 + kTile); ++r)
        out[c * rows + r] = x[r * pitch + begin + c];
}

}  // namespace

FloatMatrix::FloatMatrix(const float* from, std::size_t k, std::size_t n, std::size_t k_stride,
                         std::size_t n_stride, ThreadPool& pool)
    : kernel_(float_kernel()), k_(k), n_(n) {
  const GemmShape shape = shape_of(k, n);
  packed_.resize(static_cast<std::size_t>(packed_elems_f32(shape)) + kSlackBytes / sizeof(float));
  const GemmF32Source source{from, 0, static_cast<std::ptrdiff_t>(k_stride),
                             static_cast<std::ptrdiff_t>(n_stride)};
  const auto panels = static_cast<std::size_t>(panels_of(shape.n));
  pool.run(tasks_of(panels, kPanelsATask), [&](std::size_t t) {
    kernel_.pack_b(shape, source, static_cast<std::int64_t>(t * kPanelsATask),
                   static_cast<std::int64_t>(std::min(panels, (t + 1) * kPanelsATask)),
                   packed_.data());
  });
}

void FloatMatrix::multiply(const float* a, std::size_t pitch, std::size_t m, float* c,
                           std::size_t c_pitch, std::size_t first) const {
  GemmF32Args args;
  args.shape = shape_of(k_, n_);
  args.a = a;
  args.a_stride = static_cast<std::ptrdiff_t>(pitch);
  args.packed = packed_.data();
  args.out = c;
  args.out_stride = static_cast<std::ptrdiff_t>(c_pitch);
  args.row_end = static_cast<std::int64_t>(m);
  args.panel_begin = static_cast<std::int64_t>(first / kPanelCols);
  args.panel_end = panels_of(args.shape.n);
  kernel_.run(args);
}

void add_moments(const float* x, const float* y, std::size_t rows, std::size_t pitch,
                 std::size_t width, double* h, double* c, PageVector<float>& rooms,
                 ThreadPool& pool) {
  const FloatMatrix right(y, rows, width, pitch, 1, pool);
  const std::size_t strips = tasks_of(width, kStrip);
  const std::size_t room = kStrip * (rows + width);
  rooms.resize(std::max(rooms.size(), static_cast<std::size_t>(pool.threads()) * room));
  // Long tasks first: the strips of c, then those of h by falling length.
  pool.run(2 * strips, [&](std::size_t t) {
    const bool second = t >= strips;
    const std::size_t i0 = t % strips * kStrip;
    const std::size_t n = std::min(kStrip, width - i0);
    const std::size_t from = second ? i0 : 0;
    float* const left = rooms.data() + ThreadPool::worker() * room;
    float* const sum = left + n * rows;
    transpose(second ? y : x, rows, pitch, i0, n, left);
    right.multiply(left, rows, n, sum, width, from);
    double* to = (second ? h : c) + i0 * width;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = second ? i0 + i : 0; j < width; ++j)
        to[i * width + j] += static_cast<double>(sum[i * width + j]);
  });
}

}  // namespace intact
