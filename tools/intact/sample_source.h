// sample_source.h: a Dataset as the public quantizer reads samples.
#pragma once

#include "data/dataset.h"
#include "intact/quantize.h"

namespace intact::cli {

// The dataset must outlive the source.
inline SampleSource source_of(Dataset& data) {
  SampleSource source;
  source.restart = [&data] { return data.restart(); };
  source.next = [&data]() -> Result<std::optional<SampleInputs>> {
    INTACT_ASSIGN(auto sample, data.next());
    if (!sample) return std::optional<SampleInputs>();
    SampleInputs inputs;
    for (auto& [name, t] : sample->inputs)
      inputs[name] = {std::string(name_of(t.dtype())), t.shape(), t.raw(), t.bytes(), t.buffer()};
    return std::optional(std::move(inputs));
  };
  return source;
}

}  // namespace intact::cli
