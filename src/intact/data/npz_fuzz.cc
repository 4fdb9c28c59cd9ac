// Any bytes, taken for a .npz archive and for a .npy array: every array is opened, and rows are
// read forward, backward and whole, in bounded memory.
#include <algorithm>
#include <array>
#include <cstdint>

#include "data/npz_reader.h"

namespace {

constexpr std::uint64_t kMaxWholeBytes = 1 << 20;

void read_everything(intact::ArrayReader reader) {
  const intact::NpyHeader& header = reader.header();
  if (header.shape.empty()) {
    if (header.text_chars == 0) static_cast<void>(reader.read_all());
    return;
  }
  const std::int64_t rows = header.shape[0];
  if (header.text_chars > 0) {
    const std::int64_t texts = std::min<std::int64_t>(intact::num_elements(header.shape), 16);
    for (std::int64_t i = texts; i-- > 0;) static_cast<void>(reader.read_text(i));
    return;
  }
  if (header.data_bytes() <= kMaxWholeBytes) static_cast<void>(reader.read_all());
  if (rows == 0) return;
  for (const std::int64_t row : std::array<std::int64_t, 4>{0, rows - 1, rows / 2, 0})
    static_cast<void>(reader.read_rows(row, 1));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  if (auto array = intact::open_npy(bytes)) read_everything(*std::move(array));
  const auto archive = intact::NpzReader::open(bytes);
  if (!archive) return 0;
  std::size_t arrays = 0;
  for (const std::string& name : archive->names()) {
    if (++arrays > 16) break;
    if (auto array = archive->array(name)) read_everything(*std::move(array));
  }
  return 0;
}
