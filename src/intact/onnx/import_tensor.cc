#include "onnx/import_tensor.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

#include "ir/text.h"
#include "onnx/lift_payloads.h"

namespace intact {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little endian");

// Below this raw data is copied to memory with alignment and slack; above it is kept as it came.
constexpr std::size_t kCopyBytes = 4096;

constexpr std::array<std::string_view, 27> kNames{
    "UNDEFINED",      "FLOAT",    "UINT8",        "INT8",           "UINT16",
    "INT16",          "INT32",    "INT64",        "STRING",         "BOOL",
    "FLOAT16",        "DOUBLE",   "UINT32",       "UINT64",         "COMPLEX64",
    "COMPLEX128",     "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2",
    "FLOAT8E5M2FNUZ", "UINT4",    "INT4",         "FLOAT4E2M1",     "FLOAT8E8M0",
    "UINT2",          "INT2"};

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorCode::kInvalidModel, std::move(message));
}

std::string type_text(const Tensor& t) {
  return fmt::format("{}{}", name_of(t.dtype()), to_string(t.shape()));
}

// Makes the bits that ONNX leaves open the same everywhere.
void normalize(Tensor& t) {
  if (t.dtype() == Dtype::kBool) {
    for (std::byte& b : std::span(t.raw(), t.bytes()))
      if (b > std::byte{1}) b = std::byte{1};
  } else if (bits_of(t.dtype()) == 4 && t.size() % 2 != 0) {
    std::byte& last = t.raw()[t.bytes() - 1];
    if (last > std::byte{0x0F}) last &= std::byte{0x0F};
  }
}

// A tensor over a buffer of exactly its bytes; copied when normalize may write to it.
Tensor over(Dtype dtype, Shape shape, const std::shared_ptr<Buffer>& buffer) {
  const auto width = static_cast<std::size_t>(std::max(bits_of(dtype) / 8, 1));
  const bool aligned = reinterpret_cast<std::uintptr_t>(buffer->data()) % width == 0;
  const bool written =
      dtype == Dtype::kBool || (bits_of(dtype) == 4 && num_elements(shape) % 2 != 0);
  if (!written && buffer->bytes() >= kCopyBytes)
    return {dtype, std::move(shape), aligned ? buffer : Buffer::wrap_misaligned(buffer)};
  Tensor t(dtype, std::move(shape));
  if (t.bytes() > 0) std::memcpy(t.raw(), buffer->data(), t.bytes());
  return t;
}

Result<std::uint64_t> number_of(const proto::StringStringEntryProto& entry) {
  const std::string& text = entry.value();
  std::uint64_t x = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x);
  if (error != std::errc{} || end != text.data() + text.size())
    return wrong(fmt::format("the {} of its external data is '{}', not a number",
                             printable(entry.key()), printable(text)));
  return x;
}

tl::unexpected<Error> wrong_size(std::string_view what, std::uint64_t size, Dtype dtype,
                                 const Shape& shape) {
  return wrong(fmt::format("{} has {} bytes of data, but {}{} needs {}", what, size, name_of(dtype),
                           to_string(shape), bytes_of(dtype, num_elements(shape))));
}

Result<Tensor> external_tensor(const proto::TensorProto& t, Dtype dtype, Shape shape,
                               ExternalData& external) {
  ExternalData::Place place;
  place.bytes = bytes_of(dtype, num_elements(shape));
  std::optional<std::uint64_t> length;
  for (const auto& entry : t.external_data()) {
    if (entry.key() == "location") place.location = entry.value();
    if (entry.key() == "offset") {
      INTACT_ASSIGN(place.offset, number_of(entry));
    }
    if (entry.key() == "length") {
      INTACT_ASSIGN(length, number_of(entry));
    }
  }
  if (length && *length != place.bytes) {
    const bool own = place.location == kThisFile;
    return wrong_size(own ? "it" : "its external data", *length, dtype, shape);
  }
  INTACT_ASSIGN(const std::shared_ptr<Buffer> buffer, external.map(place));
  return over(dtype, std::move(shape), buffer);
}

// Stores typed values, each checked against the range of T.
template <class T, class Field>
Result<Tensor> typed_tensor(Dtype dtype, Shape shape, const Field& field) {
  Tensor t(dtype, std::move(shape));
  auto* out = reinterpret_cast<T*>(t.raw());
  for (const auto x : field) {
    if constexpr (!std::is_same_v<T, std::decay_t<decltype(x)>>)
      if (!std::in_range<T>(x))
        return wrong(fmt::format("it holds {}, which is not a value of {}", x, type_text(t)));
    *out++ = static_cast<T>(x);
  }
  return t;
}

struct Typed {
  int count;              // Of the field that the type asks for.
  std::string_view name;  // Of that field.
};

Typed typed_field(const proto::TensorProto& t, Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat32:
      return {t.float_data_size(), "float_data"};
    case Dtype::kFloat64:
      return {t.double_data_size(), "double_data"};
    case Dtype::kInt64:
      return {t.int64_data_size(), "int64_data"};
    case Dtype::kUint32:
    case Dtype::kUint64:
      return {t.uint64_data_size(), "uint64_data"};
    default:
      return {t.int32_data_size(), "int32_data"};
  }
}

Result<Tensor> typed_values(const proto::TensorProto& t, Dtype dtype, Shape shape) {
  switch (dtype) {
    case Dtype::kFloat32:
      return typed_tensor<float>(dtype, std::move(shape), t.float_data());
    case Dtype::kFloat64:
      return typed_tensor<double>(dtype, std::move(shape), t.double_data());
    case Dtype::kInt64:
      return typed_tensor<std::int64_t>(dtype, std::move(shape), t.int64_data());
    case Dtype::kUint32:
      return typed_tensor<std::uint32_t>(dtype, std::move(shape), t.uint64_data());
    case Dtype::kUint64:
      return typed_tensor<std::uint64_t>(dtype, std::move(shape), t.uint64_data());
    case Dtype::kInt32:
      return typed_tensor<std::int32_t>(dtype, std::move(shape), t.int32_data());
    case Dtype::kInt16:
      return typed_tensor<std::int16_t>(dtype, std::move(shape), t.int32_data());
    case Dtype::kInt8:
      return typed_tensor<std::int8_t>(dtype, std::move(shape), t.int32_data());
    case Dtype::kUint16:
    case Dtype::kFloat16:
    case Dtype::kBFloat16:
      return typed_tensor<std::uint16_t>(dtype, std::move(shape), t.int32_data());
    default:
      return typed_tensor<std::uint8_t>(dtype, std::move(shape), t.int32_data());
  }
}

}  // namespace

std::optional<Dtype> dtype_from_onnx(std::int32_t data_type) {
  if (data_type <= 0 || data_type > 255) return std::nullopt;
  const auto dtype = static_cast<Dtype>(data_type);
  if (name_of(dtype) == name_of(Dtype::kUndefined)) return std::nullopt;
  return dtype;
}

std::string onnx_type_name(std::int32_t data_type) {
  const bool known = data_type >= 0 && data_type < static_cast<std::int32_t>(kNames.size());
  return known ? std::string(kNames[static_cast<std::size_t>(data_type)])
               : fmt::format("{} (unknown)", data_type);
}

Result<Tensor> take_tensor(proto::TensorProto& t, ExternalData& external) {
  const auto dtype = dtype_from_onnx(t.data_type());
  if (t.data_type() == 0) return wrong("it has no element type");
  if (!dtype || bits_of(*dtype) == 0)
    return fail(ErrorCode::kUnsupported, fmt::format("constants of type {} are not supported",
                                                     onnx_type_name(t.data_type())));
  if (t.has_segment())
    return fail(ErrorCode::kUnsupported, "tensors in segments are not supported");
  Shape shape(t.dims().begin(), t.dims().end());
  INTACT_TRY(check_shape(shape));
  const std::int64_t n = num_elements(shape);
  const std::size_t bytes = bytes_of(*dtype, n);

  const int typed_total = t.float_data_size() + t.int32_data_size() + t.int64_data_size() +
                          t.double_data_size() + t.uint64_data_size() + t.string_data_size();
  const bool is_external = t.data_location() == proto::TensorProto::EXTERNAL;
  if (t.data_location() != proto::TensorProto::DEFAULT && !is_external)
    return wrong(
        fmt::format("its data is at location {}, which ONNX does not define", t.data_location()));
  Tensor tensor;
  if (is_external) {
    if (t.has_raw_data() || typed_total > 0)
      return wrong("it has data both in the model and in another file");
    INTACT_ASSIGN(tensor, external_tensor(t, *dtype, std::move(shape), external));
  } else if (t.has_raw_data() && !(t.raw_data().empty() && typed_total > 0)) {
    if (typed_total > 0) return wrong("it has data in two fields");
    if (t.raw_data().size() != bytes) return wrong_size("it", t.raw_data().size(), *dtype, shape);
    const std::shared_ptr<std::string> owner(t.release_raw_data());
    const auto buffer = Buffer::wrap(std::as_writable_bytes(std::span(*owner)), owner);
    tensor = over(*dtype, std::move(shape), buffer);
  } else {
    const auto [count, field] = typed_field(t, *dtype);
    const std::int64_t wanted = bits_of(*dtype) == 4 ? (n + 1) / 2 : n;
    if (count != typed_total)
      return wrong(fmt::format("it has data in fields other than {}, where {} belongs", field,
                               name_of(*dtype)));
    if (count != wanted)
      return wrong(fmt::format("it has {} values, but {}{} needs {}", count, name_of(*dtype),
                               to_string(shape), wanted));
    INTACT_ASSIGN(tensor, typed_values(t, *dtype, std::move(shape)));
    t.Clear();
  }
  normalize(tensor);
  return tensor;
}

}  // namespace intact
