#include "calib/gemm_site.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace intact {
namespace {

std::size_t size_at(const Shape& shape, std::size_t i) {
  return static_cast<std::size_t>(shape[i]);
}

// Whether a value is dequantized: then the model is quantized there already.
bool is_dequantized(const Graph& graph, ValueId value) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    return node.is("DequantizeLinear") && node.out(0) == value;
  });
}

// Fills in a site; returns why the node cannot be integer, or an empty text.
std::string describe_site(const Graph& graph, const Node& node, GemmSite& site) {
  const Tensor* w = graph.constant(node.in(1));
  if (w == nullptr && is_dequantized(graph, node.in(1))) return "it is quantized already";
  if (w == nullptr)
    return graph.constant(node.in(0)) != nullptr ? "its constant is the first operand"
                                                 : "both operands are activations";
  if (w->dtype() != Dtype::kFloat32) return fmt::format("its weights are {}", name_of(w->dtype()));
  if (graph.constant(node.in(0)) != nullptr) return "its input is constant";
  const Shape& shape = w->shape();
  if (shape.size() < 2 || w->size() == 0) return "its weights have fewer than two dimensions";
  site.input = node.in(0);
  site.weight = node.in(1);
  site.bias = node.in(2);
  std::size_t kernel = 1;
  for (std::size_t i = 2; i < shape.size(); ++i) kernel *= size_at(shape, i);
  if (node.op == "Conv") {
    site.kind = GemmKind::kConv;
    site.groups = static_cast<std::size_t>(std::max<std::int64_t>(1, node.get_int("group", 1)));
    if (size_at(shape, 0) % site.groups != 0) return "its groups do not divide its channels";
    site.rows = size_at(shape, 0) / site.groups;
    site.taps = size_at(shape, 1) * kernel;
    site.spatial = kernel;
  } else if (node.op == "ConvTranspose") {
    site.kind = GemmKind::kConvTranspose;
    if (node.get_int("group", 1) != 1) return "a grouped ConvTranspose has no per-channel form";
    site.rows = size_at(shape, 1) * kernel;
    site.taps = size_at(shape, 0);
    site.share = kernel;
    site.weight_axis = 1;
  } else {
    if (shape.size() != 2) return "its weights have more than two dimensions";
    site.kind = node.op == "Gemm" ? GemmKind::kGemm : GemmKind::kMatMul;
    if (node.op == "MatMul") site.bias = kNoValue;
    if (node.get_int("transA", 0) != 0) return "its input is transposed (transA)";
    if (node.get_float("alpha", 1.0f) != 1.0f || node.get_float("beta", 1.0f) != 1.0f)
      return "alpha or beta differs from 1";
    site.transposed = node.get_int("transB", 0) != 0;
    site.weight_axis = site.transposed ? 0 : 1;
    site.rows = size_at(shape, site.transposed ? 0 : 1);
    site.taps = size_at(shape, site.transposed ? 1 : 0);
  }
  if (site.bias != kNoValue) {
    const Tensor* b = graph.constant(site.bias);
    if (b == nullptr) return "its bias is not constant";
    if (b->dtype() != Dtype::kFloat32 || static_cast<std::size_t>(b->size()) != site.channels())
      return "its bias does not have one value for each output channel";
    if (b->rank() > 1 && size_at(b->shape(), b->rank() - 1) != site.channels())
      return "its bias varies along the rows";
  }
  return {};
}

// A window of a convolution along one spatial axis.
struct Axis {
  std::int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad = 0;
};

std::vector<Axis> conv_axes(const Graph& graph, const GemmSite& site, const Shape& input) {
  const Node& node = graph.nodes[static_cast<std::size_t>(site.node)];
  const Shape& w = graph.constant(site.weight)->shape();
  const std::size_t d = w.size() - 2;
  const auto strides = node.get_ints("strides", std::vector<std::int64_t>(d, 1));
  const auto dilations = node.get_ints("dilations", std::vector<std::int64_t>(d, 1));
  const auto pads = node.get_ints("pads", std::vector<std::int64_t>(2 * d, 0));
  const std::string automatic = node.get_string("auto_pad", "NOTSET");
  std::vector<Axis> axes(d);
  for (std::size_t i = 0; i < d; ++i) {
    Axis& a = axes[i];
    a.in = input[i + 2];
    a.kernel = w[i + 2];
    a.stride = strides[i];
    a.dilation = dilations[i];
    const std::int64_t reach = (a.kernel - 1) * a.dilation + 1;
    if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
      a.out = (a.in + a.stride - 1) / a.stride;
      const std::int64_t total = std::max<std::int64_t>((a.out - 1) * a.stride + reach - a.in, 0);
      a.pad = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
    } else {
      const bool valid = automatic == "VALID";
      a.pad = valid ? 0 : pads[i];
      a.out = (a.in + a.pad + (valid ? 0 : pads[d + i]) - reach) / a.stride + 1;
    }
  }
  return axes;
}

std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Up to `count` of `total` positions, ascending.
std::vector<std::size_t> choose_positions(std::size_t total, std::size_t count) {
  std::vector<std::size_t> at;
  if (total <= count) {
    for (std::size_t i = 0; i < total; ++i) at.push_back(i);
    return at;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t lo = i * total / count;
    const std::size_t hi = (i + 1) * total / count;
    at.push_back(lo + mix(total * 0x10001u + i) % (hi - lo));
  }
  return at;
}

}  // namespace

bool is_product(const Node& node) {
  return node.domain.empty() && (node.op == "Conv" || node.op == "ConvTranspose" ||
                                 node.op == "Gemm" || node.op == "MatMul");
}

GemmSites find_gemm_sites(const Graph& graph) {
  GemmSites found;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (!is_product(node)) continue;
    GemmSite site;
    site.node = static_cast<std::int32_t>(n);
    std::string reason = describe_site(graph, node, site);
    if (reason.empty())
      found.sites.push_back(site);
    else
      found.reasons[site.node] = std::move(reason);
  }
  return found;
}

template <class T>
std::vector<T> weight_rows(const GemmSite& site, std::span<const T> w) {
  std::vector<T> m(w.begin(), w.end());
  const bool plain = site.kind == GemmKind::kConv || site.transposed;
  if (!plain)  // [taps, rows] -> [rows, taps]
    for (std::size_t k = 0; k < site.taps; ++k)
      for (std::size_t n = 0; n < site.rows; ++n) m[n * site.taps + k] = w[k * site.rows + n];
  return m;
}
template std::vector<float> weight_rows(const GemmSite&, std::span<const float>);
template std::vector<std::int8_t> weight_rows(const GemmSite&, std::span<const std::int8_t>);

std::vector<float> weight_matrix(const GemmSite& site, const Tensor& weight) {
  return weight_rows<float>(site, weight.values<float>());
}

template <class T>
std::vector<T> weight_layout(const GemmSite& site, std::span<const T> matrix, const Shape& shape) {
  INTACT_CHECK(matrix.size() == static_cast<std::size_t>(num_elements(shape)), "weight size");
  std::vector<T> w(matrix.begin(), matrix.end());
  const bool plain = site.kind == GemmKind::kConv || site.transposed;
  if (!plain)
    for (std::size_t k = 0; k < site.taps; ++k)
      for (std::size_t n = 0; n < site.rows; ++n) w[k * site.rows + n] = matrix[n * site.taps + k];
  return w;
}
template std::vector<float> weight_layout(const GemmSite&, std::span<const float>, const Shape&);
template std::vector<std::int8_t> weight_layout(const GemmSite&, std::span<const std::int8_t>,
                                                const Shape&);

int input_channel_axis(const GemmSite& site, std::size_t rank) {
  const bool conv = site.kind == GemmKind::kConv || site.kind == GemmKind::kConvTranspose;
  return conv ? 1 : static_cast<int>(rank) - 1;
}

std::size_t input_channels(const GemmSite& site) { return site.groups * site.taps / site.spatial; }

std::size_t channel_of_tap(const GemmSite& site, std::size_t g, std::size_t k) {
  return g * (site.taps / site.spatial) + k / site.spatial;
}

std::vector<double> tap_coverage(const Graph& graph, const GemmSite& site, const Shape& input) {
  std::vector<double> coverage{1.0};
  if (site.kind != GemmKind::kConv) return std::vector<double>(site.spatial, 1.0);
  for (const Axis& a : conv_axes(graph, site, input)) {
    std::vector<double> next;
    for (const double c : coverage)
      for (std::int64_t k = 0; k < a.kernel; ++k) {
        std::int64_t inside = 0;
        for (std::int64_t o = 0; o < a.out; ++o) {
          const std::int64_t in = o * a.stride - a.pad + k * a.dilation;
          if (in >= 0 && in < a.in) ++inside;
        }
        next.push_back(a.out > 0 ? c * static_cast<double>(inside) / static_cast<double>(a.out)
                                 : 0.0);
      }
    coverage = std::move(next);
  }
  return coverage;
}

namespace {

// The offset of linear position p, in row-major order of the axes [first, last).
std::size_t offset_of(std::size_t p, const Shape& shape, std::span<const std::int64_t> strides,
                      std::size_t first, std::size_t last) {
  std::size_t at = 0;
  for (std::size_t i = last; i-- > first;) {
    at += p % size_at(shape, i) * static_cast<std::size_t>(strides[i]);
    p /= size_at(shape, i);
  }
  return at;
}

// Offsets of a convolution's kernel positions for one output position, or -1 for padding.
void find_window(std::size_t position, std::span<const Axis> axes,
                 std::span<const std::int64_t> strides, std::span<std::int64_t> from) {
  for (std::size_t s = 0; s < from.size(); ++s) {
    std::size_t p = position;
    std::size_t tap = s;
    std::int64_t at = 0;
    for (std::size_t i = axes.size(); i-- > 0;) {
      const Axis& a = axes[i];
      const auto o = static_cast<std::int64_t>(p % static_cast<std::size_t>(a.out));
      const auto k = static_cast<std::int64_t>(tap % static_cast<std::size_t>(a.kernel));
      p /= static_cast<std::size_t>(a.out);
      tap /= static_cast<std::size_t>(a.kernel);
      const std::int64_t in = o * a.stride - a.pad + k * a.dilation;
      if (in < 0 || in >= a.in) at = -1;
      if (at >= 0) at += in * strides[i + 2];
    }
    from[s] = at;
  }
}

template <class Read>
std::size_t gather(const Graph& graph, const GemmSite& site, const Shape& shape,
                   std::span<const std::int64_t> strides, std::size_t count, float* rows,
                   const Read& read) {
  if (num_elements(shape) == 0) return 0;
  const std::size_t rank = shape.size();
  if (site.kind == GemmKind::kGemm || site.kind == GemmKind::kMatMul) {
    const auto at =
        choose_positions(static_cast<std::size_t>(num_elements(shape)) / site.taps, count);
    const auto step = static_cast<std::size_t>(strides[rank - 1]);
    for (const std::size_t p : at) {
      const std::size_t base = offset_of(p, shape, strides, 0, rank - 1);
      for (std::size_t k = 0; k < site.taps; ++k) *rows++ = read(base + k * step);
    }
    return at.size();
  }
  const auto step = static_cast<std::size_t>(strides[1]);
  const auto image = static_cast<std::size_t>(strides[0]);
  const std::size_t channels = size_at(shape, 1);
  if (site.kind == GemmKind::kConvTranspose) {
    std::size_t pixels = 1;
    for (std::size_t i = 2; i < rank; ++i) pixels *= size_at(shape, i);
    const auto at = choose_positions(size_at(shape, 0) * pixels, count);
    for (const std::size_t p : at) {
      const std::size_t base = p / pixels * image + offset_of(p % pixels, shape, strides, 2, rank);
      for (std::size_t c = 0; c < channels; ++c) *rows++ = read(base + c * step);
    }
    return at.size();
  }
  const std::vector<Axis> axes = conv_axes(graph, site, shape);
  std::size_t out = 1;
  for (const Axis& a : axes) out *= static_cast<std::size_t>(std::max<std::int64_t>(a.out, 0));
  const auto at = choose_positions(size_at(shape, 0) * out, count);
  std::vector<std::int64_t> from(site.spatial);
  for (const std::size_t p : at) {
    find_window(p % out, axes, strides, from);
    for (std::size_t s = 0; s < site.spatial; ++s) {
      float* to = rows + s;
      if (from[s] < 0) {
        for (std::size_t c = 0; c < channels; ++c) to[c * site.spatial] = 0.0f;
        continue;
      }
      const std::size_t base = p / out * image + static_cast<std::size_t>(from[s]);
      for (std::size_t c = 0; c < channels; ++c) to[c * site.spatial] = read(base + c * step);
    }
    rows += channels * site.spatial;
  }
  return at.size();
}

}  // namespace

std::size_t gather_rows(const Graph& graph, const GemmSite& site, const Shape& shape,
                        std::span<const std::int64_t> strides, const float* x, std::size_t count,
                        float* rows) {
  return gather(graph, site, shape, strides, count, rows, [x](std::size_t i) { return x[i]; });
}

std::size_t gather_rows(const Graph& graph, const GemmSite& site, const Tensor& codes,
                        std::span<const float, 256> real, std::size_t count, float* rows) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(codes.raw());
  return gather(graph, site, codes.shape(), row_major_strides(codes.shape()), count, rows,
                [=](std::size_t i) { return real[bytes[i]]; });
}

}  // namespace intact
