// dataset.h: DATA, the stream of samples that calibration, evaluation and `run` read.
//
//   samples.npz           arrays named like the inputs, first axis: samples; read row by row
//   samples.npy           the same for a model with one input
//   folder of .npz/.npy   one sample a file, in byte order of the names; sizes may differ
//   folder of JPEG/PNG    needs DataOptions::images (data/image_prep.h); labels from labels.csv
//                         (file,label[,...], a header line may stand first) or from sub-folders
//                         (classes numbered in byte order of their names)
//   FILE.py:NAME          an iterable of {input name: array}, or a function that returns one
//
// Only a few samples are ever held, whatever the size of the data. Everything that can be checked
// without reading values (names, types, shapes, readable headers) is checked by open_dataset.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/sample.h"
#include "intact/data.h"
#include "intact/result.h"

namespace intact {

class Dataset {
 public:
  virtual ~Dataset() = default;

  // Returns the number of samples, or nothing when only reading to the end tells.
  [[nodiscard]] virtual std::optional<std::int64_t> size() const = 0;

  // Returns the next sample, or nothing after the last.
  virtual Result<std::optional<Sample>> next() = 0;

  // Returns sample i. Errors: kInvalidArgument outside [0, size()); kUnsupported for a stream that
  // cannot seek. next() continues behind it.
  virtual Result<Sample> at(std::int64_t i) = 0;

  // Starts again at sample 0.
  virtual Status restart() = 0;

  // What a user should know: arrays that were not used, labels that are missing.
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }

 protected:
  std::vector<std::string> notes_;
};

// Opens DATA for a model with these inputs. Errors: kIo, kInvalidArgument (options),
// kDataMismatch (a sample that does not fit; there are no samples), kUnsupported.
Result<std::unique_ptr<Dataset>> open_dataset(const std::string& path, const DataOptions& options,
                                              std::vector<InputSpec> specs);

// Returns a dataset over samples in memory, e.g. of a Python iterable already read; each is fitted
// and checked as it is handed out.
std::unique_ptr<Dataset> dataset_of(std::vector<std::vector<NamedTensor>> samples,
                                    std::vector<InputSpec> specs, bool check_finite = true);

// Returns the constant of 'NAME=VALUE' fitted to its input. VALUE is one number (fills the input;
// free dimensions count 1), as many numbers as the input has elements, separated by commas, or the
// path of a .npy file. Errors: kInvalidArgument.
Result<NamedTensor> parse_constant(const std::string& text, const std::vector<InputSpec>& specs);

// `--feed-back OUT=IN`: the value of output OUT becomes input IN of the next sample. The first
// sample takes IN from the data or a constant, or zeros (free dimensions count 1).
struct FeedBack {
  std::string output;
  std::string input;
};

// Errors: kInvalidArgument when the text is not 'OUT=IN' or a name is unknown or repeated.
Result<std::vector<FeedBack>> parse_feed_backs(const std::vector<std::string>& texts,
                                               const std::vector<std::string>& outputs,
                                               const std::vector<InputSpec>& specs);

// Carries state from one run to the next. Inputs that are fed back need no samples: open the
// dataset with the specs of the others, `without(specs, feed_backs)`.
class StateCarrier {
 public:
  StateCarrier(std::vector<FeedBack> feed_backs, std::vector<InputSpec> specs);

  // Sets the fed-back inputs of `sample`, appending those that it lacks.
  // Errors: kDataMismatch when a carried value does not fit the input.
  Status before_run(Sample& sample) const;
  // Remembers the outputs that are fed back. Errors: kDataMismatch when one is missing.
  Status after_run(std::span<const NamedTensor> outputs);
  // Forgets: the next sample is a first one.
  void reset() noexcept { state_.clear(); }

 private:
  std::vector<FeedBack> feed_backs_;
  std::vector<InputSpec> specs_;
  std::vector<Tensor> state_;  // As feed_backs_, or empty before the first run.
};

std::vector<InputSpec> without(const std::vector<InputSpec>& specs,
                               const std::vector<FeedBack>& feed_backs);

}  // namespace intact
