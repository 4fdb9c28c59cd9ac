#include "quant/byte_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/round.h"

namespace intact {
namespace {

// A float32 has rounded: so far beyond half a byte a real may lie.
constexpr double kRoundingSlack = 1e-2;

// A tensor of four axes seen with its channels in front of its pixels, wherever they lie.
struct View {
  std::int64_t images = 1, channels = 1, pixels = 1;
  std::int64_t channel_step = 0, pixel_step = 1;  // In elements.

  [[nodiscard]] std::int64_t at(std::int64_t n, std::int64_t c, std::int64_t p) const {
    return n * channels * pixels + c * channel_step + p * pixel_step;
  }
};

View channels_at(const Shape& shape, std::size_t axis) {
  View v;
  v.images = shape[0];
  v.channels = shape[axis];
  v.pixels = num_elements(shape) / std::max<std::int64_t>(1, v.images * v.channels);
  v.channel_step = axis == 1 ? v.pixels : 1;
  v.pixel_step = axis == 1 ? 1 : v.channels;
  return v;
}

// How the elements of both sides lie. Errors: as above.
struct Views {
  Shape reals_shape, bytes_shape;
  View reals, bytes;
};
Result<Views> views_of(const Shape& shape, bool given_bytes, const ByteMap& map) {
  Views v{shape, shape, {}, {}};
  if (!map.nhwc && map.is_uniform()) {  // Element by element.
    v.reals.pixels = v.bytes.pixels = num_elements(shape);
    return v;
  }
  if (shape.size() != 4)
    return fail(ErrorCode::kDataMismatch, fmt::format("{} is no image: it has {} axes, not 4",
                                                      to_string(shape), shape.size()));
  if (!map.nhwc) {
    INTACT_ASSIGN(const std::size_t axis, channel_axis(shape));
    v.reals = v.bytes = channels_at(shape, axis);
    return v;
  }
  if (given_bytes)
    v.reals_shape = {shape[0], shape[3], shape[1], shape[2]};
  else
    v.bytes_shape = {shape[0], shape[2], shape[3], shape[1]};
  if (!map.is_uniform() && v.reals_shape[1] != 3)
    return fail(ErrorCode::kDataMismatch,
                fmt::format("the normalization is that of 3 channels, and {} has {}",
                            to_string(shape), v.reals_shape[1]));
  v.reals = channels_at(v.reals_shape, 1);
  v.bytes = channels_at(v.bytes_shape, 3);
  return v;
}

}  // namespace

bool ByteMap::is_uniform() const noexcept {
  const auto same = [](const std::array<double, 3>& v) { return v[1] == v[0] && v[2] == v[0]; };
  return same(mean) && same(std);
}
double ByteMap::slope(std::size_t channel) const noexcept {
  return scale / std[is_uniform() ? 0 : channel];
}
double ByteMap::shift(std::size_t channel) const noexcept {
  const std::size_t c = is_uniform() ? 0 : channel;
  return -mean[c] / std[c];
}

Result<std::size_t> channel_axis(std::span<const std::int64_t> dims) {
  if (dims.size() == 4)
    for (const std::size_t axis : {std::size_t{1}, std::size_t{3}})
      if (dims[axis] == 3) return axis;
  return fail(ErrorCode::kInvalidArgument,
              "mean and std differ between the channels, and neither axis 1 nor the last of the "
              "input has 3 of them");
}

Result<Tensor> bytes_of(const Tensor& reals, const ByteMap& map) {
  INTACT_ASSIGN(const Views v, views_of(reals.shape(), false, map));
  Tensor out(Dtype::kUint8, v.bytes_shape);
  const float* x = reals.values<float>().data();
  std::uint8_t* y = out.mutable_values<std::uint8_t>().data();
  for (std::int64_t n = 0; n < v.reals.images; ++n)
    for (std::int64_t c = 0; c < v.reals.channels; ++c) {
      const auto channel = static_cast<std::size_t>(c);
      const double slope = map.slope(channel), shift = map.shift(channel);
      for (std::int64_t p = 0; p < v.reals.pixels; ++p) {
        const float value = x[v.reals.at(n, c, p)];
        const double byte = (static_cast<double>(value) - shift) / slope;
        if (!(byte >= -0.5 - kRoundingSlack && byte <= 255.5 + kRoundingSlack))
          return fail(ErrorCode::kDataMismatch,
                      fmt::format("{:g} would be byte {:.4g}, outside of 0 to 255: the samples are "
                                  "not (byte * scale - mean) / std with the scale, mean and std "
                                  "that were given (none: bytes as they are)",
                                  value, byte));
        y[v.bytes.at(n, c, p)] =
            static_cast<std::uint8_t>(std::clamp(round_half_even(byte), 0.0, 255.0));
      }
    }
  return out;
}

Result<Tensor> reals_of(const Tensor& bytes, const ByteMap& map) {
  INTACT_ASSIGN(const Views v, views_of(bytes.shape(), true, map));
  Tensor out(Dtype::kFloat32, v.reals_shape);
  const std::uint8_t* x = bytes.values<std::uint8_t>().data();
  float* y = out.mutable_values<float>().data();
  for (std::int64_t n = 0; n < v.reals.images; ++n)
    for (std::int64_t c = 0; c < v.reals.channels; ++c) {
      const auto channel = static_cast<std::size_t>(map.is_uniform() ? 0 : c);
      for (std::int64_t p = 0; p < v.reals.pixels; ++p)
        y[v.reals.at(n, c, p)] = static_cast<float>(
            (x[v.bytes.at(n, c, p)] * map.scale - map.mean[channel]) / map.std[channel]);
    }
  return out;
}

}  // namespace intact
