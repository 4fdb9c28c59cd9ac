// extents.h: how steps of common kinds are cut into tasks, and what those touch (op.h).
#pragma once

#include <cstdint>

#include "runtime/op.h"
#include "runtime/ops/cut.h"
#include "runtime/ops/window.h"

namespace intact {

// Elements [begin, end) in memory order.
inline Extent element_range(std::int64_t begin, std::int64_t end) { return {1, begin, end, 0, 1}; }

// The elements of a value in memory order, cut for a step that goes over them one after another:
// at lines of an image or rows of a matrix, as products and windows are, where those are many
// enough, else at pixels, else anywhere.
struct ElementCut {
  std::int64_t images = 1;
  Cut cut;  // Of an image's elements.

  // At multiples of `unit` elements.
  static ElementCut of(const OpContext& c, const ValueInfo& value, std::int64_t unit = 1);
  // Of output 0.
  static ElementCut of(const OpContext& c, std::int64_t unit = 1) {
    return of(c, c.outputs_[0], unit);
  }

  [[nodiscard]] std::int64_t tasks() const { return images * cut.parts; }
  [[nodiscard]] std::int64_t image(std::size_t task) const {
    return static_cast<std::int64_t>(task) / cut.parts;
  }
  [[nodiscard]] std::int64_t begin(std::size_t task) const {
    const auto t = static_cast<std::int64_t>(task);
    return t / cut.parts * cut.size + cut.begin(t % cut.parts);
  }
  [[nodiscard]] std::int64_t end(std::size_t task) const {
    const auto t = static_cast<std::int64_t>(task);
    return t / cut.parts * cut.size + cut.end(t % cut.parts);
  }
};

// Elements [begin, end) of the output in memory order, all of one image.
struct ElementPiece {
  std::int64_t image = 0, begin = 0, end = 0;
};
using ElementsFn = std::function<void(const StepArgs&, const ElementPiece&)>;

// Runs a step that can make any such piece, as tasks and line by line. It reads the elements of
// inputs at the same places where an input lies as the output does, and of others what it likes.
void run_elements(OpContext& c, const ElementCut& cut, ElementsFn fn);

// Rows of an image's output times columns of its channels. Tasks are numbered along the rows, then
// the columns, then the images.
struct WindowCut {
  Cut rows;
  Cut columns;

  [[nodiscard]] std::int64_t tasks() const { return rows.parts * columns.parts; }
  [[nodiscard]] std::int64_t image(std::size_t task) const {
    return static_cast<std::int64_t>(task) / tasks();
  }
  [[nodiscard]] std::int64_t row_part(std::size_t task) const {
    return static_cast<std::int64_t>(task) % rows.parts;
  }
  [[nodiscard]] std::int64_t column_part(std::size_t task) const {
    return static_cast<std::int64_t>(task) % tasks() / rows.parts;
  }
};

// For a step that makes each channel of one channel. It is cut as input 0 was, where that was into
// so many columns at multiples of `unit`: then a lane sees what it has written itself. Else into
// rows, or into columns where rows are much less even.
WindowCut cut_by_channel(const OpContext& c, const WindowGeometry& g, std::int64_t unit);

// What such tasks write; and what they read of input 0, an image, through windows of it: the same
// channels, or all of them where the cut has one column.
void declare_windows(OpContext& c, const WindowCut& cut, const WindowGeometry& g);

// The same step line by line: the lines of input 0 under the window, and the same lines of inputs
// that lie as the output does.
void declare_lines(OpContext& c, const WindowGeometry& g, LinesFn fn);

// A piece of the output: lines of an image, channels [first, last) of them.
struct WindowPiece {
  std::int64_t image = 0;
  LineRange lines;
  std::int64_t first = 0, last = 0;
};
using WindowFn = std::function<void(const StepArgs&, const WindowPiece&)>;

// Runs a step that can make any such piece, as tasks and line by line.
void run_windows(OpContext& c, const WindowCut& cut, const WindowGeometry& g, WindowFn fn);

// Tasks that are rows and columns of products with a constant right side: one an image and group of
// columns, numbered along the groups.
struct ProductTasks {
  ProductCut cut;
  std::int64_t rows = 0;     // Of one product.
  std::int64_t columns = 0;  // Of one group.
  std::int64_t groups = 1;

  [[nodiscard]] std::int64_t task(std::size_t t) const {
    return static_cast<std::int64_t>(t) % cut.tasks();
  }
  [[nodiscard]] std::int64_t image(std::size_t t) const {
    return static_cast<std::int64_t>(t) / cut.tasks() / groups;
  }
  [[nodiscard]] std::int64_t group(std::size_t t) const {
    return static_cast<std::int64_t>(t) / cut.tasks() % groups;
  }
};

// What such tasks write; and what they read of input 0, whose rows have k elements a group: their
// own rows, or, with windows of a channels-last image whose pixels are such rows, what those see.
void declare_products(OpContext& c, const ProductTasks& tasks, std::int64_t k,
                      const WindowGeometry* window = nullptr);

// Tasks that are rows of all phases of a transposed convolution, of one image each, numbered along
// the rows.
void declare_phases(OpContext& c, const TransposedWindow& window, const Cut& rows);

}  // namespace intact
