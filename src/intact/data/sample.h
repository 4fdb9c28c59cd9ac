// sample.h: one sample: what a model receives in one run, and what is known about the answer.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/tensor.h"
#include "intact/result.h"

namespace intact {

// What a model expects of one input.
struct InputSpec {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> dims;  // -1: any size. The first is the batch axis.
  bool ranked = true;              // False: the model leaves the rank open; dims is ignored.
};

// Returns "float32 [?,3,224,224]".
std::string to_string(const InputSpec& spec);

using NamedTensor = std::pair<std::string, Tensor>;

// The answer, where the data has one. `label` and `text` come from labels.csv or sub-folders,
// `arrays` from the arrays of an .npz that are not inputs.
struct Target {
  std::optional<std::int64_t> label;  // Class index.
  std::optional<std::string> text;    // The label as it was written.
  std::vector<NamedTensor> arrays;

  [[nodiscard]] bool empty() const noexcept { return !label && !text && arrays.empty(); }
};

struct Sample {
  std::int64_t index = 0;           // Position in the dataset, from 0.
  std::string name;                 // For messages: a file name, or "sample 12".
  std::vector<NamedTensor> inputs;  // In the order of the specs, batch axis included.
  Target target;

  // Returns the input of that name, or nullptr.
  [[nodiscard]] const Tensor* find(std::string_view input) const noexcept;
};

// Returns `value` as the model takes it: as it is when it has the rank of the input, with a batch
// axis of 1 in front when it has one less. Nothing else is guessed, no type is converted.
// Errors: kDataMismatch naming the input, what it expects, what it got, and the remedy.
Result<Tensor> fit_input(const InputSpec& spec, const Tensor& value);

// The check behind fit_input, for a shape and a type known without the values.
// Returns the shape with its batch axis.
Result<Shape> fit_shape(const InputSpec& spec, Dtype dtype, std::span<const std::int64_t> shape);

// Fits each input of `values` to `specs` and returns them in the order of the specs.
// Errors: kDataMismatch for a missing input (the message lists what there is), or as fit_input.
Result<std::vector<NamedTensor>> fit_sample(std::span<const InputSpec> specs,
                                            std::span<const NamedTensor> values);

// Returns nothing, or kDataMismatch naming the input, the sample and the position of the first NaN
// or infinity. Integers always pass.
Status check_finite(const Sample& sample);

}  // namespace intact
