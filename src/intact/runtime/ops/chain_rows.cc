// A chain whose operands meet whole rows: blocks of rows in float.

#include <array>
#include <utility>

#include "kernels/exact_inverse.h"
#include "runtime/ops/chain_ways.h"
#include "runtime/ops/extents.h"

namespace intact {

void plan_rows(OpContext& c, Chain chain, const OptionalMap& x, const OptionalMap& y) {
  constexpr std::int64_t kBlock = 4096;
  const std::int64_t cols = std::max<std::int64_t>(1, c.outputs_[0].memory_shape().back());
  const float inverse = y ? exact_inverse(static_cast<float>(y->scale)) : 0.0f;
  const int factor = y ? chain.take_factor() : -1;
  const bool reads_in_place = y && !x && chain.empty() && cols <= kBlock;
  const ElementCut cut = ElementCut::of(c);
  run_elements(
      c, cut, [=, chain = std::move(chain)](const StepArgs& args, const ElementPiece& part) {
        alignas(64) std::array<float, kBlock> block;
        const auto run = [&](std::int64_t row, std::int64_t rows, std::int64_t col,
                             std::int64_t width) {
          ChainPiece piece;
          piece.x = block.data();
          piece.rows = rows;
          piece.cols = piece.x_stride = width;
          piece.offset = row * cols + col;
          piece.offset_stride = cols;
          piece.image = part.image;
          piece.channel = col;
          const float* reals = block.data();
          if (reads_in_place && width == cols) {
            reals = args.input<float>(0) + piece.offset;
          } else {
            chain.load(piece, args, x);
            chain.run(piece, args);
          }
          if (y)
            Chain::store_codes(
                chain.codes_kernel(), *y, reals, width, rows, width,
                args.output<std::uint8_t>(0) + piece.offset, cols, inverse,
                factor < 0 ? nullptr : args.input<float>(static_cast<std::size_t>(factor)) + col);
          else
            for (std::int64_t r = 0; r < rows; ++r)
              std::copy_n(block.data() + r * width, width,
                          args.output<float>(0) + piece.offset + r * cols);
        };
        visit_rectangles(part.begin, part.end, cols, [&](const Rectangle& r) {
          const std::int64_t width = std::min(r.cols, kBlock);
          const std::int64_t height = kBlock / width;
          for (std::int64_t row = 0; row < r.rows; row += height)
            for (std::int64_t at = 0; at < r.cols; at += width)
              run(r.row + row, std::min(height, r.rows - row), r.col + at,
                  std::min(width, r.cols - at));
        });
      });
}

}  // namespace intact
