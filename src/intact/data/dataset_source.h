// dataset_source.h: where samples come from, before they are fitted to the model. Private.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image_prep.h"
#include "data/npz_reader.h"
#include "data/sample.h"
#include "intact/result.h"

namespace intact {

// One sample as it lies in the data.
struct RawSample {
  std::string name;
  std::vector<NamedTensor> inputs;  // Not yet fitted.
  Target target;
};

// A source has checked names, types and shapes of all samples when it is made.
class RawSource {
 public:
  virtual ~RawSource() = default;
  [[nodiscard]] virtual std::int64_t size() const = 0;
  virtual Result<RawSample> read(std::int64_t i) = 0;
};

// Fits a raw sample to the model: constants added, names, types and shapes checked and, when
// `finite`, values. Errors name the sample.
Result<Sample> finish_sample(RawSample raw, std::int64_t index, const std::vector<InputSpec>& specs,
                             const std::vector<NamedTensor>& constants, bool finite);

// FILE.py:NAME (data/python_process.h): a stream, whose first sample has been checked.
Result<std::unique_ptr<Dataset>> open_python_dataset(const std::string& path,
                                                     std::vector<InputSpec> specs,
                                                     std::vector<NamedTensor> constants,
                                                     bool finite);

using SourceResult = Result<std::unique_ptr<RawSource>>;

// samples.npz and samples.npy. Appends to notes what is not used.
SourceResult open_archive_source(const std::string& path, const std::vector<InputSpec>& specs,
                                 std::vector<std::string>& notes);
SourceResult open_npy_source(const std::string& path, const std::vector<InputSpec>& specs);

// A file of a folder, with its label if there is one.
struct DataFile {
  std::filesystem::path path;
  std::string name;  // Relative to the folder.
  Target target;
};

SourceResult open_folder_source(std::vector<DataFile> files, const std::vector<InputSpec>& specs);
SourceResult open_image_source(std::vector<DataFile> files, const ImagePrep& prep,
                               const std::vector<InputSpec>& specs);

// Returns the samples of a folder in order, labelled from labels.csv or sub-folders, and whether
// they are images. Errors: kIo; kInvalidArgument for a mixture or a bad labels.csv; kDataMismatch
// when there are none.
struct FolderListing {
  std::vector<DataFile> files;
  bool images = false;
};
Result<FolderListing> list_folder(const std::string& path, std::vector<std::string>& notes);

}  // namespace intact
