// cut.h: how a step's rows, and the panels of a product, are cut into tasks.
//
// Task i of n gets the i-th part. All steps cut alike, so with the thread pool's fixed shares a
// core goes on with the rows that it has in its caches.
#pragma once

#include <algorithm>
#include <cstdint>

namespace intact {

// [0, size) in parts of whole units, as even as they get.
struct Cut {
  std::int64_t size = 0;
  std::int64_t unit = 1;
  std::int64_t parts = 1;

  // At most `wanted` parts: none is empty where there is anything to cut.
  static Cut of(std::int64_t size, std::int64_t wanted, std::int64_t unit = 1) {
    const std::int64_t units = std::max<std::int64_t>(1, (size + unit - 1) / unit);
    return {size, unit, std::clamp<std::int64_t>(wanted, 1, units)};
  }

  [[nodiscard]] std::int64_t begin(std::int64_t part) const {
    return std::min(size, (size + unit - 1) / unit * part / parts * unit);
  }
  [[nodiscard]] std::int64_t end(std::int64_t part) const { return begin(part + 1); }
  [[nodiscard]] std::int64_t largest() const {
    std::int64_t most = 0;
    for (std::int64_t i = 0; i < parts; ++i) most = std::max(most, end(i) - begin(i));
    return most;
  }
};

// A product with B constant, [rows, k] times [k, panels of columns].
struct ProductSize {
  std::int64_t rows = 0;
  std::int64_t panels = 0;
  std::int64_t k = 0;
  std::int64_t row_elements = 0;  // That a row of A brings: fewer than k where windows overlap.
  std::int64_t threads = 0;       // That share the tasks.
  std::int64_t line =
      1;  // Rows of a line of the image: whole ones suit the steps before and after.
  // Where the next step reads, for a column, that column alone: panels that it keeps together.
  std::int64_t by_panels = 0;
};

// Rows times panels of a product with B constant. Tasks are numbered along the rows.
struct ProductCut {
  Cut rows;
  Cut panels;

  // About `wanted` tasks, by rows alone or by panels too, for a kernel whose register tile is
  // `tile_rows` by `tile_panels`.
  static ProductCut of(const ProductSize& size, std::int64_t wanted, std::int64_t tile_rows,
                       std::int64_t tile_panels, bool by_panels = true);

  [[nodiscard]] std::int64_t tasks() const { return rows.parts * panels.parts; }
  [[nodiscard]] std::int64_t row_part(std::int64_t task) const { return task % rows.parts; }
  [[nodiscard]] std::int64_t panel_part(std::int64_t task) const { return task / rows.parts; }
};

}  // namespace intact
