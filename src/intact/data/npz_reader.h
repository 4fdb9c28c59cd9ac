// npz_reader.h: arrays of .npz and .npy files, read in pieces.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/tensor.h"
#include "data/buffer_pool.h"
#include "data/npy.h"
#include "intact/result.h"

namespace intact {

// Bytes with random access; deflated ones are streamed, and going back starts again.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
  // Fills `out` from byte `offset`. Requires offset + out.size() <= size().
  virtual Status read_at(std::uint64_t offset, std::span<std::byte> out) = 0;
};

// One array. Rows are indices along the first axis.
class ArrayReader {
 public:
  // Reads and checks the header: the data has exactly the bytes that it promises.
  static Result<ArrayReader> open(std::unique_ptr<ByteSource> source);

  [[nodiscard]] const NpyHeader& header() const noexcept { return header_; }

  // Returns rows [first, first + count) as [count, ...]. Requires them to exist and a type that is
  // no text. Bytes of bool arrays become 0 or 1.
  Result<Tensor> read_rows(std::int64_t first, std::int64_t count);
  // The whole array; its memory comes from `pool` where there is one.
  Result<Tensor> read_all(BufferPool* pool = nullptr);

  // Returns element `index` of a text array, as UTF-8.
  Result<std::string> read_text(std::int64_t index);

 private:
  ArrayReader(std::unique_ptr<ByteSource> source, NpyHeader header)
      : source_(std::move(source)), header_(std::move(header)) {}
  Result<Tensor> read(Shape shape, std::uint64_t offset, BufferPool& pool);

  std::unique_ptr<ByteSource> source_;
  NpyHeader header_;
  BufferPool pool_;
};

// Opens a .npy file.
Result<ArrayReader> open_npy(const std::string& path);
// The same on bytes in memory, which must outlive the reader.
Result<ArrayReader> open_npy(std::span<const std::byte> file);

// The archive.
class NpzReader {
 public:
  static Result<NpzReader> open(const std::string& path);
  static Result<NpzReader> open(std::span<const std::byte> file);  // Must outlive the reader.

  // The names of the arrays ("x" for entry x.npy), in the order of the archive. Entries that are
  // not *.npy are no arrays.
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }

  // Opens one; several may be open, each keeps the archive alive. Not for concurrent use.
  // Errors: kIo, kInvalidArgument or kUnsupported, naming the array.
  Result<ArrayReader> array(const std::string& name) const;

  struct Archive;

 private:
  explicit NpzReader(std::shared_ptr<Archive> archive) : archive_(std::move(archive)) {}
  static Result<NpzReader> list(std::shared_ptr<Archive> archive);

  std::shared_ptr<Archive> archive_;
  std::vector<std::string> names_;
  std::vector<std::uint64_t> entries_;
};

}  // namespace intact
