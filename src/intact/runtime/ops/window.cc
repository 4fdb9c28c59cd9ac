#include "runtime/ops/window.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace intact {
namespace {

Result<std::int32_t> narrow(std::int64_t x, const char* what) {
  if (x < 0 || x > std::numeric_limits<std::int32_t>::max() / 4)
    return fail(ErrorCode::kInvalidModel, fmt::format("{} is {}", what, x));
  return static_cast<std::int32_t>(x);
}

}  // namespace

Shape Window::out_shape(std::int64_t batch, std::int64_t channels) const {
  if (spatial == 1) return {batch, channels, geometry.out_w};
  return {batch, channels, geometry.out_h, geometry.out_w};
}

Status require_image(const OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo& x = c.input(0);
  if (x.rank() < 3)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("{} is no image [N, C, ...]", to_string(x.shape)));
  if (x.layout != Layout::kChannelsLast)
    return fail(
        ErrorCode::kUnsupported,
        "the rank of its image is known only when it runs; declare the model's input shapes");
  return {};
}

Result<Window> read_window(const Node& node, const ValueInfo& x, std::vector<std::int64_t> kernel) {
  if (x.rank() < 3 || x.rank() > 4)
    return fail(ErrorCode::kUnsupported, fmt::format("{} of a rank-{} tensor; intact takes one or "
                                                     "two spatial axes",
                                                     node.op, x.rank()));
  Window window;
  const std::size_t spatial = x.rank() - 2;
  window.spatial = static_cast<int>(spatial);
  const auto declared = node.get_ints("kernel_shape");
  if (kernel.empty()) kernel = declared;
  if (!declared.empty() && declared != kernel)
    return fail(ErrorCode::kInvalidModel, fmt::format("kernel_shape {} but weights of {}",
                                                      to_string(declared), to_string(kernel)));
  auto strides = node.get_ints("strides", std::vector<std::int64_t>(spatial, 1));
  auto dilations = node.get_ints("dilations", std::vector<std::int64_t>(spatial, 1));
  auto pads = node.get_ints("pads", std::vector<std::int64_t>(2 * spatial, 0));
  if (kernel.size() != spatial || strides.size() != spatial || dilations.size() != spatial ||
      pads.size() != 2 * spatial)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("kernel, strides, dilations or pads do not have {} axes", spatial));
  const std::string auto_pad = node.get_string("auto_pad", "NOTSET");
  const bool ceil_mode = node.get_int("ceil_mode", 0) != 0;
  std::vector<std::int64_t> out(spatial);
  for (std::size_t i = 0; i < spatial; ++i) {
    if (kernel[i] < 1 || strides[i] < 1 || dilations[i] < 1 || pads[i] < 0 || pads[i + spatial] < 0)
      return fail(ErrorCode::kInvalidModel,
                  "a kernel size, stride or dilation below 1, or a negative pad");
    const std::int64_t in = x.shape[i + 2];
    const std::int64_t reach = (kernel[i] - 1) * dilations[i] + 1;
    if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      out[i] = (in + strides[i] - 1) / strides[i];
      const std::int64_t total = std::max<std::int64_t>(0, (out[i] - 1) * strides[i] + reach - in);
      pads[i] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
      pads[i + spatial] = total - pads[i];
      continue;
    }
    if (auto_pad == "VALID") pads[i] = pads[i + spatial] = 0;
    const std::int64_t room = in + pads[i] + pads[i + spatial] - reach;
    if (room < 0 || in < 1)
      return fail(ErrorCode::kInvalidModel,
                  fmt::format("a window of {} does not fit into {} with pads {}", reach,
                              to_string(x.shape), to_string(pads)));
    out[i] = room / strides[i] + 1;
    if (ceil_mode && room % strides[i] != 0) {
      ++out[i];
      // A window that would start in the padding behind the input is dropped.
      if ((out[i] - 1) * strides[i] >= in + pads[i]) --out[i];
    }
  }
  WindowGeometry& g = window.geometry;
  const auto at = [&](const std::vector<std::int64_t>& v, std::size_t from_last,
                      std::int64_t otherwise) {
    return from_last < spatial ? v[spatial - 1 - from_last] : otherwise;
  };
  g.in_w = x.shape.back();
  g.in_h = spatial == 2 ? x.shape[2] : 1;
  g.out_w = at(out, 0, 1);
  g.out_h = at(out, 1, 1);
  INTACT_ASSIGN(g.kernel_w, narrow(at(kernel, 0, 1), "kernel width"));
  INTACT_ASSIGN(g.kernel_h, narrow(at(kernel, 1, 1), "kernel height"));
  INTACT_ASSIGN(g.stride_w, narrow(at(strides, 0, 1), "stride"));
  INTACT_ASSIGN(g.stride_h, narrow(at(strides, 1, 1), "stride"));
  INTACT_ASSIGN(g.dilation_w, narrow(at(dilations, 0, 1), "dilation"));
  INTACT_ASSIGN(g.dilation_h, narrow(at(dilations, 1, 1), "dilation"));
  INTACT_ASSIGN(g.pad_left, narrow(pads[spatial - 1], "pad"));
  INTACT_ASSIGN(g.pad_top, narrow(spatial == 2 ? pads[0] : 0, "pad"));
  INTACT_ASSIGN(window.pad_right, narrow(pads.back(), "pad"));
  INTACT_ASSIGN(window.pad_bottom, narrow(spatial == 2 ? pads[2] : 0, "pad"));
  return window;
}

namespace {

struct Phase {
  std::int64_t first = 0;  // Output position of t = 0.
  std::int64_t count = 0;  // Positions.
  std::int64_t taps = 0;   // Kernel positions.
  std::int64_t pad = 0;    // Of the ordinary convolution.
};

Phase phase_of(std::int64_t phase, std::int64_t stride, std::int64_t kernel, std::int64_t pad,
               std::int64_t out) {
  Phase p;
  p.first = ((phase - pad) % stride + stride) % stride;
  p.count = p.first < out ? (out - p.first - 1) / stride + 1 : 0;
  p.taps = kernel > phase ? (kernel - phase - 1) / stride + 1 : 0;
  p.pad = p.taps - 1 - (p.first + pad - phase) / stride;
  return p;
}

}  // namespace

Shape TransposedWindow::out_shape(std::int64_t batch, std::int64_t channels) const {
  if (spatial == 1) return {batch, channels, out_w};
  return {batch, channels, out_h, out_w};
}

Result<TransposedWindow> read_transposed_window(const Node& node, const ValueInfo& x,
                                                const Shape& weights) {
  if (x.rank() < 3 || x.rank() > 4)
    return fail(ErrorCode::kUnsupported,
                fmt::format("ConvTranspose of a rank-{} tensor; intact takes "
                            "one or two spatial axes",
                            x.rank()));
  const std::size_t spatial = x.rank() - 2;
  const std::int64_t groups = node.get_int("group", 1);
  if (weights.size() != x.rank() || groups < 1 || weights[0] != x.shape[1] ||
      x.shape[1] % groups != 0)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("weights {} in {} groups do not fit an input {}", to_string(weights),
                            groups, to_string(x.shape)));
  const std::vector<std::int64_t> ones(spatial, 1), zeros(spatial, 0);
  const auto strides = node.get_ints("strides", ones);
  const auto dilations = node.get_ints("dilations", ones);
  const auto extra = node.get_ints("output_padding", zeros);
  auto pads = node.get_ints("pads", std::vector<std::int64_t>(2 * spatial, 0));
  const auto wanted = node.get_ints("output_shape");
  const std::string auto_pad = node.get_string("auto_pad", "NOTSET");
  if (std::any_of(dilations.begin(), dilations.end(), [](auto d) { return d != 1; }))
    return fail(ErrorCode::kUnsupported, "a dilated transposed convolution");
  if (strides.size() != spatial || extra.size() != spatial || pads.size() != 2 * spatial ||
      (!wanted.empty() && wanted.size() < spatial))
    return fail(ErrorCode::kInvalidModel,
                "strides, pads, output_padding or output_shape of the wrong length");
  std::vector<std::int64_t> kernel(weights.begin() + 2, weights.end()), out(spatial);
  for (std::size_t i = 0; i < spatial; ++i) {
    if (strides[i] < 1 || kernel[i] < 1)
      return fail(ErrorCode::kInvalidModel, "a stride or kernel size below 1");
    const std::int64_t full = (x.shape[i + 2] - 1) * strides[i] + extra[i] + kernel[i];
    if (!wanted.empty() || auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      out[i] = wanted.empty() ? x.shape[i + 2] * strides[i] : wanted[wanted.size() - spatial + i];
      const std::int64_t total = std::max<std::int64_t>(0, full - out[i]);
      pads[i] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    } else {
      if (auto_pad == "VALID") pads[i] = pads[i + spatial] = 0;
      out[i] = full - pads[i] - pads[i + spatial];
    }
    if (out[i] < 1 || pads[i] < 0)
      return fail(ErrorCode::kInvalidModel, "an empty output or a negative pad");
  }
  const bool two = spatial == 2;
  TransposedWindow t;
  t.spatial = static_cast<int>(spatial);
  t.out_h = two ? out[0] : 1;
  t.out_w = out.back();
  t.stride_h = two ? strides[0] : 1;
  t.stride_w = strides.back();
  const std::int64_t kh = two ? kernel[0] : 1, kw = kernel.back();
  t.kernel_size = kh * kw;
  for (std::int64_t py = 0; py < t.stride_h; ++py)
    for (std::int64_t px = 0; px < t.stride_w; ++px) {
      const Phase y = phase_of(py, t.stride_h, kh, two ? pads[0] : 0, t.out_h);
      const Phase z = phase_of(px, t.stride_w, kw, pads[spatial - 1], t.out_w);
      if (y.count == 0 || z.count == 0) continue;
      TransposedPhase phase;
      phase.first_y = y.first;
      phase.first_x = z.first;
      WindowGeometry& g = phase.window;
      g.in_h = two ? x.shape[2] : 1;
      g.in_w = x.shape.back();
      g.out_h = y.count;
      g.out_w = z.count;
      const bool empty = y.taps == 0 || z.taps == 0;
      g.kernel_h = empty ? 1 : static_cast<std::int32_t>(y.taps);
      g.kernel_w = empty ? 1 : static_cast<std::int32_t>(z.taps);
      g.pad_top = static_cast<std::int32_t>(y.pad);
      g.pad_left = static_cast<std::int32_t>(z.pad);
      for (std::int64_t ty = 0; !empty && ty < y.taps; ++ty)
        for (std::int64_t tx = 0; tx < z.taps; ++tx)
          phase.kernel.push_back((py + t.stride_h * (y.taps - 1 - ty)) * kw + px +
                                 t.stride_w * (z.taps - 1 - tx));
      t.phases.push_back(std::move(phase));
    }
  return t;
}

}  // namespace intact
