// external_data.h: tensor bytes that lie in files beside the model.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/mapped_file.h"
#include "intact/result.h"

namespace intact {

// Maps each file once, read-only.
class ExternalData {
 public:
  // `folder` is where the model lies; empty refuses every file. `model` is the model's own file
  // where it is mapped (lift_payloads.h), else null.
  explicit ExternalData(std::string folder, std::shared_ptr<MappedFile> model = nullptr);

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
  Result<std::shared_ptr<MappedFile>> open_file(const std::string& location);

  std::string folder_;
  std::map<std::string, std::shared_ptr<MappedFile>> files_;
};

}  // namespace intact
