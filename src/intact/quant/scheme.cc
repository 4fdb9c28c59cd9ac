#include "quant/scheme.h"

#include <algorithm>

#include "base/check.h"

namespace intact {

Result<CodeRange> code_range(Dtype dtype) {
  switch (dtype) {
    case Dtype::kInt4:
      return CodeRange{-8, 7};
    case Dtype::kUint4:
      return CodeRange{0, 15};
    case Dtype::kInt8:
      return CodeRange{-128, 127};
    case Dtype::kUint8:
      return CodeRange{0, 255};
    case Dtype::kInt16:
      return CodeRange{-32768, 32767};
    case Dtype::kUint16:
      return CodeRange{0, 65535};
    default:
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{} holds no codes; choose int4, uint4, int8, uint8, int16 or uint16",
                              name_of(dtype)));
  }
}

Result<CodeRange> symmetric_code_range(Dtype dtype) {
  INTACT_ASSIGN(const CodeRange all, code_range(dtype));
  if (all.lo == 0) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} has no symmetric codes; choose a signed type", name_of(dtype)));
  }
  return CodeRange{-all.hi, all.hi};
}

std::string to_string(const Scheme& s) {
  std::string text =
      fmt::format("{} {}", name_of(s.dtype), s.symmetric ? "symmetric" : "asymmetric");
  switch (s.granularity) {
    case Granularity::kTensor:
      return text + " per tensor";
    case Granularity::kChannel:
      return text + fmt::format(" per channel of axis {}", s.axis);
    case Granularity::kGroup:
      break;
  }
  return text + fmt::format(" per group of {} along axis {}", s.group_elems, s.axis);
}

AxisView axis_view(std::span<const std::int64_t> shape, std::size_t axis) {
  INTACT_CHECK(axis < shape.size(), "axis {} of a tensor of rank {}", axis, shape.size());
  AxisView view;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const auto size = static_cast<std::size_t>(shape[d]);
    (d < axis ? view.outer : d == axis ? view.channels : view.inner) *= size;
  }
  return view;
}

namespace {

// Calls run(offset, length, channel) for each contiguous run of one channel.
template <class Run>
void for_each_run(const AxisView& view, const Run& run) {
  std::size_t at = 0;
  for (std::size_t o = 0; o < view.outer; ++o) {
    for (std::size_t c = 0; c < view.channels; ++c, at += view.inner) run(at, view.inner, c);
  }
}

// Calls run(offset, length, map index) for each contiguous run of elements that share a map.
template <class Run>
void for_each_group_run(const AxisView& view, std::size_t group, const Run& run) {
  const std::size_t groups = (view.channels + group - 1) / group;
  if (view.inner == 1) {
    std::size_t at = 0;
    for (std::size_t o = 0; o < view.outer; ++o) {
      for (std::size_t c = 0; c < view.channels; c += group) {
        const std::size_t n = std::min(group, view.channels - c);
        run(at, n, o * groups + c / group);
        at += n;
      }
    }
    return;
  }
  std::size_t at = 0;
  for (std::size_t o = 0; o < view.outer; ++o) {
    for (std::size_t c = 0; c < view.channels; ++c) {
      for (std::size_t i = 0; i < view.inner; ++i) {
        run(at++, 1, (o * groups + c / group) * view.inner + i);
      }
    }
  }
}

void check_view(std::size_t x, std::size_t q, const AxisView& view, std::size_t maps,
                std::size_t expected) {
  INTACT_CHECK(x == view.size() && q == x, "{} values and {} codes in a view of {}", x, q,
               view.size());
  INTACT_CHECK(maps == expected, "{} maps where {} are needed", maps, expected);
}

}  // namespace

template <Code T>
void quantize_channels(std::span<const float> x, const AxisView& view, std::span<const Affine> maps,
                       std::span<T> q) {
  check_view(x.size(), q.size(), view, maps.size(), view.channels);
  for_each_run(view, [&](std::size_t at, std::size_t n, std::size_t c) {
    quantize<T>(x.subspan(at, n), maps[c], q.subspan(at, n));
  });
}

template <Code T>
void dequantize_channels(std::span<const T> q, const AxisView& view, std::span<const Affine> maps,
                         std::span<float> x) {
  check_view(x.size(), q.size(), view, maps.size(), view.channels);
  for_each_run(view, [&](std::size_t at, std::size_t n, std::size_t c) {
    dequantize<T>(q.subspan(at, n), maps[c], x.subspan(at, n));
  });
}

std::size_t num_groups(const AxisView& view, std::size_t group) noexcept {
  return view.outer * ((view.channels + group - 1) / group) * view.inner;
}

template <Code T>
void quantize_groups(std::span<const float> x, const AxisView& view, std::size_t group,
                     std::span<const Affine> maps, std::span<T> q) {
  INTACT_CHECK(group > 0, "groups of no elements");
  check_view(x.size(), q.size(), view, maps.size(), num_groups(view, group));
  for_each_group_run(view, group, [&](std::size_t at, std::size_t n, std::size_t m) {
    quantize<T>(x.subspan(at, n), maps[m], q.subspan(at, n));
  });
}

template <Code T>
void dequantize_groups(std::span<const T> q, const AxisView& view, std::size_t group,
                       std::span<const Affine> maps, std::span<float> x) {
  INTACT_CHECK(group > 0, "groups of no elements");
  check_view(x.size(), q.size(), view, maps.size(), num_groups(view, group));
  for_each_group_run(view, group, [&](std::size_t at, std::size_t n, std::size_t m) {
    dequantize<T>(q.subspan(at, n), maps[m], x.subspan(at, n));
  });
}

template <Code T>
void pack_nibbles(std::span<const T> codes, std::span<std::uint8_t> packed) {
  INTACT_CHECK(packed.size() == (codes.size() + 1) / 2, "{} codes into {} bytes", codes.size(),
               packed.size());
  for (std::size_t i = 0; i < packed.size(); ++i) {
    const unsigned low = static_cast<unsigned>(codes[2 * i]) & 15u;
    const unsigned high =
        2 * i + 1 < codes.size() ? static_cast<unsigned>(codes[2 * i + 1]) & 15u : 0u;
    packed[i] = static_cast<std::uint8_t>(low | high << 4);
  }
}

template <Code T>
void unpack_nibbles(std::span<const std::uint8_t> packed, std::span<T> codes) {
  INTACT_CHECK(packed.size() == (codes.size() + 1) / 2, "{} bytes into {} codes", packed.size(),
               codes.size());
  for (std::size_t i = 0; i < codes.size(); ++i) {
    int v = (packed[i / 2] >> (i % 2 == 0 ? 0 : 4)) & 15;
    if (std::is_signed_v<T> && v > 7) v -= 16;
    codes[i] = static_cast<T>(v);
  }
}

#define INTACT_SCHEME_OF(T)                                                                       \
  template void quantize_channels(std::span<const float>, const AxisView&,                        \
                                  std::span<const Affine>, std::span<T>);                         \
  template void dequantize_channels(std::span<const T>, const AxisView&, std::span<const Affine>, \
                                    std::span<float>);                                            \
  template void quantize_groups(std::span<const float>, const AxisView&, std::size_t,             \
                                std::span<const Affine>, std::span<T>);                           \
  template void dequantize_groups(std::span<const T>, const AxisView&, std::size_t,               \
                                  std::span<const Affine>, std::span<float>);                     \
  template void pack_nibbles(std::span<const T>, std::span<std::uint8_t>);                        \
  template void unpack_nibbles(std::span<const std::uint8_t>, std::span<T>)
INTACT_SCHEME_OF(std::int8_t);
INTACT_SCHEME_OF(std::uint8_t);
INTACT_SCHEME_OF(std::int16_t);
INTACT_SCHEME_OF(std::uint16_t);
#undef INTACT_SCHEME_OF

}  // namespace intact
