// dataset_samples.h: datasets as the public face hands out samples, and back.
#pragma once

#include <memory>

#include "api/byte_words.h"
#include "data/dataset.h"
#include "intact/quantize.h"

namespace intact {

// What a model expects, as the data room says it.
std::vector<InputSpec> specs_of(const Session& session);

// Opens DATA for inputs with these specs, or, where that does not fit and some inputs have byte
// maps, for their other form: bytes in the place of reals, reals in that of bytes. Errors:
// open_dataset's.
Result<std::unique_ptr<Dataset>> open_either_form(const std::string& path,
                                                  const DataOptions& options,
                                                  std::vector<InputSpec> specs,
                                                  const ByteMaps& maps);

// The samples of a dataset, targets included (intact/data.h). Shares the dataset.
SampleSource samples_of(std::shared_ptr<Dataset> data);

// What a sample holds beyond the inputs of a model.
Target target_of(const SampleInputs& sample, const Session& session);

}  // namespace intact
