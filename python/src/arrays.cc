#include "arrays.h"

#include <nanobind/stl/string.h>

#include <memory>
#include <vector>

#include "bind.h"

namespace nb = nanobind;

namespace intact::python {
namespace {

using Code = nb::dlpack::dtype_code;

struct NamedDtype {
  const char* name;
  nb::dlpack::dtype dtype;
};

constexpr NamedDtype dtype_of(const char* name, Code code, int bits) {
  return {name, {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(bits), 1}};
}

// What numpy has too. bfloat16 comes out as uint16: numpy has no such type.
constexpr NamedDtype kDtypes[] = {
    dtype_of("float32", Code::Float, 32), dtype_of("uint8", Code::UInt, 8),
    dtype_of("int8", Code::Int, 8),       dtype_of("int64", Code::Int, 64),
    dtype_of("int32", Code::Int, 32),     dtype_of("bool", Code::Bool, 8),
    dtype_of("float64", Code::Float, 64), dtype_of("float16", Code::Float, 16),
    dtype_of("uint16", Code::UInt, 16),   dtype_of("int16", Code::Int, 16),
    dtype_of("uint32", Code::UInt, 32),   dtype_of("uint64", Code::UInt, 64)};

}  // namespace

DenseArray dense_array(nb::handle value, const std::string& name) {
  DenseArray array;
  if (!nb::try_cast(value, array))
    raise({ErrorCode::kDataMismatch,
           "an array of " + dtype_name(value) +
               " is not read; give one of numpy's floats, integers or bool, with .astype(...)",
           "input '" + name + "'"});
  return array;
}

TensorView view_of(nb::handle value, const std::string& name, DenseArray& held) {
  held = dense_array(value, name);
  TensorView view;
  view.data = held.data();
  for (std::size_t i = 0; i < held.ndim(); ++i)
    view.shape.push_back(static_cast<std::int64_t>(held.shape(i)));
  for (const NamedDtype& d : kDtypes)
    if (d.dtype == held.dtype()) view.dtype = d.name;
  if (view.dtype.empty()) view.dtype = dtype_name(value);
  return view;
}

nb::object to_numpy(const OwnedTensor& t) {
  if (t.dtype == "utf8") return nb::cast(std::string(static_cast<const char*>(t.data), t.bytes));
  const std::string name = t.dtype == "bfloat16" ? "uint16" : t.dtype;
  for (const NamedDtype& d : kDtypes) {
    if (d.name != name) continue;
    auto* owner = new std::shared_ptr<void>(t.owner);
    const nb::capsule capsule(
        owner, [](void* p) noexcept { delete static_cast<std::shared_ptr<void>*>(p); });
    const std::vector<std::size_t> shape(t.shape.begin(), t.shape.end());
    return nb::cast(nb::ndarray<nb::numpy>(t.data, shape.size(), shape.data(), capsule, nullptr,
                                           d.dtype, nb::device::cpu::value));
  }
  raise({ErrorCode::kUnsupported, "numpy has no type " + t.dtype, "output"});
}

}  // namespace intact::python
