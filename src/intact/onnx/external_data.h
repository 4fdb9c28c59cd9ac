// external_data.h: tensor bytes that lie in files beside the model.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/buffer.h"
#include "intact/result.h"

namespace intact {

// Maps each file once. Pages are private: writing to a tensor never reaches the file.
class ExternalData {
 public:
  // `folder` is where the model lies; empty refuses every file.
  explicit ExternalData(std::string folder) : folder_(std::move(folder)) {}

  struct Place {
    std::string location;  // Relative to the folder, as the model says.
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };

  // Returns a buffer over those bytes. Errors: kInvalidModel for a location that is absolute, goes
  // up, or leads out of the folder through symbolic links, and for bytes beyond the end of the
  // file; kIo when the file is missing or cannot be read.
  Result<std::shared_ptr<Buffer>> map(const Place& place);

 private:
  struct File {
    std::byte* data = nullptr;
    std::uint64_t bytes = 0;
    ~File();
  };
  Result<std::shared_ptr<File>> open_file(const std::string& location);

  std::string folder_;
  std::map<std::string, std::shared_ptr<File>> files_;
};

}  // namespace intact
