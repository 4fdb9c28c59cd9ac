#include "data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "base/check.h"
#include "data/dataset_source.h"
#include "data/image_prep.h"
#include "data/python_process.h"

namespace intact {
namespace {

auto bad(std::string message) { return fail(ErrorCode::kInvalidArgument, std::move(message)); }

class MemorySource final : public RawSource {
 public:
  explicit MemorySource(std::vector<std::vector<NamedTensor>> samples)
      : samples_(std::move(samples)) {}
  [[nodiscard]] std::int64_t size() const override {
    return static_cast<std::int64_t>(samples_.size());
  }
  Result<RawSample> read(std::int64_t i) override {
    return RawSample{fmt::format("sample {}", i), samples_[static_cast<std::size_t>(i)], {}};
  }

 private:
  std::vector<std::vector<NamedTensor>> samples_;
};

// Fits what a source gives, adds the constants, and looks for NaN.
class SourceDataset final : public Dataset {
 public:
  SourceDataset(std::unique_ptr<RawSource> source, std::vector<InputSpec> specs,
                std::vector<NamedTensor> constants, bool check, std::vector<std::string> notes)
      : source_(std::move(source)),
        specs_(std::move(specs)),
        constants_(std::move(constants)),
        check_(check) {
    notes_ = std::move(notes);
  }

  [[nodiscard]] std::optional<std::int64_t> size() const override { return source_->size(); }

  Result<std::optional<Sample>> next() override {
    if (at_ >= source_->size()) return std::optional<Sample>();
    INTACT_ASSIGN(Sample sample, at(at_));
    return std::optional<Sample>(std::move(sample));
  }

  Result<Sample> at(std::int64_t i) override {
    if (i < 0 || i >= source_->size())
      return bad(fmt::format("there is no sample {}; the data has {}", i, source_->size()));
    INTACT_ASSIGN(RawSample raw, source_->read(i));
    INTACT_ASSIGN(Sample sample, finish_sample(std::move(raw), i, specs_, constants_, check_));
    at_ = i + 1;
    return sample;
  }

  Status restart() override {
    at_ = 0;
    return {};
  }

 private:
  std::unique_ptr<RawSource> source_;
  std::vector<InputSpec> specs_;
  std::vector<NamedTensor> constants_;
  bool check_;
  std::int64_t at_ = 0;
};

SourceResult open_source(const std::string& path, const std::string& images,
                         const std::vector<InputSpec>& specs, std::vector<std::string>& notes) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    return fail(ErrorCode::kIo, fmt::format("there is no file or folder {}", path));
  }
  const bool folder = fs::is_directory(status);
  if (!images.empty() && !folder)
    return bad(fmt::format("--images describes a folder of pictures, and {} is a file", path));
  if (!folder) {
    if (path.ends_with(".npz")) return open_archive_source(path, specs, notes);
    if (path.ends_with(".npy")) return open_npy_source(path, specs);
    return bad(
        fmt::format("{} is no .npz, no .npy, no folder and no FILE.py:NAME; those are what DATA "
                    "can be",
                    path));
  }
  INTACT_ASSIGN(FolderListing listing, list_folder(path, notes));
  if (!listing.images) {
    if (!images.empty())
      return bad(fmt::format("--images was given, and {} holds arrays, no pictures", path));
    return open_folder_source(std::move(listing.files), specs);
  }
  if (images.empty())
    return bad(
        fmt::format("{} holds pictures: say how the model wants them, e.g. --images "
                    "'resize=256 crop=224 scale=1/255 mean=0.485/0.456/0.406 "
                    "std=0.229/0.224/0.225'",
                    path));
  INTACT_ASSIGN(const ImagePrep prep, parse_image_prep(images));
  return open_image_source(std::move(listing.files), prep, specs);
}

const InputSpec* find_spec(const std::vector<InputSpec>& specs, const std::string& name) {
  for (const InputSpec& spec : specs)
    if (spec.name == name) return &spec;
  return nullptr;
}

std::string names_of(const std::vector<InputSpec>& specs) {
  std::string out;
  for (const InputSpec& spec : specs)
    out += fmt::format("{}'{}'", out.empty() ? "" : ", ", spec.name);
  return out;
}

Shape smallest_shape(const InputSpec& spec) {
  Shape shape(spec.dims.begin(), spec.dims.end());
  for (std::int64_t& d : shape)
    if (d < 0) d = 1;
  return shape;
}

Result<std::vector<double>> parse_numbers(const std::string& text) {
  std::vector<double> values;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    double value = 0;
    const auto [after, error] = std::from_chars(at, end, value);
    if (error != std::errc() || (after != end && *after != ','))
      return bad(fmt::format("'{}' is neither numbers separated by commas nor a .npy file", text));
    values.push_back(value);
    if (after == end) return values;
    at = after + 1;
  }
}

}  // namespace

Result<Sample> finish_sample(RawSample raw, std::int64_t index, const std::vector<InputSpec>& specs,
                             const std::vector<NamedTensor>& constants, bool finite) {
  raw.inputs.insert(raw.inputs.end(), constants.begin(), constants.end());
  auto fitted = fit_sample(specs, raw.inputs);
  if (!fitted) return fail(fitted.error().with_context(raw.name));
  Sample sample{index, std::move(raw.name), *std::move(fitted), std::move(raw.target)};
  if (finite) INTACT_TRY(intact::check_finite(sample));
  return sample;
}

Result<std::unique_ptr<Dataset>> open_dataset(const std::string& path, const DataOptions& options,
                                              std::vector<InputSpec> specs) {
  std::vector<NamedTensor> constants;
  std::vector<InputSpec> needed = specs;
  for (const std::string& text : options.constants) {
    INTACT_ASSIGN(NamedTensor constant, parse_constant(text, specs));
    const auto same = [&](const InputSpec& spec) { return spec.name == constant.first; };
    if (std::erase_if(needed, same) == 0)
      return bad(fmt::format("--const gives input '{}' twice", constant.first));
    constants.push_back(std::move(constant));
  }
  if (needed.empty())
    return bad("no input is left for the data: every one has a constant or is fed back");
  std::error_code none;
  if (parse_python_name(path) && !std::filesystem::exists(path, none)) {
    if (!options.images.empty())
      return bad(fmt::format("--images describes a folder of pictures, and {} is Python", path));
    return open_python_dataset(path, std::move(specs), std::move(constants), options.check_finite);
  }
  std::vector<std::string> notes;
  INTACT_ASSIGN(auto source, open_source(path, options.images, needed, notes));
  if (source->size() == 0)
    return fail(ErrorCode::kDataMismatch, fmt::format("there are no samples in {}", path));
  return std::make_unique<SourceDataset>(std::move(source), std::move(specs), std::move(constants),
                                         options.check_finite, std::move(notes));
}

std::unique_ptr<Dataset> dataset_of(std::vector<std::vector<NamedTensor>> samples,
                                    std::vector<InputSpec> specs, bool check_finite) {
  return std::make_unique<SourceDataset>(std::make_unique<MemorySource>(std::move(samples)),
                                         std::move(specs), std::vector<NamedTensor>{}, check_finite,
                                         std::vector<std::string>{});
}

Result<NamedTensor> parse_constant(const std::string& text, const std::vector<InputSpec>& specs) {
  const auto equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0)
    return bad(fmt::format("--const '{}': expected NAME=VALUE", text));
  const std::string name = text.substr(0, equals);
  const std::string value = text.substr(equals + 1);
  const InputSpec* spec = find_spec(specs, name);
  if (spec == nullptr)
    return bad(fmt::format("--const '{}': the model has no input '{}'; its inputs are {}", text,
                           name, names_of(specs)));
  const std::string context = fmt::format("--const '{}'", text);
  if (value.ends_with(".npy")) {
    INTACT_ASSIGN(ArrayReader reader, open_npy(value));
    if (reader.header().text_chars > 0) return bad(context + ": the file holds text");
    INTACT_ASSIGN(const Tensor array, reader.read_all());
    auto fitted = fit_input(*spec, array);
    if (!fitted) return fail(fitted.error().with_context(context));
    return NamedTensor{name, *std::move(fitted)};
  }
  auto numbers = parse_numbers(value);
  if (!numbers) return fail(numbers.error().with_context(context));
  Shape shape = smallest_shape(*spec);
  INTACT_TRY(check_shape(shape));
  const auto count = static_cast<std::size_t>(num_elements(shape));
  if (numbers->size() == 1) numbers->assign(count, (*numbers)[0]);
  if (numbers->size() != count)
    return bad(
        fmt::format("{}: {} numbers, and input '{}' ({}) takes 1 or {}; a .npy file can "
                    "have any fitting shape",
                    context, numbers->size(), name, to_string(*spec), count));
  Tensor tensor = from_float64(spec->dtype, shape, *numbers);
  const auto stored = to_float64(tensor);
  for (std::size_t i = 0; i < count; ++i)
    if (!is_float(spec->dtype) && stored[i] != (*numbers)[i])
      return bad(fmt::format("{}: {} is no {}", context, (*numbers)[i], name_of(spec->dtype)));
  return NamedTensor{name, std::move(tensor)};
}

Result<std::vector<FeedBack>> parse_feed_backs(const std::vector<std::string>& texts,
                                               const std::vector<std::string>& outputs,
                                               const std::vector<InputSpec>& specs) {
  std::vector<FeedBack> out;
  std::set<std::string> seen;
  for (const std::string& text : texts) {
    const auto equals = text.find('=');
    if (equals == std::string::npos)
      return bad(fmt::format("--feed-back '{}': expected OUT=IN", text));
    FeedBack pair{text.substr(0, equals), text.substr(equals + 1)};
    if (std::find(outputs.begin(), outputs.end(), pair.output) == outputs.end())
      return bad(fmt::format("--feed-back '{}': the model has no output '{}'; its outputs are '{}'",
                             text, pair.output, fmt::join(outputs, "', '")));
    if (find_spec(specs, pair.input) == nullptr)
      return bad(fmt::format("--feed-back '{}': the model has no input '{}'; its inputs are {}",
                             text, pair.input, names_of(specs)));
    if (!seen.insert(pair.input).second)
      return bad(fmt::format("--feed-back gives input '{}' twice", pair.input));
    out.push_back(std::move(pair));
  }
  return out;
}

StateCarrier::StateCarrier(std::vector<FeedBack> feed_backs, std::vector<InputSpec> specs)
    : feed_backs_(std::move(feed_backs)), specs_(std::move(specs)) {}

Status StateCarrier::before_run(Sample& sample) const {
  for (std::size_t i = 0; i < feed_backs_.size(); ++i) {
    const std::string& name = feed_backs_[i].input;
    const InputSpec* spec = find_spec(specs_, name);
    INTACT_CHECK(spec != nullptr, "no spec for fed-back input '{}'", name);
    const auto found = std::find_if(sample.inputs.begin(), sample.inputs.end(),
                                    [&](const NamedTensor& n) { return n.first == name; });
    const bool given = found != sample.inputs.end() && found->second.defined();
    if (state_.empty() && given) continue;
    Tensor value;
    if (state_.empty()) {
      if (bits_of(spec->dtype) == 0)
        return fail(ErrorCode::kDataMismatch,
                    fmt::format("fed-back input '{}' is {}: it has no zero to start from", name,
                                to_string(*spec)));
      value = Tensor(spec->dtype, smallest_shape(*spec));
    } else {
      auto fitted = fit_input(*spec, state_[i]);
      if (!fitted)
        return fail(fitted.error().with_context(
            fmt::format("fed back from output '{}'", feed_backs_[i].output)));
      value = *std::move(fitted);
    }
    if (found != sample.inputs.end())
      found->second = std::move(value);
    else
      sample.inputs.emplace_back(name, std::move(value));
  }
  return {};
}

Status StateCarrier::after_run(std::span<const NamedTensor> outputs) {
  std::vector<Tensor> next;
  for (const FeedBack& pair : feed_backs_) {
    const auto found = std::find_if(outputs.begin(), outputs.end(),
                                    [&](const NamedTensor& n) { return n.first == pair.output; });
    if (found == outputs.end())
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("the run gave no output '{}' to feed back", pair.output));
    next.push_back(found->second.clone());
  }
  state_ = std::move(next);
  return {};
}

std::vector<InputSpec> without(const std::vector<InputSpec>& specs,
                               const std::vector<FeedBack>& feed_backs) {
  std::vector<InputSpec> out;
  for (const InputSpec& spec : specs) {
    const auto same = [&](const FeedBack& f) { return f.input == spec.name; };
    if (std::none_of(feed_backs.begin(), feed_backs.end(), same)) out.push_back(spec);
  }
  return out;
}

}  // namespace intact
