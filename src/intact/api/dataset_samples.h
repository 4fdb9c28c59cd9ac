// dataset_samples.h: datasets as the public face hands out samples, and back.
#pragma once

#include <memory>

#include "data/dataset.h"
#include "intact/quantize.h"

namespace intact {

// What a model expects, as the data room says it.
std::vector<InputSpec> specs_of(const Session& session);

// The samples of a dataset, targets included (intact/data.h). Shares the dataset.
SampleSource samples_of(std::shared_ptr<Dataset> data);

// What a sample holds beyond the inputs of a model.
Target target_of(const SampleInputs& sample, const Session& session);

}  // namespace intact
