#include "base/tensor.h"

#include <algorithm>
#include <limits>

#include "base/half.h"
#include "base/round.h"

namespace intact {
namespace {

template <class T, class Out>
void append_as(const Tensor& t, std::vector<Out>& out) {
  for (const T x : t.values<T>()) out.push_back(static_cast<Out>(x));
}

template <class Out>
void append_half(const Tensor& t, float (*decode)(std::uint16_t), std::vector<Out>& out) {
  const auto* bits = reinterpret_cast<const std::uint16_t*>(t.raw());
  for (std::int64_t i = 0; i < t.size(); ++i) out.push_back(static_cast<Out>(decode(bits[i])));
}

template <class Out>
void append_nibbles(const Tensor& t, std::vector<Out>& out) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(t.raw());
  for (std::int64_t i = 0; i < t.size(); ++i) {
    int code = (bytes[i / 2] >> (i % 2 * 4)) & 0xF;
    if (t.dtype() == Dtype::kInt4 && code > 7) code -= 16;
    out.push_back(static_cast<Out>(code));
  }
}

template <class Out>
std::vector<Out> converted(const Tensor& t) {
  std::vector<Out> out;
  out.reserve(static_cast<std::size_t>(t.size()));
  switch (t.dtype()) {
    case Dtype::kFloat32:
      append_as<float>(t, out);
      break;
    case Dtype::kFloat64:
      append_as<double>(t, out);
      break;
    case Dtype::kUint8:
      append_as<std::uint8_t>(t, out);
      break;
    case Dtype::kInt8:
      append_as<std::int8_t>(t, out);
      break;
    case Dtype::kUint16:
      append_as<std::uint16_t>(t, out);
      break;
    case Dtype::kInt16:
      append_as<std::int16_t>(t, out);
      break;
    case Dtype::kInt32:
      append_as<std::int32_t>(t, out);
      break;
    case Dtype::kUint32:
      append_as<std::uint32_t>(t, out);
      break;
    case Dtype::kInt64:
      append_as<std::int64_t>(t, out);
      break;
    case Dtype::kUint64:
      append_as<std::uint64_t>(t, out);
      break;
    case Dtype::kBool:
      append_as<bool>(t, out);
      break;
    case Dtype::kFloat16:
      append_half(t, &float_from_half, out);
      break;
    case Dtype::kBFloat16:
      append_half(t, &float_from_bfloat16, out);
      break;
    case Dtype::kInt4:
    case Dtype::kUint4:
      append_nibbles(t, out);
      break;
    case Dtype::kString:
    case Dtype::kUndefined:
      INTACT_CHECK(false, "a {} tensor has no numbers", name_of(t.dtype()));
  }
  return out;
}

template <class T>
void store_rounded(Tensor& t, std::span<const double> values) {
  auto out = t.mutable_values<T>();
  constexpr auto kLo = static_cast<double>(std::numeric_limits<T>::lowest());
  constexpr auto kHi = static_cast<double>(std::numeric_limits<T>::max());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = round_half_even(values[i]);
    out[i] = x >= kHi   ? std::numeric_limits<T>::max()
             : x <= kLo ? std::numeric_limits<T>::lowest()
             : x == x   ? static_cast<T>(x)
                        : T{0};
  }
}

}  // namespace

Tensor::Tensor(Dtype dtype, Shape shape)
    : dtype_(dtype), shape_(std::move(shape)), buffer_(Buffer::allocate(bytes_of(dtype, size()))) {}

Tensor::Tensor(Dtype dtype, Shape shape, std::shared_ptr<Buffer> buffer, std::size_t offset)
    : dtype_(dtype), shape_(std::move(shape)), buffer_(std::move(buffer)), offset_(offset) {
  INTACT_CHECK(offset_ + bytes() <= buffer_->bytes(), "a {} {} tensor outside its buffer",
               name_of(dtype_), to_string(shape_));
}

Tensor Tensor::reshaped(Shape shape) const {
  INTACT_CHECK(num_elements(shape) == size(), "{} reshaped to {}", to_string(shape_),
               to_string(shape));
  Tensor t = *this;
  t.shape_ = std::move(shape);
  return t;
}

Tensor Tensor::aligned() const {
  if (!defined() || !buffer_->is_misaligned() || buffer_->is_copied()) return *this;
  Tensor t(dtype_, shape_, Buffer::allocate_uninitialized(bytes()));
  std::memcpy(t.raw(), stored().data(), bytes());
  return t;
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  Tensor t(dtype_, shape_);
  if (bytes() > 0) std::memcpy(t.raw(), raw(), bytes());
  return t;
}

std::vector<std::int64_t> to_int64(const Tensor& t) { return converted<std::int64_t>(t); }
std::vector<double> to_float64(const Tensor& t) { return converted<double>(t); }

Tensor from_float64(Dtype dtype, Shape shape, std::span<const double> values) {
  Tensor t(dtype, std::move(shape));
  INTACT_CHECK(values.size() == static_cast<std::size_t>(t.size()), "{} from {} values",
               to_string(t.shape()), values.size());
  switch (dtype) {
    case Dtype::kFloat32: {
      auto out = t.mutable_values<float>();
      std::transform(values.begin(), values.end(), out.begin(),
                     [](double x) { return static_cast<float>(x); });
      break;
    }
    case Dtype::kFloat64:
      std::copy(values.begin(), values.end(), t.mutable_values<double>().begin());
      break;
    case Dtype::kFloat16:
    case Dtype::kBFloat16: {
      auto* out = reinterpret_cast<std::uint16_t*>(t.raw());
      for (const double x : values)
        *out++ = dtype == Dtype::kFloat16 ? half_from_float(static_cast<float>(x))
                                          : bfloat16_from_float(static_cast<float>(x));
      break;
    }
    case Dtype::kBool: {
      auto out = t.mutable_values<bool>();
      std::transform(values.begin(), values.end(), out.begin(), [](double x) { return x != 0; });
      break;
    }
    case Dtype::kUint8:
      store_rounded<std::uint8_t>(t, values);
      break;
    case Dtype::kInt8:
      store_rounded<std::int8_t>(t, values);
      break;
    case Dtype::kUint16:
      store_rounded<std::uint16_t>(t, values);
      break;
    case Dtype::kInt16:
      store_rounded<std::int16_t>(t, values);
      break;
    case Dtype::kInt32:
      store_rounded<std::int32_t>(t, values);
      break;
    case Dtype::kUint32:
      store_rounded<std::uint32_t>(t, values);
      break;
    case Dtype::kInt64:
      store_rounded<std::int64_t>(t, values);
      break;
    case Dtype::kUint64:
      store_rounded<std::uint64_t>(t, values);
      break;
    case Dtype::kInt4:
    case Dtype::kUint4: {
      const double lo = dtype == Dtype::kInt4 ? -8 : 0;
      auto* out = reinterpret_cast<std::uint8_t*>(t.raw());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double x = std::clamp(round_half_even(values[i]), lo, lo + 15);
        const auto code = static_cast<unsigned>(static_cast<int>(x)) & 0xFu;
        out[i / 2] = static_cast<std::uint8_t>(out[i / 2] | (code << (i % 2 * 4)));
      }
      break;
    }
    case Dtype::kString:
    case Dtype::kUndefined:
      INTACT_CHECK(false, "no {} tensor from numbers", name_of(dtype));
  }
  return t;
}

}  // namespace intact
