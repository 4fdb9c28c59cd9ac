// Shape rules of the operators that compute with shapes or move elements: Shape, Gather, Reshape,
// ...
#include <algorithm>
#include <map>

#include "passes/shape_rules.h"

namespace intact {
namespace {

using Ints = std::vector<std::int64_t>;

void shape(RuleContext& c) {
  const auto& s = c.in(0).shape;
  if (!s) {
    c.set(0, Dtype::kInt64, c.fresh(1));
    return;
  }
  const auto rank = static_cast<std::int64_t>(s->size());
  const auto clamp = [&](std::int64_t i) {
    return std::clamp<std::int64_t>(i < 0 ? i + rank : i, 0, rank);
  };
  const auto start = clamp(c.node.get_int("start", 0));
  const auto end = std::max(start, clamp(c.node.get_int("end", rank)));
  c.set(0, Dtype::kInt64, Dims{Dim(end - start)});
  c.set_content(0, Dims(s->begin() + start, s->begin() + end));
}

void size(RuleContext& c) {
  c.set(0, Dtype::kInt64, Dims{});
  if (const auto s = concrete(c.in(0).shape); s && check_shape(*s))
    c.set_content(0, Dims{Dim(num_elements(*s))});
}

void constant_node(RuleContext& c) {
  // Its value comes to light in fold_constants; the type is enough here.
  if (const Tensor* t = c.node.get_tensor("value"))
    c.set(0, t->dtype(), Dims(t->shape().begin(), t->shape().end()));
}

void gather(RuleContext& c) {
  const auto& data = c.in(0);
  const auto& indices = c.in(1);
  if (!data.shape || data.shape->empty() || !indices.shape) {
    c.set(0, data.dtype);
    return;
  }
  const auto axis = axis_of(c, 0, data.shape->size());
  if (!axis) return c.set(0, data.dtype);
  Dims out(data.shape->begin(), data.shape->begin() + static_cast<std::ptrdiff_t>(*axis));
  out.insert(out.end(), indices.shape->begin(), indices.shape->end());
  out.insert(out.end(), data.shape->begin() + static_cast<std::ptrdiff_t>(*axis) + 1,
             data.shape->end());
  c.set(0, data.dtype, std::move(out));
  if (!data.content || data.shape->size() != 1 || !indices.content) return;
  Dims content;
  const auto n = static_cast<std::int64_t>(data.content->size());
  for (const Dim& d : *indices.content) {
    const std::int64_t i = d.size < 0 ? d.size + n : d.size;
    if (!is_number(d) || i < 0 || i >= n) return;
    content.push_back((*data.content)[static_cast<std::size_t>(i)]);
  }
  c.set_content(0, std::move(content));
}

void gather_elements(RuleContext& c) { c.set(0, c.in(0).dtype, c.in(1).shape); }

void unsqueeze(RuleContext& c) {
  bool given = false;
  const auto axes = c.list("axes", 1, given);
  const auto& s = c.in(0).shape;
  if (!s || !axes || !given) return c.set(0, c.in(0).dtype);
  const std::size_t rank = s->size() + axes->size();
  const auto at = normalized(*axes, rank);
  if (!at) return c.set(0, c.in(0).dtype);
  Dims out;
  std::size_t next = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    const bool inserted =
        std::find(at->begin(), at->end(), static_cast<std::int64_t>(i)) != at->end();
    if (!inserted && next >= s->size()) return c.set(0, c.in(0).dtype);
    out.push_back(inserted ? Dim(1) : (*s)[next++]);
  }
  const bool keeps_content = rank <= 1;
  c.set(0, c.in(0).dtype, std::move(out));
  if (keeps_content) c.set_content(0, c.in(0).content);
}

void squeeze(RuleContext& c) {
  bool given = false;
  const auto axes = c.list("axes", 1, given);
  const auto& s = c.in(0).shape;
  if (!s || !axes) return c.set(0, c.in(0).dtype);
  Ints at;
  if (given) {
    const auto checked = normalized(*axes, s->size());
    if (!checked) return c.set(0, c.in(0).dtype);
    at = *checked;
  } else {
    for (std::size_t i = 0; i < s->size(); ++i) {
      if (!(*s)[i].known()) return c.set(0, c.in(0).dtype);
      if ((*s)[i].size == 1) at.push_back(static_cast<std::int64_t>(i));
    }
  }
  Dims out;
  for (std::size_t i = 0; i < s->size(); ++i)
    if (std::find(at.begin(), at.end(), static_cast<std::int64_t>(i)) == at.end())
      out.push_back((*s)[i]);
  c.set(0, c.in(0).dtype, std::move(out));
  c.set_content(0, c.in(0).content);
}

// The size that a -1 of Reshape stands for: what the other output dimensions leave of the input's.
Dim remaining(RuleContext& c, const Dims& from, const Dims& to, std::size_t skip) {
  std::map<std::string, int> symbols;
  std::int64_t numerator = 1;
  std::int64_t denominator = 1;
  constexpr std::int64_t kLimit = kMaxElements;
  for (const Dim& d : from) {
    if (!d.known())
      ++symbols[d.symbol];
    else if (d.size == 0 || numerator > kLimit / d.size)
      return c.fresh();
    else
      numerator *= d.size;
  }
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (i == skip) continue;
    if (!to[i].known())
      --symbols[to[i].symbol];
    else if (to[i].size == 0 || denominator > kLimit / to[i].size)
      return c.fresh();
    else
      denominator *= to[i].size;
  }
  std::string left;
  for (const auto& [symbol, count] : symbols) {
    if (count == 0) continue;
    if (count != 1 || !left.empty() || symbol.empty()) return c.fresh();
    left = symbol;
  }
  if (numerator % denominator != 0) return c.fresh();
  const std::int64_t factor = numerator / denominator;
  if (left.empty()) return factor;
  return factor == 1 ? Dim::symbolic(left) : c.fresh();
}

void reshape(RuleContext& c) {
  const auto& s = c.in(0).shape;
  std::optional<Dims> target = c.in(1).content;
  if (c.node.has("shape")) {  // Opset 1.
    const auto list = c.node.get_ints("shape");
    target.emplace(list.size());
    for (std::size_t i = 0; i < list.size(); ++i) (*target)[i].size = list[i];
  }
  if (!target) {
    const auto rank = concrete(c.in(1).shape);
    if (rank && rank->size() == 1 && (*rank)[0] >= 0 && (*rank)[0] <= kMaxRank)
      return c.set(0, c.in(0).dtype, c.fresh(static_cast<std::size_t>((*rank)[0])));
    return c.set(0, c.in(0).dtype);
  }
  const bool copy_zero = c.node.get_int("allowzero", 0) == 0;
  Dims out(target->size());
  std::optional<std::size_t> inferred;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Dim& d = (*target)[i];
    if (!is_number(d)) {
      out[i] = may_be_negative(d) ? c.fresh() : d;
    } else if (d.size == -1) {
      inferred = i;
    } else if (d.size == 0 && copy_zero) {
      out[i] = s && i < s->size() ? (*s)[i] : c.fresh();
    } else {
      out[i] = d.size;
    }
  }
  if (inferred) out[*inferred] = s ? remaining(c, *s, out, *inferred) : c.fresh();
  const bool keeps_content = out.size() <= 1;
  c.set(0, c.in(0).dtype, std::move(out));
  if (keeps_content) c.set_content(0, c.in(0).content);
}

void flatten(RuleContext& c) {
  const auto& s = c.in(0).shape;
  if (!s) return c.set(0, c.in(0).dtype, c.fresh(2));
  std::int64_t axis = c.node.get_int("axis", 1);
  const auto rank = static_cast<std::int64_t>(s->size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis > rank) return c.set(0, c.in(0).dtype, c.fresh(2));
  const Dims head(s->begin(), s->begin() + axis);
  const Dims tail(s->begin() + axis, s->end());
  c.set(0, c.in(0).dtype, Dims{remaining(c, head, {}, 0), remaining(c, tail, {}, 0)});
}

// The contents of a shape input as dimensions; numbers below zero are not sizes.
std::optional<Dims> sizes(RuleContext& c, std::size_t i) {
  std::optional<Dims> content = c.in(i).content;
  if (!content) {
    const auto count = concrete(c.in(i).shape);
    if (!count || count->size() != 1 || (*count)[0] > kMaxRank) return std::nullopt;
    return c.fresh(static_cast<std::size_t>((*count)[0]));
  }
  for (Dim& d : *content)
    if (may_be_negative(d)) d = c.fresh();
  return content;
}

void expand(RuleContext& c) {
  c.set(0, c.in(0).dtype, broadcast_dims(c, c.in(0).shape, sizes(c, 1)));
}

void constant_of_shape(RuleContext& c) {
  const Tensor* value = c.node.get_tensor("value");
  c.set(0, value != nullptr ? value->dtype() : Dtype::kFloat32, sizes(c, 0));
  const auto s = concrete(sizes(c, 0));
  if (!s || s->size() != 1 || (*s)[0] > kMaxRank * 2) return;
  if (value == nullptr || !is_integer(value->dtype()) || value->size() != 1) return;
  Dim element;
  element.size = to_int64(*value)[0];
  c.set_content(0, Dims(static_cast<std::size_t>((*s)[0]), element));
}

void range(RuleContext& c) {
  Dim n = c.fresh();
  const auto number = [&](std::size_t i) -> std::optional<std::int64_t> {
    const auto& x = c.in(i).content;
    if (!x || x->size() != 1 || !is_number((*x)[0])) return std::nullopt;
    return (*x)[0].size;
  };
  const auto start = number(0);
  const auto limit = number(1);
  const auto delta = number(2);
  constexpr std::int64_t kSafe = kMaxElements;
  const auto safe = [&](const auto& x) { return x && *x > -kSafe && *x < kSafe; };
  if (safe(start) && safe(limit) && safe(delta) && *delta != 0) {
    const std::int64_t span = *delta > 0 ? *limit - *start : *start - *limit;
    const std::int64_t step = *delta > 0 ? *delta : -*delta;
    n = span > 0 ? (span + step - 1) / step : 0;
  } else if (start && *start == 0 && delta && *delta == 1 && c.in(1).content &&
             c.in(1).content->size() == 1 && !may_be_negative((*c.in(1).content)[0])) {
    n = (*c.in(1).content)[0];  // Range(0, n, 1) has n elements.
  }
  c.set(0, c.in(0).dtype, Dims{n});
}

constexpr NamedRule kRules[] = {
    {"Constant", constant_node},
    {"ConstantOfShape", constant_of_shape},
    {"Expand", expand},
    {"Flatten", flatten},
    {"Gather", gather},
    {"GatherElements", gather_elements},
    {"Range", range},
    {"Reshape", reshape},
    {"Shape", shape},
    {"Size", size},
    {"Squeeze", squeeze},
    {"Unsqueeze", unsqueeze},
};

}  // namespace

ShapeRule find_shape_op_rule(std::string_view op) { return find_in(kRules, op); }

}  // namespace intact
