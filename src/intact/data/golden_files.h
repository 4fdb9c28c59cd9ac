// golden_files.h: where the tests find their golden files. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "data/npz_reader.h"

namespace intact {

inline std::string golden(const std::string& name) {
  return std::string(INTACT_SOURCE_DIR) + "/tests/golden/data/" + name;
}

inline Tensor golden_array(const std::string& archive, const std::string& name) {
  const auto reader = NpzReader::open(golden(archive));
  if (!reader) throw std::runtime_error(reader.error().text());
  auto array = reader->array(name);
  if (!array) throw std::runtime_error(array.error().text());
  auto value = array->read_all();
  if (!value) throw std::runtime_error(value.error().text());
  return *std::move(value);
}

// A folder that goes with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "intact_test.XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_),
                                                  std::filesystem::directory_iterator()));
  }

 private:
  std::filesystem::path path_;
};

}  // namespace intact
