// Shape rules of the operators that move elements: Transpose, Concat, Split, Slice, Pad, Tile.
#include <algorithm>
#include <limits>
#include <numeric>

#include "passes/shape_rules.h"

namespace intact {
namespace {

using Ints = std::vector<std::int64_t>;

void transpose(RuleContext& c) {
  const auto& s = c.in(0).shape;
  if (!s) return c.set(0, c.in(0).dtype);
  Ints perm = c.node.get_ints("perm");
  if (perm.empty())
    for (auto i = static_cast<std::int64_t>(s->size()); i-- > 0;) perm.push_back(i);
  if (perm.size() != s->size()) return c.set(0, c.in(0).dtype);
  Dims out;
  for (const auto p : perm) {
    if (p < 0 || p >= static_cast<std::int64_t>(s->size())) return c.set(0, c.in(0).dtype);
    out.push_back((*s)[static_cast<std::size_t>(p)]);
  }
  c.set(0, c.in(0).dtype, std::move(out));
}

void concat(RuleContext& c) {
  const Dtype dtype = c.in(0).dtype;
  std::optional<Dims> out = c.in(0).shape;
  if (!out || out->empty()) return c.set(0, dtype);
  const auto axis = axis_of(c, 1, out->size());
  if (!axis) return c.set(0, dtype);
  Dims content;
  bool has_content = out->size() == 1;
  std::int64_t sum = 0;
  bool sum_known = true;
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i) {
    const Known& k = c.in(i);
    if (!k.shape || k.shape->size() != out->size()) return c.set(0, dtype);
    for (std::size_t d = 0; d < out->size(); ++d)
      if (d != *axis && !(*out)[d].known()) (*out)[d] = (*k.shape)[d];
    const Dim& along = (*k.shape)[*axis];
    sum_known = sum_known && along.known() && along.size <= kMaxElements;
    if (sum_known) sum += along.size;
    has_content = has_content && k.content;
    if (has_content) content.insert(content.end(), k.content->begin(), k.content->end());
  }
  if (c.node.inputs.size() > 1) (*out)[*axis] = sum_known ? Dim(sum) : c.fresh();
  c.set(0, dtype, std::move(out));
  if (has_content) c.set_content(0, std::move(content));
}

// intact.Channels: the sizes along the axis are written on the node.
void channels(RuleContext& c) {
  const auto& s = c.in(0).shape;
  const auto axis = s ? axis_of(c, 1, s->size()) : std::nullopt;
  const Ints sizes = c.node.get_ints("sizes");
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::optional<Dims> out = s;
    if (axis) (*out)[*axis] = sizes[i];
    c.set(i, c.in(0).dtype, std::move(out));
  }
}

void split(RuleContext& c) {
  const auto& s = c.in(0).shape;
  const std::size_t parts = c.node.outputs.size();
  std::optional<std::size_t> axis;
  if (s) axis = axis_of(c, 0, s->size());
  bool given = false;
  const auto sizes = c.list("split", 1, given);
  for (std::size_t i = 0; i < parts; ++i) {
    if (!s || !axis) {
      c.set(i, c.in(0).dtype);
      continue;
    }
    Dims out = *s;
    const Dim whole = out[*axis];
    Dim part = c.fresh();
    if (given && sizes && sizes->size() == parts) {
      part = (*sizes)[i];
    } else if (!given && whole.known()) {
      // Equal parts; from opset 18 on the last may be smaller.
      const auto n = static_cast<std::int64_t>(parts);
      const std::int64_t each = (whole.size + n - 1) / n;
      part = std::max<std::int64_t>(
          0, std::min(each, whole.size - each * static_cast<std::int64_t>(i)));
    }
    out[*axis] = part;
    c.set(i, c.in(0).dtype, std::move(out));
  }
}

void slice(RuleContext& c) {
  const auto& s = c.in(0).shape;
  if (!s) return c.set(0, c.in(0).dtype);
  bool has_starts = false;
  bool has_ends = false;
  bool has_axes = false;
  bool has_steps = false;
  const auto starts = c.list("starts", 1, has_starts);
  const auto ends = c.list("ends", 2, has_ends);
  auto axes = c.list("axes", 3, has_axes);
  auto steps = c.list("", 4, has_steps);
  if (axes && !has_axes && starts) {
    axes->resize(starts->size());
    std::iota(axes->begin(), axes->end(), 0);
  }
  const auto at = axes ? normalized(*axes, s->size()) : std::nullopt;
  if (!at || (has_steps && !steps)) return c.set(0, c.in(0).dtype, c.fresh(s->size()));
  if (!has_steps) steps->assign(at->size(), 1);
  Dims out = *s;
  const bool ranges = starts && ends && starts->size() == at->size() &&
                      ends->size() == at->size() && steps->size() == at->size();
  std::optional<Dims> content;
  for (std::size_t i = 0; i < at->size(); ++i) {
    Dim& d = out[static_cast<std::size_t>((*at)[i])];
    if (!ranges || (*steps)[i] == 0) {
      d = c.fresh();
      continue;
    }
    const std::int64_t step = (*steps)[i];
    std::int64_t start = (*starts)[i];
    std::int64_t end = (*ends)[i];
    if (!d.known()) {
      // The whole of an unknown dimension: [0:] up to "infinity".
      const bool whole = step == 1 && start == 0 && end >= std::numeric_limits<std::int32_t>::max();
      if (!whole) d = c.fresh();
      continue;
    }
    const std::int64_t n = d.size;
    if (start < 0) start = std::max<std::int64_t>(start, -n - 1) + n;
    if (end < 0) end = std::max<std::int64_t>(end, -n - 1) + n;
    if (step > 0) {
      start = std::clamp<std::int64_t>(start, 0, n);
      end = std::clamp<std::int64_t>(end, 0, n);
      d = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
      start = std::clamp<std::int64_t>(start, 0, n - 1);
      end = std::clamp<std::int64_t>(end, -1, n - 1);
      // step + 1 and not -step: the lowest integer has no negative.
      d = start > end ? (start - end - 1) / -std::max(step, -kMaxElements) + 1 : 0;
    }
    if (c.in(0).content && s->size() == 1) {
      content.emplace();
      for (std::int64_t k = 0, j = start; k < d.size; ++k, j += step)
        content->push_back((*c.in(0).content)[static_cast<std::size_t>(j)]);
    }
  }
  c.set(0, c.in(0).dtype, std::move(out));
  if (content) c.set_content(0, std::move(content));
}

void pad(RuleContext& c) {
  const auto& s = c.in(0).shape;
  bool given = false;
  bool has_axes = false;
  const auto pads = c.list("pads", 1, given);
  auto axes = c.list("", 3, has_axes);
  if (!s) return c.set(0, c.in(0).dtype);
  if (!pads || !axes) return c.set(0, c.in(0).dtype, c.fresh(s->size()));
  if (!has_axes) {
    axes->resize(s->size());
    std::iota(axes->begin(), axes->end(), 0);
  }
  const auto at = normalized(*axes, s->size());
  if (!at || pads->size() != 2 * at->size()) return c.set(0, c.in(0).dtype, c.fresh(s->size()));
  Dims out = *s;
  for (std::size_t i = 0; i < at->size(); ++i) {
    Dim& d = out[static_cast<std::size_t>((*at)[i])];
    const std::int64_t before = (*pads)[i];
    const std::int64_t after = (*pads)[i + at->size()];
    const auto fits = [](std::int64_t p) { return p > -kMaxElements && p < kMaxElements; };
    if (!fits(before) || !fits(after)) {
      d = c.fresh();
      continue;
    }
    const std::int64_t more = before + after;
    if (d.known())
      d = std::max<std::int64_t>(0, d.size + more);
    else if (more != 0)
      d = c.fresh();
  }
  c.set(0, c.in(0).dtype, std::move(out));
}

void tile(RuleContext& c) {
  const auto& s = c.in(0).shape;
  const auto& repeats = c.in(1).content;
  if (!s) return c.set(0, c.in(0).dtype);
  Dims out = *s;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const bool known = repeats && repeats->size() == out.size() && is_number((*repeats)[i]);
    const std::int64_t n = known ? (*repeats)[i].size : -1;
    if (n == 1) continue;
    const bool fits = known && out[i].known() && n >= 0 && n <= kMaxElements &&
                      (out[i].size == 0 || n <= kMaxElements / out[i].size);
    out[i] = fits ? Dim(out[i].size * n) : c.fresh();
  }
  c.set(0, c.in(0).dtype, std::move(out));
}

constexpr NamedRule kRules[] = {
    {"Channels", channels},   {"Concat", concat},       {"Pad", pad},
    {"Slice", slice},         {"Split", split},         {"Tile", tile},
    {"Transpose", transpose}, {"ViewPlain", transpose}, {"ViewChannelsLast", transpose},
};

}  // namespace

ShapeRule find_movement_rule(std::string_view op) { return find_in(kRules, op); }

}  // namespace intact
