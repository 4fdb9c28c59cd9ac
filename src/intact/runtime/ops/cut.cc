#include "runtime/ops/cut.h"

#include <array>

#include "kernels/epilogue.h"

namespace intact {
namespace {

// Rows that cost as much as `rows` do: the last tile is not full.
double with_tail(std::int64_t rows, std::int64_t tile) {
  constexpr double kTail = 1.5;
  return static_cast<double>(rows) + (rows % tile == 0 ? 0 : kTail);
}

Cut cut_rows(std::int64_t rows, std::int64_t wanted, std::int64_t tile, std::int64_t line) {
  // A wait for the other threads takes about as long as so much of a short product.
  constexpr double kWait = 0.05;
  const auto cost = [&](const Cut& cut) { return with_tail(cut.largest(), tile); };
  const Cut whole = Cut::of(rows, wanted, tile);
  const Cut even = Cut::of(rows, wanted);
  const Cut& best = cost(whole) <= cost(even) ? whole : even;
  const Cut lines = Cut::of(rows, wanted, line);
  return lines.parts == best.parts && cost(lines) <= (1 + kWait) * cost(best) ? lines : best;
}

}  // namespace

ProductCut ProductCut::of(const ProductSize& size, std::int64_t wanted, std::int64_t tile_rows,
                          std::int64_t tile_panels, bool by_panels) {
  // The time of the largest task, in multiply-adds a k. A weight from outside the core's own cache
  // takes as long as 4 rows' multiplications by it. Tasks of some panels read rows that other cores
  // have written, and the next step does so with their results, unless it goes by columns too: as
  // long as 60 multiplications an element, half of which are elsewhere. Tasks of the same rows on
  // one thread share that.
  constexpr double kWeight = 4, kElement = 30;
  const auto [rows, panels, k, row_elements, threads, line, kept] = size;
  const auto cost = [&](const ProductCut& cut) {
    const auto columns = static_cast<double>(kPanelCols * cut.panels.largest());
    const auto height = static_cast<double>(cut.rows.largest());
    const double own = columns * (with_tail(cut.rows.largest(), tile_rows) + kWeight);
    if (cut.panels.parts == 1) return own;
    const auto moved = static_cast<double>(row_elements + (kept > 0 ? 0 : kPanelCols * panels)) /
                       static_cast<double>(std::max<std::int64_t>(1, k));
    const double share = std::min(
        1.0, static_cast<double>(cut.rows.parts * threads) / static_cast<double>(cut.tasks()));
    return own + kElement * height * moved * share;
  };
  ProductCut best{cut_rows(rows, wanted, tile_rows, line), Cut::of(panels, 1)};
  double least = cost(best);
  for (std::int64_t parts = 2; by_panels && parts <= wanted; ++parts) {
    if (wanted % parts != 0) continue;
    for (const std::int64_t unit : {kept, tile_panels, std::int64_t{1}}) {
      if (unit == 0) continue;
      const ProductCut cut{cut_rows(rows, wanted / parts, tile_rows, line),
                           Cut::of(panels, parts, unit)};
      if (cut.tasks() < best.tasks() || cost(cut) >= least) continue;
      if (kept > 0 && cut.panels.unit % kept != 0) continue;
      best = cut;
      least = cost(cut);
    }
  }
  return best;
}

}  // namespace intact
