#include "runtime/ops/extents.h"

#include <algorithm>

namespace intact {

ElementCut ElementCut::of(const OpContext& c, std::int64_t unit) {
  // What a wait for another thread's elements takes, against a short step's own time.
  constexpr double kWait = 0.15;
  constexpr std::int64_t kCacheLine = 64;
  const ValueInfo& y = c.outputs_[0];
  const Shape memory = y.memory_shape();
  ElementCut cut;
  if (y.layout == Layout::kChannelsLast) cut.images = std::max<std::int64_t>(1, memory[0]);
  const std::int64_t size = y.size() / cut.images;
  const std::int64_t wanted = c.parts(cut.images);
  const std::int64_t pixel = memory.empty() ? 1 : memory.back();
  const bool lines = y.layout == Layout::kChannelsLast && memory.size() == 4;
  for (const std::int64_t piece : {lines ? memory[2] * pixel : pixel, pixel, kCacheLine, unit}) {
    if (piece < 1 || piece % unit != 0) continue;
    cut.cut = Cut::of(size, wanted, piece);
    const double even = static_cast<double>(size) / static_cast<double>(wanted);
    if (static_cast<double>(cut.cut.largest()) <= (1 + kWait) * even) break;
  }
  return cut;
}

void declare_elements(OpContext& c, const ElementCut& cut) {
  const auto own = [cut](std::size_t t) { return element_range(cut.begin(t), cut.end(t)); };
  c.writes(own);
  const ValueInfo& y = c.outputs_[0];
  for (std::size_t i = 0; i < c.input_count(); ++i) {
    const ValueInfo& x = c.input(i);
    if (x.shape == y.shape && x.layout == y.layout)
      c.reads(i, own);
    else
      c.reads(i, [all = element_range(0, x.size())](std::size_t) { return all; });
  }
}

void declare_windows(OpContext& c, const WindowCut& cut, const WindowGeometry& g) {
  const auto columns = [cut](std::size_t t, std::int64_t channels) {
    const std::int64_t part = cut.column_part(t);
    return cut.columns.parts == 1 ? std::pair<std::int64_t, std::int64_t>(0, channels)
                                  : std::pair(cut.columns.begin(part), cut.columns.end(part));
  };
  c.writes([=, channels = c.outputs_[0].shape[1]](std::size_t t) {
    const std::int64_t top = cut.image(t) * g.out_h;
    const auto [first, last] = columns(t, channels);
    return Extent{channels, (top + cut.rows.begin(cut.row_part(t))) * g.out_w,
                  (top + cut.rows.end(cut.row_part(t))) * g.out_w, first, last};
  });
  const ValueInfo& x = c.input(0);
  const bool pixels = x.layout == Layout::kChannelsLast || x.shape[1] == 1;
  c.reads(0, [=, channels = x.shape[1]](std::size_t t) {
    const std::int64_t begin = cut.rows.begin(cut.row_part(t)) * g.stride_h - g.pad_top;
    const std::int64_t end = (cut.rows.end(cut.row_part(t)) - 1) * g.stride_h - g.pad_top +
                             (g.kernel_h - 1) * g.dilation_h + 1;
    const std::int64_t top = std::max<std::int64_t>(0, begin);
    const std::int64_t bottom = std::min(g.in_h, end);
    if (pixels) {
      const auto [first, last] = columns(t, channels);
      const std::int64_t image = cut.image(t) * g.in_h;
      return Extent{channels, (image + top) * g.in_w, (image + bottom) * g.in_w, first, last};
    }
    // Planes: all from the first row of the first to the last row of the last.
    const std::int64_t image = cut.image(t) * channels * g.in_h;
    return Extent{g.in_w, image + top, image + (channels - 1) * g.in_h + bottom, 0, g.in_w};
  });
}

}  // namespace intact
