// Samples from one .npz or .npy: sample i is row i of every array.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "data/dataset_source.h"

namespace intact {
namespace {

struct Column {
  std::string name;
  ArrayReader reader;
};

Result<Shape> row_shape(const std::string& path, const Column& column) {
  const NpyHeader& header = column.reader.header();
  if (header.shape.empty())
    return fail(ErrorCode::kDataMismatch,
                fmt::format("{}: array '{}' is a scalar; its first axis must be the samples (or "
                            "give the input with --const {}=VALUE)",
                            path, column.name, column.name));
  return Shape(header.shape.begin() + 1, header.shape.end());
}

Status check_column(const std::string& path, const Column& column, const InputSpec& spec) {
  if (column.reader.header().text_chars > 0)
    return fail(ErrorCode::kDataMismatch,
                fmt::format("{}: array '{}' holds text, and input '{}' expects {}", path,
                            column.name, spec.name, to_string(spec)));
  INTACT_ASSIGN(const Shape shape, row_shape(path, column));
  auto fitted = fit_shape(spec, column.reader.header().dtype, shape);
  if (!fitted)
    return fail(fitted.error().with_context(fmt::format("{}: array '{}'", path, column.name)));
  return {};
}

class ColumnsSource final : public RawSource {
 public:
  ColumnsSource(std::string path, std::vector<Column> inputs, std::vector<Column> targets)
      : path_(std::move(path)), inputs_(std::move(inputs)), targets_(std::move(targets)) {
    // The class label: an array with a usual name, or the only whole numbers there are.
    std::vector<std::string_view> numbers;
    for (const Column& c : targets_)
      if (is_integer(c.reader.header().dtype) && c.reader.header().shape.size() == 1)
        numbers.push_back(c.name);
    for (const std::string_view usual : {"label", "labels", "target", "targets", "y"})
      if (label_.empty() && std::find(numbers.begin(), numbers.end(), usual) != numbers.end())
        label_ = usual;
    if (label_.empty() && numbers.size() == 1) label_ = numbers[0];
  }

  [[nodiscard]] std::int64_t size() const override { return inputs_[0].reader.header().shape[0]; }

  Result<RawSample> read(std::int64_t i) override {
    RawSample sample;
    sample.name = fmt::format("{}: sample {}", path_, i);
    for (Column& c : inputs_) {
      INTACT_ASSIGN(Tensor row, read_row(c, i));
      sample.inputs.emplace_back(c.name, without_first_axis(row));
    }
    for (Column& c : targets_) {
      if (c.reader.header().text_chars > 0) {
        if (sample.target.text) continue;
        auto text = c.reader.read_text(i);
        if (!text) return fail(text.error().with_context(context(c)));
        sample.target.text = *std::move(text);
        continue;
      }
      INTACT_ASSIGN(Tensor row, read_row(c, i));
      if (c.name == label_) sample.target.label = to_int64(row)[0];
      sample.target.arrays.emplace_back(c.name, without_first_axis(row));
    }
    return sample;
  }

 private:
  [[nodiscard]] std::string context(const Column& c) const {
    return fmt::format("{}: array '{}'", path_, c.name);
  }
  Result<Tensor> read_row(Column& c, std::int64_t i) const {
    auto row = c.reader.read_rows(i, 1);
    if (!row) return fail(row.error().with_context(context(c)));
    return row;
  }
  static Tensor without_first_axis(const Tensor& row) {
    return row.reshaped(Shape(row.shape().begin() + 1, row.shape().end()));
  }

  std::string path_;
  std::vector<Column> inputs_;
  std::vector<Column> targets_;
  std::string label_;
};

}  // namespace

SourceResult open_archive_source(const std::string& path, const std::vector<InputSpec>& specs,
                                 std::vector<std::string>& notes) {
  INTACT_ASSIGN(const NpzReader archive, NpzReader::open(path));
  std::vector<Column> inputs;
  for (const InputSpec& spec : specs) {
    const auto& names = archive.names();
    if (std::find(names.begin(), names.end(), spec.name) == names.end())
      return fail(
          ErrorCode::kDataMismatch,
          fmt::format("{} has no array for input '{}' ({}); it has '{}': save it under "
                      "the input's name, or give one value with --const {}=VALUE",
                      path, spec.name, to_string(spec),
                      names.empty() ? "" : fmt::format("{}", fmt::join(names, "', '")), spec.name));
    auto reader = archive.array(spec.name);
    if (!reader) return fail(reader.error().with_context(path));
    inputs.push_back({spec.name, *std::move(reader)});
    INTACT_TRY(check_column(path, inputs.back(), spec));
    const std::int64_t first = inputs[0].reader.header().shape[0];
    const std::int64_t count = inputs.back().reader.header().shape[0];
    if (count != first)
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("{}: array '{}' has {} samples and '{}' has {}; the first axis must "
                              "be the samples in every array",
                              path, inputs[0].name, first, spec.name, count));
  }
  std::vector<Column> targets;
  for (const std::string& name : archive.names()) {
    const auto is_input = [&](const Column& c) { return c.name == name; };
    if (std::any_of(inputs.begin(), inputs.end(), is_input)) continue;
    auto reader = archive.array(name);
    if (!reader) {
      notes.push_back(fmt::format("{} is not used: {}", path, reader.error().text()));
      continue;
    }
    const Shape& shape = reader->header().shape;
    if (shape.empty() || shape[0] != inputs[0].reader.header().shape[0]) {
      notes.push_back(
          fmt::format("{}: array '{}' {} is not used: it is no input and its first "
                      "axis is not the samples",
                      path, name, to_string(shape)));
      continue;
    }
    targets.push_back({name, *std::move(reader)});
  }
  return std::make_unique<ColumnsSource>(path, std::move(inputs), std::move(targets));
}

SourceResult open_npy_source(const std::string& path, const std::vector<InputSpec>& specs) {
  if (specs.size() != 1)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is one array and the model needs {}; save an .npz with one array "
                            "an input",
                            path, specs.size()));
  INTACT_ASSIGN(ArrayReader reader, open_npy(path));
  std::vector<Column> inputs;
  inputs.push_back({specs[0].name, std::move(reader)});
  INTACT_TRY(check_column(path, inputs[0], specs[0]));
  return std::make_unique<ColumnsSource>(path, std::move(inputs), std::vector<Column>{});
}

}  // namespace intact
