// pack_archive.h: packed weights to bytes of a file, and back.
//
// A packed type lists its members once, in `fields()`; both directions follow that list. Plain data
// is stored as it is, a kernel by its name, and bytes of a Buffer on a cache line of the file, so
// that reading makes a view of the mapping instead of a copy.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/align.h"
#include "base/mapped_file.h"
#include "kernels/kernel_table.h"

namespace intact {

template <class T>
concept Packable = requires(T& object) {
  object.fields();
};

// An array in a packed type: elements that are made once, then shared by all that copy it. One that
// was read lies in the file, where all processes have it.
template <class T>
class PackedArray {
 public:
  static_assert(std::is_trivially_copyable_v<T>);
  PackedArray() = default;
  PackedArray(std::span<const T> elements) {
    if (elements.empty()) return;
    buffer_ = Buffer::allocate_uninitialized(elements.size_bytes());
    std::memcpy(buffer_->data(), elements.data(), elements.size_bytes());
  }
  PackedArray(const std::vector<T>& elements) : PackedArray(std::span<const T>(elements)) {}

  // Null when there are no elements.
  [[nodiscard]] const T* data() const {
    return buffer_ ? reinterpret_cast<const T*>(buffer_->data()) : nullptr;
  }
  [[nodiscard]] std::size_t size() const { return buffer_ ? buffer_->bytes() / sizeof(T) : 0; }
  [[nodiscard]] bool empty() const { return size() == 0; }
  operator std::span<const T>() const { return {data(), size()}; }

  auto fields() { return std::tie(buffer_); }

 private:
  std::shared_ptr<Buffer> buffer_;
};

class PackWriter {
 public:
  // Appends an object; false when it holds a kernel that is in no table.
  template <class T>
  bool write(const T& x) {
    if constexpr (Packable<T>) {
      // fields() is one list for both directions, and nothing is changed here.
      return std::apply([&](const auto&... field) { return (write(field) && ...); },
                        const_cast<T&>(x).fields());
    } else if constexpr (std::is_pointer_v<T>) {
      using Kernel = std::remove_const_t<std::remove_pointer_t<T>>;
      if (x == nullptr) return write(std::string());
      for (const Kernel* row : kernel_rows<Kernel>())
        if (row == x) return write(std::string(x->name));
      return false;
    } else if constexpr (std::is_same_v<T, std::shared_ptr<Buffer>>) {
      write(x != nullptr);
      if (x == nullptr) return true;
      write(static_cast<std::uint64_t>(x->bytes()));
      bytes_.resize(align_up(bytes_.size()));
      append(x->data(), x->bytes());
      return true;
    } else if constexpr (requires { x.data(), x.size(); }) {
      static_assert(std::is_trivially_copyable_v<typename T::value_type>);
      write(static_cast<std::uint64_t>(x.size()));
      append(x.data(), x.size() * sizeof(typename T::value_type));
      return true;
    } else {
      static_assert(std::is_trivially_copyable_v<T>);
      append(&x, sizeof x);
      return true;
    }
  }

  [[nodiscard]] std::string take() && { return std::move(bytes_); }

 private:
  void append(const void* data, std::size_t bytes) {
    bytes_.append(static_cast<const char*>(data), bytes);
  }

  std::string bytes_;
};

class PackReader {
 public:
  // Reads bytes [begin, end) of the file. `begin` lies on a cache line.
  PackReader(std::shared_ptr<MappedFile> file, std::uint64_t begin, std::uint64_t end)
      : file_(std::move(file)), at_(begin), end_(end) {}

  // Reads an object; false when the bytes are none.
  template <class T>
  bool read(T& x) {
    if constexpr (Packable<T>) {
      return std::apply([&](auto&... field) { return (read(field) && ...); }, x.fields());
    } else if constexpr (std::is_pointer_v<T>) {
      std::string name;
      if (!read(name)) return false;
      x = nullptr;
      if (name.empty()) return true;
      for (const auto* row : kernel_rows<std::remove_const_t<std::remove_pointer_t<T>>>())
        if (row->name == name) x = row;
      return x != nullptr;
    } else if constexpr (std::is_same_v<T, std::shared_ptr<Buffer>>) {
      x = nullptr;
      bool there = false;
      std::uint64_t bytes = 0;
      if (!read(there)) return false;
      if (!there) return true;
      if (!read(bytes)) return false;
      at_ = align_up(at_);
      if (at_ > end_ || bytes > end_ - at_) return false;
      x = file_->part(at_, bytes);
      at_ += bytes;
      return true;
    } else if constexpr (requires { x.data(), x.resize(0); }) {
      std::uint64_t count = 0;
      if (!read(count) || count > (end_ - at_) / sizeof(typename T::value_type)) return false;
      x.resize(count);
      return copy(x.data(), count * sizeof(typename T::value_type));
    } else {
      return copy(&x, sizeof x);
    }
  }

 private:
  bool copy(void* to, std::size_t bytes) {
    if (bytes > end_ - at_) return false;
    if (bytes > 0) std::memcpy(to, file_->bytes().data() + at_, bytes);
    at_ += bytes;
    return true;
  }

  std::shared_ptr<MappedFile> file_;
  std::uint64_t at_;
  std::uint64_t end_;
};

}  // namespace intact
