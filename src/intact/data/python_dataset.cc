// Samples that are Python code of the user.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "data/dataset_source.h"
#include "data/python_process.h"

namespace intact {
namespace {

class PythonDataset final : public Dataset {
 public:
  PythonDataset(std::string path, std::vector<InputSpec> specs, std::vector<NamedTensor> constants,
                bool finite)
      : path_(std::move(path)),
        specs_(std::move(specs)),
        constants_(std::move(constants)),
        finite_(finite) {}

  Status open() {
    INTACT_ASSIGN(process_, PythonProcess::start(*parse_python_name(path_)));
    INTACT_TRY(restart());
    INTACT_ASSIGN(first_, read());
    if (!first_)
      return fail(ErrorCode::kDataMismatch, fmt::format("there are no samples in {}", path_));
    return {};
  }

  [[nodiscard]] std::optional<std::int64_t> size() const override {
    return size_ < 0 ? std::nullopt : std::optional(size_);
  }

  Result<std::optional<Sample>> next() override {
    if (first_) return std::exchange(first_, std::nullopt);
    return read();
  }

  Result<Sample> at(std::int64_t) override {
    return fail(ErrorCode::kUnsupported, fmt::format("{} gives its samples in order only", path_));
  }

  Status restart() override {
    // The sample that was read to be checked is still the next one.
    if (first_ && index_ == 1) return {};
    first_.reset();
    index_ = 0;
    INTACT_ASSIGN(size_, process_->begin());
    return {};
  }

 private:
  Result<std::optional<Sample>> read() {
    INTACT_ASSIGN(auto arrays, process_->next());
    if (!arrays) return std::optional<Sample>();
    RawSample raw{fmt::format("{}: sample {}", path_, index_), {}, {}};
    for (PythonProcess::Array& array : *arrays) {
      // A bare array is the input that has no constant, when there is one such.
      if (array.name.empty() && specs_.size() == constants_.size() + 1) array.name = only_input();
      if (array.text) {
        if (!raw.target.text) raw.target.text = std::move(array.text);
      } else if (is_input(array.name)) {
        raw.inputs.emplace_back(array.name, std::move(array.tensor));
      } else {
        if (is_integer(array.tensor.dtype()) && array.tensor.size() == 1 && !raw.target.label)
          raw.target.label = to_int64(array.tensor)[0];
        raw.target.arrays.emplace_back(array.name, std::move(array.tensor));
      }
    }
    INTACT_ASSIGN(Sample sample,
                  finish_sample(std::move(raw), index_, specs_, constants_, finite_));
    ++index_;
    return std::optional(std::move(sample));
  }

  [[nodiscard]] bool is_input(const std::string& name) const {
    return std::any_of(specs_.begin(), specs_.end(),
                       [&](const InputSpec& s) { return s.name == name; });
  }
  [[nodiscard]] std::string only_input() const {
    for (const InputSpec& s : specs_)
      if (std::none_of(constants_.begin(), constants_.end(),
                       [&](const NamedTensor& c) { return c.first == s.name; }))
        return s.name;
    return "";
  }

  std::string path_;
  std::vector<InputSpec> specs_;
  std::vector<NamedTensor> constants_;
  bool finite_;
  std::unique_ptr<PythonProcess> process_;
  std::optional<Sample> first_;  // Read when the data was opened.
  std::int64_t index_ = 0;       // Of the next sample to be read.
  std::int64_t size_ = -1;
};

}  // namespace

Result<std::unique_ptr<Dataset>> open_python_dataset(const std::string& path,
                                                     std::vector<InputSpec> specs,
                                                     std::vector<NamedTensor> constants,
                                                     bool finite) {
  auto data = std::make_unique<PythonDataset>(path, std::move(specs), std::move(constants), finite);
  INTACT_TRY(data->open());
  return data;
}

}  // namespace intact
