// resize_ops.cc: Resize and Upsample: nearest, linear and cubic interpolation along any axes.
//
// Each output position along an axis reads a few input positions with weights (ONNX, Resize). Axes
// are resampled one after the other, outermost first; nearest moves bytes and takes one pass.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/align.h"
#include "runtime/ops/extents.h"
#include "runtime/ops/strided.h"
#include "runtime/ops/tables.h"

namespace intact {
namespace {

struct Taps {
  int count = 1;                    // Per output position.
  std::vector<std::int64_t> index;  // [out][count]
  std::vector<float> weight;        // [out][count]
};

struct Rule {
  std::string mode, coordinates, nearest;
  float cubic_a = -0.75f;
  bool exclude_outside = false;
};

// Coordinates are float32, as in the specification's kernels elsewhere: ties of `nearest` depend on
// it.
Result<float> original_coordinate(const Rule& rule, std::int64_t i, float scale, std::int64_t in,
                                  std::int64_t out) {
  const auto x = static_cast<float>(i);
  if (rule.coordinates == "half_pixel") return (x + 0.5f) / scale - 0.5f;
  if (rule.coordinates == "asymmetric") return x / scale;
  if (rule.coordinates == "pytorch_half_pixel") return out > 1 ? (x + 0.5f) / scale - 0.5f : 0.0f;
  if (rule.coordinates == "align_corners")
    return out == 1 ? 0.0f : x * static_cast<float>(in - 1) / static_cast<float>(out - 1);
  if (rule.coordinates == "half_pixel_symmetric") {
    const float adjusted = static_cast<float>(out) / (scale * static_cast<float>(in));
    return static_cast<float>(in) / 2 * (1 - adjusted) + (x + 0.5f) / scale - 0.5f;
  }
  return fail(ErrorCode::kUnsupported,
              fmt::format("coordinate_transformation_mode '{}'", rule.coordinates));
}

std::int64_t nearest_index(const Rule& rule, float x) {
  if (rule.nearest == "floor") return static_cast<std::int64_t>(std::floor(x));
  if (rule.nearest == "ceil") return static_cast<std::int64_t>(std::ceil(x));
  if (rule.nearest == "round_prefer_ceil") return static_cast<std::int64_t>(std::floor(x + 0.5f));
  return static_cast<std::int64_t>(std::ceil(x - 0.5f));
}

Result<Taps> make_taps(const Rule& rule, float scale, std::int64_t in, std::int64_t out) {
  Taps taps;
  taps.count = rule.mode == "nearest" ? 1 : rule.mode == "linear" ? 2 : 4;
  for (std::int64_t i = 0; i < out; ++i) {
    INTACT_ASSIGN(const float x, original_coordinate(rule, i, scale, in, out));
    const auto clamped = [in](std::int64_t k) { return std::clamp<std::int64_t>(k, 0, in - 1); };
    if (rule.mode == "nearest") {
      taps.index.push_back(clamped(nearest_index(rule, x)));
      taps.weight.push_back(1);
      continue;
    }
    if (rule.mode == "linear") {
      const float inside = std::clamp(x, 0.0f, static_cast<float>(in - 1));
      const auto low = static_cast<std::int64_t>(std::floor(inside));
      const float right = inside - static_cast<float>(low);
      taps.index.insert(taps.index.end(), {low, clamped(low + 1)});
      taps.weight.insert(taps.weight.end(), {1.0f - right, right});
      continue;
    }
    const auto low = static_cast<std::int64_t>(std::floor(x));
    const float s = x - static_cast<float>(low), a = rule.cubic_a;
    std::array<float, 4> w{((a * (s + 1) - 5 * a) * (s + 1) + 8 * a) * (s + 1) - 4 * a,
                           ((a + 2) * s - (a + 3)) * s * s + 1,
                           ((a + 2) * (1 - s) - (a + 3)) * (1 - s) * (1 - s) + 1,
                           ((a * (2 - s) - 5 * a) * (2 - s) + 8 * a) * (2 - s) - 4 * a};
    if (rule.exclude_outside) {
      float sum = 0;
      for (int t = 0; t < 4; ++t) {
        if (low - 1 + t < 0 || low - 1 + t >= in) w[static_cast<std::size_t>(t)] = 0;
        sum += w[static_cast<std::size_t>(t)];
      }
      for (float& v : w) v /= sum;
    }
    for (int t = 0; t < 4; ++t) {
      taps.index.push_back(clamped(low - 1 + t));
      taps.weight.push_back(w[static_cast<std::size_t>(t)]);
    }
  }
  return taps;
}

struct AxisPass {
  std::int64_t outer, in, out, inner;
  Taps taps;
};

// Position j of the pass's axis, of one outer index: y[inner] = sum_k weight x[index_k].
void resample(const AxisPass& p, std::int64_t j, const float* x, float* y) {
  const auto at = static_cast<std::size_t>(j * p.taps.count);
  for (int k = 0; k < p.taps.count; ++k) {
    const float w = p.taps.weight[at + static_cast<std::size_t>(k)];
    const float* row = x + p.taps.index[at + static_cast<std::size_t>(k)] * p.inner;
    if (k == 0)
      for (std::int64_t i = 0; i < p.inner; ++i) y[i] = w * row[i];
    else
      for (std::int64_t i = 0; i < p.inner; ++i) y[i] += w * row[i];
  }
}

// Tasks that write whole rows of the output, of which row r is made of `span` elements of input 0
// from base[r] on.
void declare_rows(OpContext& c, const Cut& cut, std::int64_t row,
                  const std::vector<std::int64_t>& base, std::int64_t span) {
  c.writes([=](std::size_t t) {
    const auto part = static_cast<std::int64_t>(t);
    return Extent{row, cut.begin(part), cut.end(part), 0, row};
  });
  std::vector<Extent> read;
  for (std::int64_t part = 0; part < cut.parts; ++part) {
    const auto first = base.begin() + cut.begin(part), last = base.begin() + cut.end(part);
    read.push_back(first == last ? Extent{}
                                 : element_range(*std::min_element(first, last),
                                                 std::min(c.input(0).size(),
                                                          *std::max_element(first, last) + span)));
  }
  c.reads(0, [read = std::move(read)](std::size_t t) { return read[t]; });
}

Status plan_nearest(OpContext& c, const std::vector<Taps>& taps) {
  const ValueInfo x = c.input(0);
  const ValueInfo y = c.outputs_[0];
  const Shape in = x.memory_shape(), out = y.memory_shape();
  const auto width = static_cast<std::size_t>(bits_of(x.dtype) / 8);
  std::vector<const Taps*> by_memory(in.size());
  for (std::size_t axis = 0; axis < in.size(); ++axis)
    by_memory[static_cast<std::size_t>(x.memory_axis(static_cast<int>(axis)))] = &taps[axis];
  std::size_t last = 0;
  for (std::size_t d = 0; d < in.size(); ++d)
    if (in[d] != out[d]) last = d;
  const auto in_strides = row_major_strides(in);
  std::vector<std::vector<std::int64_t>> maps;
  for (std::size_t d = 0; d <= last; ++d) {
    maps.emplace_back();
    for (std::int64_t i = 0; i < out[d]; ++i)
      maps.back().push_back(by_memory[d]->index[static_cast<std::size_t>(i)] * in_strides[d]);
  }
  const std::int64_t inner = num_elements(std::span(in).subspan(last + 1));
  const std::int64_t row = out[last];
  const std::int64_t rows = row == 0 ? 0 : num_elements(std::span(out).first(last));
  const std::size_t bytes = static_cast<std::size_t>(inner) * width;
  const std::size_t row_bytes = static_cast<std::size_t>(row) * bytes;
  // Where each row is read from, in elements.
  std::vector<std::int64_t> base;
  for (std::int64_t r = 0; r < rows; ++r) {
    std::int64_t rest = r, at = 0;
    for (std::size_t d = last; d-- > 0;) {
      at += maps[d][static_cast<std::size_t>(rest % out[d])];
      rest /= out[d];
    }
    base.push_back(at);
  }
  const Cut cut = Cut::of(rows, c.parts());
  declare_rows(c, cut, row * inner, base,
               row == 0 ? 0 : *std::max_element(maps[last].begin(), maps[last].end()) + inner);
  c.run_tasks(cut.parts, [=, columns = maps[last]](const StepArgs& args, std::size_t t) {
    const auto part = static_cast<std::int64_t>(t);
    std::int64_t before = -1;
    for (std::int64_t r = cut.begin(part); r < cut.end(part); ++r) {
      const std::int64_t from_row = base[static_cast<std::size_t>(r)];
      std::byte* to = args.out[0] + static_cast<std::size_t>(r) * row_bytes;
      const std::byte* from = args.in[0] + static_cast<std::size_t>(from_row) * width;
      if (from_row == before)
        std::memcpy(to, to - row_bytes, row_bytes);
      else
        for (std::int64_t i = 0; i < row; ++i, to += bytes)
          copy_bytes(to,
                     from + static_cast<std::size_t>(columns[static_cast<std::size_t>(i)]) * width,
                     bytes);
      before = from_row;
    }
  });
  return {};
}

// A row is what one position of the first pass makes; the other passes work on it while it is in
// the nearer caches. Where they go over axes further out, all is one row.
void plan_passes(OpContext& c, std::vector<AxisPass> passes) {
  const AxisPass& first = passes[0];
  const std::int64_t positions = first.outer * first.out;
  const bool nested = std::all_of(passes.begin() + 1, passes.end(), [&](const AxisPass& p) {
    return positions > 0 && p.outer % positions == 0;
  });
  const std::int64_t rows = nested ? positions : 1;
  const std::int64_t row = rows == 0 ? 0 : c.outputs_[0].size() / rows;
  std::int64_t largest = nested ? first.inner : 0;
  for (const AxisPass& p : passes)
    largest = std::max(largest, rows == 0 ? 0 : p.outer * p.out * p.inner / rows);
  largest = std::max(largest, row);
  const std::size_t half = align_up(static_cast<std::size_t>(largest) * sizeof(float));
  const std::size_t scratch = passes.size() > 1 ? 2 * half : 0;
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  std::vector<std::int64_t> base;
  std::int64_t span = 0;
  if (!nested) {
    base.push_back(0);
    span = c.input(0).size();
  }
  for (std::int64_t r = 0; nested && r < rows; ++r) {
    const auto at = first.taps.index.begin() + r % first.out * first.taps.count;
    const auto [low, high] = std::minmax_element(at, at + first.taps.count);
    base.push_back((r / first.out * first.in + *low) * first.inner);
    span = std::max(span, (*high - *low + 1) * first.inner);
  }
  const Cut cut = Cut::of(rows, c.parts());
  declare_rows(c, cut, row, base, span);
  c.run_tasks(cut.parts, [=, passes = std::move(passes)](const StepArgs& args, std::size_t t) {
    std::byte* own = args.scratch + ThreadPool::worker() * scratch;
    const auto part = static_cast<std::int64_t>(t);
    for (std::int64_t r = cut.begin(part); r < cut.end(part); ++r) {
      const AxisPass& outermost = passes[0];
      const float* from = args.input<float>(0);
      if (nested) from += r / outermost.out * outermost.in * outermost.inner;
      for (std::size_t i = 0; i < passes.size(); ++i) {
        const AxisPass& p = passes[i];
        float* to = i + 1 == passes.size() ? args.output<float>(0) + r * row
                                           : reinterpret_cast<float*>(own + i % 2 * half);
        if (i == 0 && nested) {
          resample(p, r % p.out, from, to);
        } else {
          const std::int64_t outer = p.outer / rows;
          for (std::int64_t o = 0; o < outer; ++o)
            for (std::int64_t j = 0; j < p.out; ++j)
              resample(p, j, from + o * p.in * p.inner, to + (o * p.out + j) * p.inner);
        }
        from = to;
      }
    }
  });
}

Status plan_resize(OpContext& c) {
  INTACT_TRY(c.require(0));
  const Node& node = c.node();
  const ValueInfo x = c.input(0);
  const bool upsample = node.op == "Upsample";
  const bool early = upsample || c.opset() < 11;
  Rule rule;
  rule.mode = node.get_string("mode", "nearest");
  if (rule.mode == "bilinear") rule.mode = "linear";
  rule.coordinates =
      early ? "asymmetric" : node.get_string("coordinate_transformation_mode", "half_pixel");
  rule.nearest = early ? "floor" : node.get_string("nearest_mode", "round_prefer_floor");
  rule.cubic_a = node.get_float("cubic_coeff_a", -0.75f);
  rule.exclude_outside = node.get_int("exclude_outside", 0) != 0;
  if (node.get_int("antialias", 0) != 0)
    return fail(ErrorCode::kUnsupported, "an antialiased Resize");
  if (node.get_string("keep_aspect_ratio_policy", "stretch") != "stretch")
    return fail(ErrorCode::kUnsupported, "a Resize that keeps the aspect ratio");
  std::vector<std::int64_t> axes = node.get_ints("axes");
  if (axes.empty())
    for (std::size_t i = 0; i < x.rank(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  std::vector<float> scales(x.rank(), 1.0f);
  Shape out = x.shape;
  std::vector<double> given;
  if (upsample && c.opset() < 9) {
    for (const float s : node.get_floats("scales")) given.push_back(static_cast<double>(s));
  } else {
    const std::size_t at = early ? 1 : 2;
    if (c.has(at)) {
      INTACT_ASSIGN(given, c.reals(at));
    }
  }
  if (!given.empty()) {
    if (given.size() != axes.size())
      return fail(ErrorCode::kInvalidModel, "one scale an axis is needed");
    for (std::size_t i = 0; i < axes.size(); ++i) {
      INTACT_ASSIGN(const int axis, normalize_axis(axes[i], x.rank()));
      const auto a = static_cast<std::size_t>(axis);
      scales[a] = static_cast<float>(given[i]);
      const double size = std::floor(static_cast<double>(x.shape[a]) * given[i]);
      if (!(given[i] > 0) || !(size < 1e9))
        return fail(ErrorCode::kInvalidModel, fmt::format("a scale of {}", given[i]));
      out[a] = static_cast<std::int64_t>(size);
    }
  } else {
    INTACT_ASSIGN(const auto sizes, c.ints(3));
    if (sizes.size() != axes.size())
      return fail(ErrorCode::kInvalidModel, "one size an axis is needed");
    for (std::size_t i = 0; i < axes.size(); ++i) {
      INTACT_ASSIGN(const int axis, normalize_axis(axes[i], x.rank()));
      const auto a = static_cast<std::size_t>(axis);
      out[a] = sizes[i];
      if (x.shape[a] > 0) scales[a] = static_cast<float>(sizes[i]) / static_cast<float>(x.shape[a]);
    }
  }
  INTACT_TRY(c.output(0, x.dtype, out, x.layout));
  if (num_elements(out) > 0 && x.size() == 0)
    return fail(ErrorCode::kInvalidModel, "a Resize of nothing");
  std::vector<Taps> taps;
  for (std::size_t a = 0; a < x.rank(); ++a) {
    Rule axis_rule = rule;
    // An axis that stays is copied, whatever the mode.
    if (out[a] == x.shape[a] && scales[a] == 1.0f)
      axis_rule = {"nearest", "asymmetric", "floor", 0, false};
    INTACT_ASSIGN(auto t, make_taps(axis_rule, scales[a], x.shape[a], out[a]));
    taps.push_back(std::move(t));
  }
  if (rule.mode == "nearest") return plan_nearest(c, taps);
  if (rule.mode != "linear" && rule.mode != "cubic")
    return fail(ErrorCode::kUnsupported, fmt::format("Resize mode '{}'", rule.mode));
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  std::vector<AxisPass> passes;
  Shape now = x.memory_shape();
  const Shape target = c.outputs_[0].memory_shape();
  for (std::size_t axis = 0; axis < x.rank(); ++axis) {
    const auto d = static_cast<std::size_t>(x.memory_axis(static_cast<int>(axis)));
    if (taps[axis].count == 1) continue;
    passes.push_back({num_elements(std::span(now).first(d)), now[d], target[d],
                      num_elements(std::span(now).subspan(d + 1)), taps[axis]});
    now[d] = target[d];
  }
  if (passes.empty()) return plan_nearest(c, taps);
  plan_passes(c, std::move(passes));
  return {};
}

constexpr OpRow kRows[] = {
    {"", "Resize", 10, plan_resize},
    {"", "Upsample", 7, plan_resize},
};

}  // namespace

std::span<const OpRow> resize_ops() { return kRows; }

}  // namespace intact
