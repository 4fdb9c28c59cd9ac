#include "runtime/ops/int_gemm.h"

#include <algorithm>
#include <cstring>

#include "base/align.h"

namespace intact {
namespace {

// Rows whose tap pointers are in flight at once.
constexpr std::int64_t kMaxRows = 192;
// Float results before a function: panels of them, and elements, which stay in the first-level
// cache.
constexpr std::int64_t kStripPanels = 4;
constexpr std::int64_t kStripElements = 6144;

std::size_t pointer_bytes(const GemmShape& shape) {
  return align_up(static_cast<std::size_t>(kMaxRows * shape.taps) * sizeof(void*));
}
std::size_t strip_bytes(const IntEpilogue& e) {
  return e.through_float() ? align_up(kStripElements * sizeof(float)) : 0;
}

}  // namespace

GemmB PackedIntGemm::operand() const {
  GemmB b;
  b.packed = reinterpret_cast<const std::int8_t*>(packed->data());
  b.init = init.data();
  b.colsum = colsum.data();
  b.zb = zb.data();
  b.bias = bias.data();
  b.za = za;
  return b;
}

Result<std::shared_ptr<PackedIntGemm>> pack_int_gemm(const IntGemmSource& source,
                                                     const IntEpilogue& epilogue) {
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  auto p = std::make_shared<PackedIntGemm>();
  const std::int64_t n = source.shape.n;
  const auto padded = static_cast<std::size_t>(padded_n(n));
  p->shape = source.shape;
  p->za = source.x.zero;
  std::vector<std::int32_t> bias(padded, 0), colsum, zb, init;
  std::vector<double> scales;
  std::vector<float> float_bias;
  std::vector<std::int32_t> zb_in(padded, 0);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t channel = source.first_channel + i % source.channels;
    const auto at = static_cast<std::size_t>(i);
    if (!source.int_bias.empty()) bias[at] = source.int_bias[static_cast<std::size_t>(channel)];
    if (!source.float_bias.empty())
      float_bias.push_back(source.float_bias[static_cast<std::size_t>(channel)]);
    scales.push_back(source.x.scale * source.weights->scale_of(channel));
    zb_in[at] = source.weights->zero_of(channel);
  }
  p->maps = epilogue.channel_maps(scales, float_bias, source.first_channel, source.channels);
  GemmBSource b = source.b;
  b.zb = zb_in.data();
  const auto pack = [&](const GemmU8S8Kernel& kernel) {
    p->kernel = &kernel;
    p->packed = Buffer::allocate(kernel.packed_bytes(p->shape));
    colsum.assign(padded, 0);
    zb.assign(padded, 0);
    init.assign(padded, 0);
    std::vector<std::int32_t> sum_abs(padded, 0);
    kernel.pack_b(p->shape, b, 0, panels_of(n), reinterpret_cast<std::int8_t*>(p->packed->data()),
                  {colsum.data(), sum_abs.data(), zb.data()});
    kernel.make_init(p->shape, bias.data(), p->za, colsum.data(), init.data());
    bool fits = true;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
      fits &= fits_int32(sum_abs[i], p->za, bias[i]);
    return fits;
  };
  if (!pack(select_kernel<GemmU8S8Kernel>(isa))) pack(gemm_u8s8_int64());
  p->bias = bias;
  p->colsum = colsum;
  p->init = init;
  if (std::any_of(zb.begin(), zb.end(), [](std::int32_t z) { return z != 0; })) p->zb = zb;
  return p;
}

std::shared_ptr<Buffer> zero_line(std::int64_t channels, std::int32_t zero) {
  auto line = Buffer::allocate(static_cast<std::size_t>(channels) + kSlackBytes);
  std::memset(line->data(), zero, line->bytes());
  return line;
}

std::size_t int_gemm_scratch(const PackedIntGemm& b, const IntEpilogue& epilogue) {
  return align_up(b.kernel->scratch_bytes(b.shape)) + pointer_bytes(b.shape) +
         strip_bytes(epilogue);
}

std::size_t int_gemm_edge_bytes(const ConvRuns& runs) {
  return align_up(static_cast<std::size_t>(runs.edge_elems(kMaxRows)) + kSlackBytes);
}

ProductCut cut_int_gemm(const PackedIntGemm& b, std::int64_t rows, std::int64_t wanted,
                        std::int64_t line, std::int64_t by_panels) {
  const std::int64_t k = b.shape.k();
  return ProductCut::of({rows, panels_of(b.shape.n), k, k, wanted, line, by_panels}, wanted,
                        b.kernel->tile_m, b.kernel->tile_panels);
}

Result<ComputedIntGemm> ComputedIntGemm::make(const GemmShape& shape, std::int32_t za,
                                              std::int32_t zb) {
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  ComputedIntGemm b;
  // |sum| <= K 255 255 for any codes.
  b.kernel_ = shape.k() > (std::int64_t{1} << 31) / (255 * 255)
                  ? &gemm_u8s8_int64()
                  : &select_kernel<GemmU8S8Kernel>(isa);
  b.shape_ = shape;
  b.za_ = za;
  b.zb_ = zb;
  b.packed_bytes_ = align_up(b.kernel_->packed_bytes(shape));
  b.column_bytes_ = align_up(static_cast<std::size_t>(padded_n(shape.n)) * sizeof(std::int32_t));
  return b;
}

std::int32_t* ComputedIntGemm::column(std::byte* packed, std::size_t i) const {
  return reinterpret_cast<std::int32_t*>(packed + packed_bytes_ + i * column_bytes_);
}

std::size_t ComputedIntGemm::bytes() const {
  return packed_bytes_ + 3 * column_bytes_ + align_up(kernel_->scratch_bytes(shape_));
}

void ComputedIntGemm::pack(const std::uint8_t* b, std::ptrdiff_t k_bytes, std::ptrdiff_t n_bytes,
                           std::byte* to) const {
  GemmBSource source;
  source.b = b;
  source.is_unsigned = true;
  source.k_bytes = k_bytes;
  source.n_bytes = n_bytes;
  source.zb_all = zb_;
  kernel_->pack_b(shape_, source, 0, panels_of(shape_.n), reinterpret_cast<std::int8_t*>(to),
                  {column(to, 0), nullptr, column(to, 1)});
  kernel_->make_init(shape_, nullptr, za_, column(to, 0), column(to, 2));
}

GemmU8S8Args ComputedIntGemm::call(std::byte* packed) const {
  GemmU8S8Args args;
  args.shape = shape_;
  args.b.packed = reinterpret_cast<const std::int8_t*>(packed);
  args.b.colsum = column(packed, 0);
  args.b.zb = zb_ == 128 ? nullptr : column(packed, 1);  // 128 is 0 where bytes are signed.
  args.b.init = column(packed, 2);
  args.b.za = za_;
  args.panel_end = panels_of(shape_.n);
  args.scratch = packed + packed_bytes_ + 3 * column_bytes_;
  return args;
}

IntGemmRows IntGemmRows::of_window(const WindowGeometry& window, const std::uint8_t* image,
                                   std::int64_t channels, const Buffer& pad) {
  IntGemmRows rows;
  rows.count = window.out_h * window.out_w;
  rows.a = image;
  rows.window = &window;
  rows.in_pixel_bytes = channels;
  rows.in_row_bytes = channels * window.in_w;
  rows.pad = reinterpret_cast<const std::uint8_t*>(pad.data());
  return rows;
}

void run_int_gemm(const PackedIntGemm& b, const IntEpilogue& epilogue, const IntGemmRows& rows,
                  const IntGemmOut& out, const StepArgs& step, std::int64_t begin, std::int64_t end,
                  std::int64_t panel_begin, std::int64_t panel_end, std::byte* scratch) {
  GemmU8S8Args args;
  args.shape = b.shape;
  args.b = b.operand();
  args.epilogue = epilogue.base;
  b.maps.put_into(args.epilogue);
  args.panel_begin = panel_begin;
  args.panel_end = panel_end;
  args.scratch = scratch;
  scratch += align_up(b.kernel->scratch_bytes(b.shape));
  auto* pointers = reinterpret_cast<const std::uint8_t**>(scratch);
  scratch += pointer_bytes(b.shape);
  const bool through_float = epilogue.through_float();
  auto* strip = reinterpret_cast<float*>(scratch);
  constexpr auto kFloat = static_cast<std::ptrdiff_t>(sizeof(float));
  const auto columns = [&](std::int64_t panel) { return std::min(b.shape.n, panel * kPanelCols); };
  const std::int64_t strip_panels = std::min(kStripPanels, panel_end - panel_begin);
  const std::int64_t block_rows =
      through_float ? std::min(kMaxRows, kStripElements / (strip_panels * kPanelCols)) : kMaxRows;
  for (std::int64_t row = begin; row < end; row += block_rows) {
    const std::int64_t count = std::min(block_rows, end - row);
    if (rows.runs != nullptr) {
      rows.runs->fill(rows.a, *rows.pad, row, row + count, rows.edges, pointers, count);
      args.rows = pointers;
      args.rows_stride = count;
    } else if (rows.window != nullptr) {
      fill_conv_rows(*rows.window, rows.a, rows.in_row_bytes, rows.in_pixel_bytes, rows.pad, row,
                     row + count, pointers, count);
      args.rows = pointers;
      args.rows_stride = count;
    } else {
      args.a = rows.a + row * rows.row_bytes;
      args.a_row_bytes = rows.row_bytes;
    }
    args.row_begin = 0;
    args.row_end = count;
    args.out = out.out + row * out.row_bytes;
    args.out_row_bytes = out.row_bytes;
    if (out.residual != nullptr) {
      args.epilogue.r = out.residual + row * out.residual_row_bytes;
      args.epilogue.r_row_bytes = out.residual_row_bytes;
    }
    const std::int64_t out_stride = out.row_bytes / (epilogue.codes_out ? 1 : kFloat);
    ChainPiece piece;
    piece.rows = count;
    piece.offset_stride = out_stride;
    piece.image = out.image;
    const auto set_columns = [&](std::int64_t first, std::int64_t last) {
      piece.cols = last - first;
      piece.offset = out.offset + row * out_stride + first;
      piece.channel = out.channel + first;
    };
    if (!through_float) {
      b.kernel->run(args);
      const std::int64_t first = columns(panel_begin);
      set_columns(first, columns(panel_end));
      if (epilogue.codes_out)
        epilogue.end.limit(reinterpret_cast<std::uint8_t*>(out.out + row * out.row_bytes) + first,
                           out.row_bytes, count, piece.cols, piece.channel);
      if (epilogue.chain.empty()) continue;
      piece.x = static_cast<float*>(args.out) + first;
      piece.x_stride = out_stride;
      epilogue.chain.run(piece, step);
      continue;
    }
    for (std::int64_t panel = panel_begin; panel < panel_end; panel += strip_panels) {
      args.panel_begin = panel;
      args.panel_end = std::min(panel_end, panel + strip_panels);
      const std::int64_t first = columns(panel);
      set_columns(first, columns(args.panel_end));
      args.out = strip - first;
      args.out_row_bytes = piece.cols * kFloat;
      b.kernel->run(args);
      piece.x = strip;
      piece.x_stride = piece.cols;
      epilogue.chain.run(piece, step, epilogue.end,
                         reinterpret_cast<std::uint8_t*>(out.out + row * out.row_bytes) + first,
                         out.row_bytes);
    }
  }
}

}  // namespace intact
