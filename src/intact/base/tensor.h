// tensor.h: a typed, shaped, dense row-major array in a shared buffer.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/check.h"
#include "base/dtype.h"
#include "base/shape.h"

namespace intact {

// Copies share the buffer; clone() does not. A default-constructed tensor is undefined: it stands
// for an omitted optional input.
class Tensor {
 public:
  Tensor() = default;
  // Zeroed. Requires a shape that check_shape accepts and a fixed-width type.
  Tensor(Dtype dtype, Shape shape);
  // A view of `buffer` from byte `offset` on.
  Tensor(Dtype dtype, Shape shape, std::shared_ptr<Buffer> buffer, std::size_t offset = 0);

  // Copies the values. Requires values.size() == num_elements(shape).
  template <class T>
  static Tensor of(Shape shape, std::span<const T> values) {
    Tensor t(kDtypeOf<T>, std::move(shape));
    INTACT_CHECK(values.size() == static_cast<std::size_t>(t.size()), "tensor of {} from {} values",
                 to_string(t.shape()), values.size());
    if (!values.empty()) std::memcpy(t.raw(), values.data(), values.size_bytes());
    return t;
  }
  template <class T>
  static Tensor of(Shape shape, std::initializer_list<T> values) {
    return of<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }
  template <class T>
  static Tensor scalar(T value) {
    return of<T>({}, {value});
  }

  [[nodiscard]] bool defined() const noexcept { return buffer_ != nullptr; }
  [[nodiscard]] Dtype dtype() const noexcept { return dtype_; }
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t rank() const noexcept { return shape_.size(); }
  [[nodiscard]] std::int64_t size() const noexcept { return num_elements(shape_); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_of(dtype_, size()); }
  [[nodiscard]] std::byte* raw() const { return buffer_->data() + offset_; }
  // The bytes where they lie, at any address (Buffer::wrap_misaligned).
  [[nodiscard]] std::span<const std::byte> stored() const {
    return buffer_->stored().subspan(offset_, bytes());
  }
  [[nodiscard]] const std::shared_ptr<Buffer>& buffer() const noexcept { return buffer_; }

  // The elements. Requires T to be the C++ type of dtype().
  template <class T>
  [[nodiscard]] std::span<const T> values() const {
    INTACT_CHECK(kDtypeOf<T> == dtype_, "a {} tensor read as {}", name_of(dtype_),
                 name_of(kDtypeOf<T>));
    return {reinterpret_cast<const T*>(raw()), static_cast<std::size_t>(size())};
  }
  template <class T>
  [[nodiscard]] std::span<T> mutable_values() {
    INTACT_CHECK(kDtypeOf<T> == dtype_, "a {} tensor written as {}", name_of(dtype_),
                 name_of(kDtypeOf<T>));
    return {reinterpret_cast<T*>(raw()), static_cast<std::size_t>(size())};
  }

  // Returns the same bytes under another shape. Requires equal element counts.
  [[nodiscard]] Tensor reshaped(Shape shape) const;
  [[nodiscard]] Tensor clone() const;
  // The same elements, for who reads them once: where raw() would make a copy that stays as long as
  // the buffer, a copy that goes with what is returned.
  [[nodiscard]] Tensor aligned() const;

 private:
  Dtype dtype_ = Dtype::kUndefined;
  Shape shape_;
  std::shared_ptr<Buffer> buffer_;
  std::size_t offset_ = 0;
};

// Returns the elements of a bool, integer (4 to 64 bits) or float tensor, converted.
// to_int64 truncates floats toward zero.
std::vector<std::int64_t> to_int64(const Tensor& t);
std::vector<double> to_float64(const Tensor& t);

// Returns a tensor of that type from real values: integers are rounded half to even and clamped.
Tensor from_float64(Dtype dtype, Shape shape, std::span<const double> values);

}  // namespace intact
