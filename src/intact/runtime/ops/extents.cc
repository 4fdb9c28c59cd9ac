#include "runtime/ops/extents.h"

#include <algorithm>
#include <utility>

#include "kernels/epilogue.h"

namespace intact {

ElementCut ElementCut::of(const OpContext& c, const ValueInfo& y, std::int64_t unit) {
  // What a wait for another thread's elements takes, against a short step's own time.
  constexpr double kWait = 0.15;
  constexpr std::int64_t kCacheLine = 64;
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

void run_elements(OpContext& c, const ElementCut& cut, ElementsFn fn) {
  const auto own = [cut](std::size_t t) { return element_range(cut.begin(t), cut.end(t)); };
  c.writes(own);
  const ValueInfo& y = c.outputs_[0];
  const bool image = y.layout == Layout::kChannelsLast && y.rank() == 4 && y.shape[0] == 1;
  StepLines lines{image ? y.shape[2] : 0, {}, std::vector<LineWindow>(c.input_count())};
  for (std::size_t i = 0; i < c.input_count(); ++i) {
    const ValueInfo& x = c.input(i);
    if (x.shape == y.shape && x.layout == y.layout) {
      c.reads(i, own);
      lines.reads[i] = {lines.count};
    } else {
      c.reads(i, [all = element_range(0, x.size())](std::size_t) { return all; });
    }
  }
  c.run_tasks(cut.tasks(), [cut, fn](const StepArgs& args, std::size_t t) {
    fn(args, {cut.image(t), cut.begin(t), cut.end(t)});
  });
  if (lines.count == 0) return;
  lines.fn = [fn = std::move(fn), line = y.size() / lines.count](const StepArgs& args,
                                                                 const LineRange& l) {
    fn(args, {0, l.begin * line, l.end * line});
  };
  c.lines(std::move(lines));
}

namespace {

// The lines of the image under the window.
LineWindow lines_under(const WindowGeometry& g) {
  return {g.in_h, g.stride_h, g.pad_top, (g.kernel_h - 1) * g.dilation_h + 1};
}

}  // namespace

void declare_lines(OpContext& c, const WindowGeometry& g, LinesFn fn) {
  const ValueInfo& y = c.outputs_[0];
  if (y.layout != Layout::kChannelsLast || y.shape[0] != 1) return;
  StepLines lines{g.out_h, std::move(fn), std::vector<LineWindow>(c.input_count())};
  for (std::size_t i = 1; i < c.input_count(); ++i)
    if (c.input(i).shape == y.shape && c.input(i).layout == y.layout) lines.reads[i] = {g.out_h};
  if (c.input(0).layout == Layout::kChannelsLast) lines.reads[0] = lines_under(g);
  c.lines(std::move(lines));
}

WindowCut cut_by_channel(const OpContext& c, const WindowGeometry& g, std::int64_t unit) {
  // What a wait for rows that another lane writes takes.
  constexpr double kWait = 0.15;
  const ValueInfo& x = c.input(0);
  const std::int64_t wanted = c.parts(x.shape[0]);
  const Cut& theirs = x.columns;
  if (theirs.parts > 1 && theirs.parts == wanted && theirs.unit % unit == 0)
    return {Cut::of(g.out_h, 1), theirs};
  const WindowCut rows{Cut::of(g.out_h, wanted), {x.shape[1]}};
  const WindowCut columns{Cut::of(g.out_h, 1), Cut::of(x.shape[1], wanted, unit)};
  const auto largest = [&](const WindowCut& cut) {
    return static_cast<double>(cut.rows.largest() * cut.columns.largest());
  };
  return largest(rows) <= (1 + kWait) * largest(columns) ? rows : columns;
}

void declare_windows(OpContext& c, const WindowCut& cut, const WindowGeometry& g) {
  if (cut.rows.parts == 1) c.outputs_[0].columns = cut.columns;
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
    const auto [top, bottom] =
        lines_under(g).of({cut.rows.begin(cut.row_part(t)), cut.rows.end(cut.row_part(t))});
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

void declare_products(OpContext& c, const ProductTasks& tasks, std::int64_t k,
                      const WindowGeometry* window) {
  if (tasks.cut.rows.parts == 1 && tasks.groups == 1)
    c.outputs_[0].columns = {tasks.columns, tasks.cut.panels.unit * kPanelCols,
                             tasks.cut.panels.parts};
  c.writes([=](std::size_t t) {
    const std::int64_t task = tasks.task(t), top = tasks.image(t) * tasks.rows;
    const std::int64_t left = tasks.group(t) * tasks.columns;
    const ProductCut& cut = tasks.cut;
    const auto column = [&](std::int64_t panel) {
      return left + std::min(tasks.columns, panel * kPanelCols);
    };
    return Extent{tasks.groups * tasks.columns, top + cut.rows.begin(cut.row_part(task)),
                  top + cut.rows.end(cut.row_part(task)),
                  column(cut.panels.begin(cut.panel_part(task))),
                  column(cut.panels.end(cut.panel_part(task)))};
  });
  c.reads(0, [=, windows = window != nullptr,
              g = window != nullptr ? *window : WindowGeometry{}](std::size_t t) {
    const std::int64_t part = tasks.cut.row_part(tasks.task(t)), left = tasks.group(t) * k;
    std::int64_t first = tasks.cut.rows.begin(part), last = tasks.cut.rows.end(part);
    std::int64_t rows = tasks.rows;
    if (windows) {
      const auto [top, bottom] =
          lines_under(g).of({first / g.out_w, (last + g.out_w - 1) / g.out_w});
      first = top * g.in_w;
      last = bottom * g.in_w;
      rows = g.in_h * g.in_w;
    }
    const std::int64_t top = tasks.image(t) * rows;
    return Extent{tasks.groups * k, top + first, top + last, left, left + k};
  });
}

void declare_phases(OpContext& c, const TransposedWindow& window, const Cut& rows) {
  const Shape out = c.outputs_[0].memory_shape();
  c.writes([=, stride = window.stride_h, lines = window.out_h,
            line = window.out_w * out.back()](std::size_t t) {
    const auto task = static_cast<std::int64_t>(t);
    const std::int64_t top = task / rows.parts * lines, part = task % rows.parts;
    return Extent{line, top + rows.begin(part) * stride,
                  top + std::min(lines, rows.end(part) * stride), 0, line};
  });
  const ValueInfo& x = c.input(0);
  c.reads(0, [=, phases = window.phases, channels = x.shape[1]](std::size_t t) {
    const auto task = static_cast<std::int64_t>(t);
    const std::int64_t part = task % rows.parts;
    const WindowGeometry& any = phases[0].window;
    std::int64_t top = any.in_h, bottom = 0;
    for (const TransposedPhase& phase : phases) {
      const auto [first, last] =
          lines_under(phase.window)
              .of({rows.begin(part), std::min(rows.end(part), phase.window.out_h)});
      if (first >= last) continue;
      top = std::min(top, first);
      bottom = std::max(bottom, last);
    }
    const std::int64_t line = any.in_w * channels, image = task / rows.parts * any.in_h;
    return Extent{line, image + top, image + bottom, 0, line};
  });
}

void run_windows(OpContext& c, const WindowCut& cut, const WindowGeometry& g, WindowFn fn) {
  declare_windows(c, cut, g);
  const std::int64_t channels = c.outputs_[0].shape[1];
  c.run_tasks(c.outputs_[0].shape[0] * cut.tasks(), [=](const StepArgs& args, std::size_t t) {
    const std::int64_t row = cut.row_part(t), column = cut.column_part(t);
    WindowPiece piece{cut.image(t), {cut.rows.begin(row), cut.rows.end(row)}, 0, channels};
    if (cut.columns.parts > 1) {
      piece.first = cut.columns.begin(column);
      piece.last = cut.columns.end(column);
    }
    fn(args, piece);
  });
  declare_lines(c, g, [=, fn = std::move(fn)](const StepArgs& args, const LineRange& lines) {
    fn(args, {0, lines, 0, channels});
  });
}

}  // namespace intact
