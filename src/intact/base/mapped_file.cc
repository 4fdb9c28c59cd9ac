#include "base/mapped_file.h"

#include <sys/mman.h>

#include "base/check.h"

namespace intact {

std::shared_ptr<MappedFile> MappedFile::map(int fd, std::uint64_t bytes) {
  if (bytes == 0) return std::shared_ptr<MappedFile>(new MappedFile({}));
  void* at = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (at == MAP_FAILED) return nullptr;
  return std::shared_ptr<MappedFile>(
      new MappedFile({static_cast<std::byte*>(at), static_cast<std::size_t>(bytes)}));
}

MappedFile::~MappedFile() {
  if (!memory_.empty()) munmap(memory_.data(), memory_.size());
}

std::shared_ptr<Buffer> MappedFile::part(std::uint64_t offset, std::uint64_t bytes) {
  INTACT_CHECK(offset <= memory_.size() && bytes <= memory_.size() - offset,
               "{} bytes from {} of {} mapped", bytes, offset, memory_.size());
  return Buffer::wrap_mapping(memory_.subspan(offset, bytes), shared_from_this());
}

}  // namespace intact
