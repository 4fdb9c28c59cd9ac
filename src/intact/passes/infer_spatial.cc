// Shape rules of the operators over [N, C, spatial...]: convolution, pooling, resizing.
#include <algorithm>

#include "passes/shape_rules.h"

namespace intact {
namespace {

using Ints = std::vector<std::int64_t>;

// Attributes come from the file: beyond these limits nothing is inferred, so nothing overflows.
constexpr std::int64_t kLimit = std::int64_t{1} << 30;
bool in_limits(const Ints& list) {
  return std::all_of(list.begin(), list.end(),
                     [](std::int64_t x) { return x > -kLimit && x < kLimit; });
}

Ints or_ones(Ints list, std::size_t n) {
  if (list.size() != n) list.assign(n, 1);
  return list;
}

// The window that slides over the spatial axes.
struct Window {
  Ints kernel, strides, dilations, pads;  // pads: [begin..., end...]
  std::string auto_pad;
  bool usable = false;
};

Window window_of(const RuleContext& c, Ints kernel) {
  const std::size_t n = kernel.size();
  Window w;
  w.strides = or_ones(c.node.get_ints("strides"), n);
  w.dilations = or_ones(c.node.get_ints("dilations"), n);
  w.pads = c.node.get_ints("pads");
  if (w.pads.size() != 2 * n) w.pads.assign(2 * n, 0);
  w.auto_pad = c.node.get_string("auto_pad", "NOTSET");
  w.kernel = std::move(kernel);
  w.usable =
      in_limits(w.kernel) && in_limits(w.strides) && in_limits(w.dilations) && in_limits(w.pads);
  return w;
}

// out = floor((in + pads - dilation (kernel - 1) - 1) / stride) + 1, or ceil.
Dim slide(RuleContext& c, const Dim& in, const Window& w, std::size_t i, bool ceil_mode) {
  if (!w.usable) return c.fresh();
  const std::int64_t stride = w.strides[i];
  const std::int64_t reach = w.dilations[i] * (w.kernel[i] - 1);
  if (stride < 1) return c.fresh();
  const bool same_size = w.auto_pad == "SAME_UPPER" || w.auto_pad == "SAME_LOWER";
  const std::int64_t pads = w.auto_pad == "VALID" ? 0 : w.pads[i] + w.pads[i + w.kernel.size()];
  if (stride == 1 && (same_size || pads == reach)) return in;
  if (!in.known() || in.size >= kLimit) return c.fresh();
  if (same_size) return (in.size + stride - 1) / stride;
  const std::int64_t room = in.size + pads - reach - 1;
  if (room < 0) return c.fresh();
  if (!ceil_mode) return room / stride + 1;
  std::int64_t out = (room + stride - 1) / stride + 1;
  // A window that would start in the padding at the end is dropped.
  if ((out - 1) * stride >= in.size + w.pads[i]) --out;
  return out;
}

void conv(RuleContext& c) {
  const auto& x = c.in(0).shape;
  const auto& weight = c.in(1).shape;
  const Dtype dtype = c.node.is("ConvInteger") ? Dtype::kInt32 : c.in(0).dtype;
  if (!x || x->size() < 3) return c.set(0, dtype);
  const std::size_t n = x->size() - 2;
  Ints kernel = c.node.get_ints("kernel_shape");
  if (kernel.empty() && weight)
    if (const auto w = concrete(weight); w && w->size() == n + 2)
      kernel.assign(w->begin() + 2, w->end());
  Dims out = c.fresh(x->size());
  out[0] = (*x)[0];
  if (weight && weight->size() == x->size()) out[1] = (*weight)[0];
  if (kernel.size() == n) {
    const Window w = window_of(c, std::move(kernel));
    for (std::size_t i = 0; i < n; ++i) out[i + 2] = slide(c, (*x)[i + 2], w, i, false);
  }
  c.set(0, dtype, std::move(out));
}

void conv_transpose(RuleContext& c) {
  const auto& x = c.in(0).shape;
  const auto weight = concrete(c.in(1).shape);
  const Dtype dtype = c.in(0).dtype;
  if (!x || x->size() < 3) return c.set(0, dtype);
  const std::size_t n = x->size() - 2;
  Dims out = c.fresh(x->size());
  out[0] = (*x)[0];
  if (weight && weight->size() == x->size()) {
    const std::int64_t group = c.node.get_int("group", 1);
    if (group >= 1 && group < kLimit && (*weight)[1] < kLimit) out[1] = (*weight)[1] * group;
    const Window w = window_of(c, Ints(weight->begin() + 2, weight->end()));
    Ints extra = c.node.get_ints("output_padding");
    if (extra.size() != n) extra.assign(n, 0);
    const Ints fixed = c.node.get_ints("output_shape");
    for (std::size_t i = 0; i < n; ++i) {
      if (fixed.size() == n) {
        out[i + 2] = fixed[i];
      } else if ((*x)[i + 2].known() && (*x)[i + 2].size < kLimit && w.usable && in_limits(extra) &&
                 (w.auto_pad == "NOTSET" || w.auto_pad == "VALID")) {
        const std::int64_t size = w.strides[i] * ((*x)[i + 2].size - 1) + extra[i] +
                                  w.dilations[i] * (w.kernel[i] - 1) + 1 - w.pads[i] -
                                  w.pads[i + n];
        if (size >= 0) out[i + 2] = size;
      }
    }
  }
  c.set(0, dtype, std::move(out));
}

void pool(RuleContext& c) {
  const auto& x = c.in(0).shape;
  if (!x || x->size() < 3) return c.set(0, c.in(0).dtype);
  const std::size_t n = x->size() - 2;
  Ints kernel = c.node.get_ints("kernel_shape");
  Dims out = c.fresh(x->size());
  out[0] = (*x)[0];
  out[1] = (*x)[1];
  if (kernel.size() == n) {
    const Window w = window_of(c, std::move(kernel));
    const bool ceil_mode = c.node.get_int("ceil_mode", 0) != 0;
    for (std::size_t i = 0; i < n; ++i) out[i + 2] = slide(c, (*x)[i + 2], w, i, ceil_mode);
  }
  if (c.node.is("MaxPool")) c.set(1, Dtype::kInt64, out);
  c.set(0, c.in(0).dtype, std::move(out));
}

void global_pool(RuleContext& c) {
  const auto& x = c.in(0).shape;
  if (!x || x->size() < 2) return c.set(0, c.in(0).dtype);
  Dims out(x->size(), Dim(1));
  out[0] = (*x)[0];
  out[1] = (*x)[1];
  c.set(0, c.in(0).dtype, std::move(out));
}

void like_input(RuleContext& c) { c.set(0, c.in(0).dtype, c.in(0).shape); }

// Sizes given by input 3 are exact; scales give floor(size * scale).
void resize(RuleContext& c) {
  const auto& x = c.in(0).shape;
  if (!x) return c.set(0, c.in(0).dtype);
  Dims out = c.fresh(x->size());
  const bool old = c.node.is("Upsample") || (c.graph().opset() < 11 && c.graph().opset() > 0);
  const bool plain =
      !c.node.has("axes") && c.node.get_string("keep_aspect_ratio_policy", "stretch") == "stretch";
  const auto& given_sizes = c.in(3).content;
  const Tensor* scales = c.graph().constant(c.node.in(old ? 1 : 2));
  if (plain && given_sizes && given_sizes->size() == out.size()) {
    for (std::size_t i = 0; i < out.size(); ++i)
      if (!may_be_negative((*given_sizes)[i])) out[i] = (*given_sizes)[i];
  } else if (plain && scales != nullptr && static_cast<std::size_t>(scales->size()) == out.size()) {
    const auto factors = to_float64(*scales);
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (factors[i] == 1.0)
        out[i] = (*x)[i];
      else if ((*x)[i].known() && factors[i] > 0 && factors[i] < 1e6 && (*x)[i].size < (1 << 30))
        out[i] = static_cast<std::int64_t>(static_cast<double>((*x)[i].size) * factors[i]);
    }
  }
  c.set(0, c.in(0).dtype, std::move(out));
}

void depth_to_space(RuleContext& c) {
  const auto& x = c.in(0).shape;
  const std::int64_t b = c.node.get_int("blocksize", 0);
  if (!x || x->size() != 4 || b < 1 || b > (1 << 15)) return c.set(0, c.in(0).dtype);
  const bool up = c.node.is("DepthToSpace");
  const auto times = [&](const Dim& d, std::int64_t f) {
    return d.known() && d.size < (std::int64_t{1} << 31) ? Dim(d.size * f) : c.fresh();
  };
  const auto over = [&](const Dim& d, std::int64_t f) {
    return d.known() && d.size % f == 0 ? Dim(d.size / f) : c.fresh();
  };
  const std::int64_t bb = b * b;
  Dims out{(*x)[0], up ? over((*x)[1], bb) : times((*x)[1], bb),
           up ? times((*x)[2], b) : over((*x)[2], b), up ? times((*x)[3], b) : over((*x)[3], b)};
  c.set(0, c.in(0).dtype, std::move(out));
}

constexpr NamedRule kRules[] = {
    {"AveragePool", pool},
    {"BatchNormalization", like_input},
    {"Conv", conv},
    {"ConvInteger", conv},
    {"ConvTranspose", conv_transpose},
    {"DepthToSpace", depth_to_space},
    {"GlobalAveragePool", global_pool},
    {"GlobalLpPool", global_pool},
    {"GlobalMaxPool", global_pool},
    {"GroupNormalization", like_input},
    {"InstanceNormalization", like_input},
    {"LpPool", pool},
    {"MaxPool", pool},
    {"Resize", resize},
    {"SpaceToDepth", depth_to_space},
    {"Upsample", resize},
};

}  // namespace

ShapeRule find_spatial_rule(std::string_view op) { return find_in(kRules, op); }

}  // namespace intact
