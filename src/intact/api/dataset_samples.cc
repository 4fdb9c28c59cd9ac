#include "api/dataset_samples.h"

#include <algorithm>
#include <cstring>

#include "api/byte_words.h"
#include "api/sample_reader.h"
#include "api/sample_tensors.h"
#include "data/image_prep.h"

namespace intact {
namespace {

constexpr std::string_view kText = "utf8";

OwnedTensor text_tensor(const std::string& text) {
  auto memory = std::make_shared<std::string>(text);
  return {std::string(kText),
          {static_cast<std::int64_t>(text.size())},
          memory->data(),
          text.size(),
          memory};
}

bool is_label_name(std::string_view name) {
  for (const std::string_view usual : {"label", "labels", "target", "targets", "y"})
    if (name == usual) return true;
  return false;
}

}  // namespace

std::vector<InputSpec> specs_of(const Session& session) {
  std::vector<InputSpec> specs;
  for (const ValueDescription& input : session.inputs())
    specs.push_back({input.name, dtype_from_name(input.dtype).value_or(Dtype::kFloat32),
                     input.shape, input.has_shape});
  return specs;
}

SampleSource samples_of(std::shared_ptr<Dataset> data) {
  SampleSource source;
  source.size = data->size();
  source.notes = data->notes();
  source.restart = [data] { return data->restart(); };
  source.next = [data]() -> Result<std::optional<SampleInputs>> {
    INTACT_ASSIGN(auto sample, data->next());
    if (!sample) return std::optional<SampleInputs>();
    SampleInputs out;
    for (const auto& [name, t] : sample->inputs) out[name] = owned(t);
    for (const auto& [name, t] : sample->target.arrays) out.try_emplace(name, owned(t));
    if (sample->target.arrays.empty() && sample->target.label)
      out.try_emplace("label", owned(Tensor::scalar(*sample->target.label)));
    if (sample->target.text) out.try_emplace("text", text_tensor(*sample->target.text));
    return std::optional(std::move(out));
  };
  return source;
}

Target target_of(const SampleInputs& sample, const Session& session) {
  Target target;
  bool usual = false;
  for (const auto& [name, t] : sample) {
    const auto is_input = [&](const ValueDescription& v) { return v.name == name; };
    if (std::any_of(session.inputs().begin(), session.inputs().end(), is_input)) continue;
    if (t.dtype == kText) {
      target.text = std::string(static_cast<const char*>(t.data), t.bytes);
      continue;
    }
    const auto dtype = dtype_from_name(t.dtype);
    if (!dtype) continue;
    Tensor tensor(*dtype, t.shape,
                  Buffer::wrap({static_cast<std::byte*>(t.data), t.bytes}, t.owner));
    // The class label: a whole number with a usual name, or the first one.
    if (is_integer(*dtype) && tensor.size() == 1 && !usual &&
        (!target.label || is_label_name(name))) {
      target.label = to_int64(tensor)[0];
      usual = is_label_name(name);
    }
    target.arrays.emplace_back(name, std::move(tensor));
  }
  return target;
}

namespace {

// Opens DATA for inputs with these specs, or, where that does not fit and some inputs have byte
// maps, for their other form: bytes in the place of reals, reals in that of bytes. Errors:
// open_dataset's.
Result<std::unique_ptr<Dataset>> open_either_form(const std::string& path,
                                                  const DataOptions& options,
                                                  std::vector<InputSpec> specs,
                                                  const ByteMaps& maps) {
  std::vector<InputSpec> others = specs;
  bool any = false, takes_bytes = false;
  for (InputSpec& spec : others) {
    const auto map = maps.find(spec.name);
    if (map == maps.end()) continue;
    const bool bytes = spec.dtype == Dtype::kUint8;
    any = true;
    takes_bytes = takes_bytes || bytes;
    spec.dtype = bytes ? Dtype::kFloat32 : Dtype::kUint8;
    const std::vector<std::int64_t> d = spec.dims;
    if (map->second.nhwc && d.size() == 4)
      spec.dims = bytes ? std::vector{d[0], d[3], d[1], d[2]} : std::vector{d[0], d[2], d[3], d[1]};
  }
  if (any && takes_bytes && !options.images.empty()) {
    // Pictures that are normalized are reals; what they are is seen before they are read.
    INTACT_ASSIGN(const ImagePrep prep, parse_image_prep(options.images));
    if (!prep.is_raw()) return open_dataset(path, options, std::move(others));
  }
  auto data = open_dataset(path, options, std::move(specs));
  if (data || !any) return data;
  auto other = open_dataset(path, options, std::move(others));
  return other ? std::move(other) : std::move(data);
}

}  // namespace

Result<SampleSource> open_data(const std::string& path, const Session& session,
                               const DataOptions& options) {
  ByteMaps maps = byte_maps_of(session.metadata());
  for (const auto& [name, type] : options.input_types) {
    INTACT_ASSIGN(maps[name], parse_byte_map(type));
  }
  INTACT_ASSIGN(std::shared_ptr<Dataset> data,
                open_either_form(path, options, specs_of(session), maps));
  return samples_of(std::move(data));
}

}  // namespace intact
