// int_gemm.h: weights packed for the integer GEMM, and one parallel run of it over rows.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/conv_rows.h"
#include "kernels/conv_runs.h"
#include "kernels/gemm_u8s8.h"
#include "runtime/ops/cut.h"
#include "runtime/ops/int_epilogue.h"

namespace intact {

// One constant right-hand side with everything a call needs. Made once a model.
struct PackedIntGemm {
  const GemmU8S8Kernel* kernel = nullptr;
  GemmShape shape;
  std::shared_ptr<Buffer> packed;
  PackedArray<std::int32_t> colsum, init, bias;
  PackedArray<std::int32_t> zb;  // Empty: all zero.
  std::int32_t za = 0;
  ChannelMaps maps;

  auto fields() { return std::tie(kernel, shape, packed, colsum, init, bias, zb, za, maps); }
  [[nodiscard]] GemmB operand() const;
};

struct IntGemmSource {
  GemmShape shape;
  GemmBSource b;                   // zb and zb_all are filled in here.
  std::int64_t first_channel = 0;  // Of the weight map and the biases: group offset.
  // Column n is channel first_channel + n % channels.
  std::int64_t channels = IntEpilogue::kAllChannels;
  const WeightMap* weights = nullptr;
  TensorMap x;
  std::span<const std::int32_t> int_bias;  // [all channels], or empty.
  std::span<const float> float_bias;       // [all channels], or empty.
};

// Packs with the host's best row, or with the int64 row when a channel fails the proof that its
// accumulator fits 32 bits.
Result<std::shared_ptr<PackedIntGemm>> pack_int_gemm(const IntGemmSource& source,
                                                     const IntEpilogue& epilogue);

// The rows of A in one call: strided, or the pixels of a window over an image.
struct IntGemmRows {
  std::int64_t count = 0;
  const std::uint8_t* a = nullptr;
  std::ptrdiff_t row_bytes = 0;
  // A window: rows are output pixels; taps are gathered. Null: strided.
  const WindowGeometry* window = nullptr;
  std::ptrdiff_t in_row_bytes = 0;
  std::ptrdiff_t in_pixel_bytes = 0;
  const std::uint8_t* pad = nullptr;
  // Of that window over a whole dense image. Not null: its runs are the taps.
  const ConvRuns* runs = nullptr;
  std::uint8_t* edges = nullptr;  // int_gemm_edge_bytes of scratch.

  // All pixels of a window over an image of so many codes a pixel; `pad` is one of those.
  static IntGemmRows of_window(const WindowGeometry& window, const std::uint8_t* image,
                               std::int64_t channels, const Buffer& pad);
};

// Where results go; row strides in bytes. Column 0 is the packed matrix's channel 0.
struct IntGemmOut {
  std::byte* out = nullptr;
  std::ptrdiff_t row_bytes = 0;
  const std::uint8_t* residual = nullptr;
  std::ptrdiff_t residual_row_bytes = 0;
  // Where row 0 lies in the whole output, for the chain: elements, image, first channel.
  std::int64_t offset = 0;
  std::int64_t image = 0;
  std::int64_t channel = 0;
};

// Returns a pixel of `channels` zero-point codes, with slack: what padding points at.
std::shared_ptr<Buffer> zero_line(std::int64_t channels, std::int32_t zero);

// Bytes of scratch per worker for any call with this packed matrix.
std::size_t int_gemm_scratch(const PackedIntGemm& b, const IntEpilogue& epilogue);

// Bytes that the edges of those runs need, per worker.
std::size_t int_gemm_edge_bytes(const ConvRuns& runs);

// One task of a call: rows [begin, end), panels [panel_begin, panel_end).
void run_int_gemm(const PackedIntGemm& b, const IntEpilogue& epilogue, const IntGemmRows& rows,
                  const IntGemmOut& out, const StepArgs& step, std::int64_t begin, std::int64_t end,
                  std::int64_t panel_begin, std::int64_t panel_end, std::byte* scratch);

// A right-hand side of codes that a run computes: packed in scratch memory of the step, by each
// run.
class ComputedIntGemm {
 public:
  // For codes with these zero points: the host's best row, or the int64 row where so many of any
  // codes may add up to more than 32 bits hold. One tap.
  static Result<ComputedIntGemm> make(const GemmShape& shape, std::int32_t za, std::int32_t zb);

  [[nodiscard]] const GemmU8S8Kernel& kernel() const { return *kernel_; }
  // Bytes of scratch for one packed matrix and the kernel's own; a multiple of kAlignBytes.
  [[nodiscard]] std::size_t bytes() const;
  // Packs the codes b, whose rows and columns lie so many bytes apart.
  void pack(const std::uint8_t* b, std::ptrdiff_t k_bytes, std::ptrdiff_t n_bytes,
            std::byte* to) const;
  // A call with what was packed there, all columns; rows, output and epilogue are the caller's.
  [[nodiscard]] GemmU8S8Args call(std::byte* packed) const;

 private:
  [[nodiscard]] std::int32_t* column(std::byte* packed, std::size_t i) const;

  const GemmU8S8Kernel* kernel_ = nullptr;
  GemmShape shape_;
  std::int32_t za_ = 0, zb_ = 0;
  std::size_t packed_bytes_ = 0, column_bytes_ = 0;
};

// How a call is cut into about `wanted` tasks.
ProductCut cut_int_gemm(const PackedIntGemm& b, std::int64_t rows, std::int64_t wanted,
                        std::int64_t line = 1, std::int64_t by_panels = 0);

}  // namespace intact
