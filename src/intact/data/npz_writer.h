// npz_writer.h: .npz files that appear whole or not at all, readable by numpy.load.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "data/sample.h"
#include "intact/result.h"

namespace intact {

// Appends rows to any number of arrays, in any order, in constant memory: each array is spooled to
// an unlinked temporary file in the folder of the output, and finish() assembles the archive
// (stored, zip64 where needed, fixed times: equal arrays give equal bytes) and renames it.
class NpzWriter {
 public:
  // An existing file is replaced by finish(). Errors: kIo when the folder cannot be written.
  static Result<NpzWriter> create(std::string path);
  NpzWriter(NpzWriter&&) noexcept;
  NpzWriter& operator=(NpzWriter&&) noexcept;
  ~NpzWriter();  // Without finish(), nothing is left on disk.

  // Appends `rows` [n, ...] along the first axis of array `name`; a scalar is one row.
  // Errors: kIo (disk full, ...); kDataMismatch when type or row shape differ from the first
  // append's; kUnsupported for types that numpy lacks (bfloat16, int4).
  Status append(std::string_view name, const Tensor& rows);

  // Writes the archive. Errors: kIo; kInvalidArgument without a single array. Nothing may be
  // appended after it.
  Status finish();

 private:
  friend Status write_npz(const std::string& path, std::span<const NamedTensor> arrays);
  struct State;
  explicit NpzWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Writes whole arrays; scalars stay scalars (one sample of a folder of .npz, say). Errors: as
// NpzWriter.
Status write_npz(const std::string& path, std::span<const NamedTensor> arrays);

}  // namespace intact
