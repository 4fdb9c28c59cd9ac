#include "kernels/conv_cost.h"

#include <algorithm>

namespace intact {
namespace {

// What the kernels reach, as measured by integer_bench. Only ratios matter.
struct Rates {
  double bytes;          // Multiply-adds a cycle of the direct kernel's loop.
  double pairs;          // Of the products of int16 pairs.
  std::int64_t lanes16;  // Channels are transformed in multiples of it.
  double tile_in;        // Cycles to transform a tile of one input channel.
  double tile_out;       // Cycles from a tile's products to outputs, a column.
  double output;         // Cycles the direct kernel spends on an output apart from its products.
};

Rates rates_of(IsaLevel isa) noexcept {
  switch (isa) {
    case IsaLevel::kAvx512Vnni:
      return {
          .bytes = 61, .pairs = 31, .lanes16 = 32, .tile_in = 7, .tile_out = 12, .output = 0.55};
    case IsaLevel::kAvxVnni:
    case IsaLevel::kAvx512Dot:
      return {
          .bytes = 58, .pairs = 28, .lanes16 = 16, .tile_in = 12, .tile_out = 24, .output = 1.2};
    case IsaLevel::kAvx2:
    case IsaLevel::kAvx512:
      return {
          .bytes = 22, .pairs = 25, .lanes16 = 16, .tile_in = 12, .tile_out = 24, .output = 1.2};
    case IsaLevel::kNeonDot:
      return {.bytes = 28, .pairs = 12, .lanes16 = 8, .tile_in = 18, .tile_out = 36, .output = 2};
    case IsaLevel::kNeon:
    case IsaLevel::kScalar:
      break;
  }
  return {.bytes = 1, .pairs = 1, .lanes16 = 8, .tile_in = 150, .tile_out = 300, .output = 10};
}

// Bytes a cycle at which weights arrive, and at which they do that fit no cache of a core's own.
constexpr double kWeightStream = 32, kFarWeightStream = 8;
constexpr double kOwnCache = 512 << 10;
// Transformed weights take 8 times the memory; layers of more bytes than kManyBytes would make up
// most of a session. They must be faster by this factor.
constexpr double kManyBytes = 2 << 20;
constexpr double kWorthManyBytes = 1.5;
// Tiles that one pass over the weights of a point serves, and a loop's own cost in steps.
constexpr double kTileRows = 6;
constexpr double kLoopSteps = 2;

// Of the points of F(4, 3) those that so many outputs of a dimension take: a last tile of one or
// two is F(2, 3).
double points_along(std::int64_t outputs) {
  const std::int64_t last = outputs % 4;
  return static_cast<double>(outputs / 4 * 6 + (last == 0 ? 0 : last <= 2 ? 4 : 6));
}

}  // namespace

ConvAlgorithm choose_conv_algorithm(const Wino43Shape& s, IsaLevel isa) noexcept {
  const WindowGeometry& g = s.window;
  if (!wino43_takes(g)) return ConvAlgorithm::kDirect;
  const Rates r = rates_of(isa);
  const auto c = static_cast<double>(s.in_channels);
  const auto n = static_cast<double>(padded_n(s.out_channels));
  const auto pixels = static_cast<double>(g.out_h * g.out_w);
  const double direct = pixels * n * (9 * c / r.bytes + r.output);

  const auto tiles = static_cast<double>(wino43_tiles(g));
  const auto lanes = static_cast<double>((s.in_channels + r.lanes16 - 1) / r.lanes16 * r.lanes16);
  const double transforms = tiles * (lanes * r.tile_in + n * r.tile_out);
  // The first rows of tiles wait for the weights, the others find them in L1.
  const double first = std::min(tiles, kTileRows);
  const double points = points_along(g.out_h) * points_along(g.out_w) / tiles;  // Of a tile.
  const double step = points * n * (c + 2 * kLoopSteps) / r.pairs;
  const double weight_bytes = 36 * n * c * 2;
  const double weights =
      weight_bytes / (weight_bytes > kOwnCache ? kFarWeightStream : kWeightStream);
  const double products = std::max(first * step, weights) + (tiles - first) * step;
  const double gain = weight_bytes > kManyBytes ? kWorthManyBytes : 1;
  return gain * (transforms + products) < direct ? ConvAlgorithm::kWinograd43
                                                 : ConvAlgorithm::kDirect;
}

}  // namespace intact
