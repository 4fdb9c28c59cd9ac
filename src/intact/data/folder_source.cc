// Samples from a folder: one .npz, .npy or picture a file.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

#include "data/dataset_source.h"

namespace intact {
namespace {

namespace fs = std::filesystem;

enum class Kind { kOther, kArrays, kImage };

Kind kind_of(const fs::path& path) {
  std::string ext = path.extension().string();
  for (char& c : ext)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (ext == ".npz" || ext == ".npy") return Kind::kArrays;
  if (ext == ".jpg" || ext == ".jpeg" || ext == ".png") return Kind::kImage;
  return Kind::kOther;
}

std::optional<std::int64_t> whole_number(const std::string& text) {
  const std::size_t start = !text.empty() && text[0] == '-' ? 1 : 0;
  if (text.size() == start || text.size() > 18) return std::nullopt;
  for (std::size_t i = start; i < text.size(); ++i)
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
  return std::stoll(text);
}

// Splits one line of comma-separated values; "a ""b"", c" is one field.
std::vector<std::string> csv_fields(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quoted && line[i] == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back() += '"';
      ++i;
    } else if (line[i] == '"' && (quoted || fields.back().empty())) {
      quoted = !quoted;
    } else if (line[i] == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += line[i];
    }
  }
  return fields;
}

Status read_labels(const fs::path& csv, std::vector<DataFile>& files,
                   std::vector<std::string>& notes) {
  std::ifstream in(csv, std::ios::binary);
  if (!in) return fail(ErrorCode::kIo, fmt::format("cannot open {}", csv.string()));
  std::map<std::string, DataFile*> by_name;
  for (DataFile& file : files) by_name[file.name] = &file;
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.pop_back();
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    if (line.empty()) continue;
    const auto fields = csv_fields(line);
    const auto found = by_name.find(fields[0]);
    if (found == by_name.end()) {
      if (number == 1) continue;  // The header.
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("{} line {}: there is no file '{}' in the folder", csv.string(),
                              number, fields[0]));
    }
    if (fields.size() < 2)
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("{} line {}: expected 'file,label'", csv.string(), number));
    found->second->target.text = fields[1];
    found->second->target.label = whole_number(fields[1]);
  }
  const auto unlabelled =
      std::count_if(files.begin(), files.end(), [](const DataFile& f) { return f.target.empty(); });
  if (unlabelled > 0)
    notes.push_back(
        fmt::format("{} of {} samples have no line in {}", unlabelled, files.size(), csv.string()));
  return {};
}

std::string file_context(const DataFile& file, const std::string& array) {
  return fmt::format("{}: array '{}'", file.name, array);
}

class FolderSource final : public RawSource {
 public:
  FolderSource(std::vector<DataFile> files, std::vector<InputSpec> specs)
      : files_(std::move(files)), specs_(std::move(specs)) {}

  [[nodiscard]] std::int64_t size() const override {
    return static_cast<std::int64_t>(files_.size());
  }

  // Opens every file and checks types and shapes, not values.
  Status check() {
    for (const DataFile& file : files_) {
      for (const InputSpec& spec : specs_) {
        INTACT_ASSIGN(const ArrayReader reader, open_input(file, spec));
        const NpyHeader& header = reader.header();
        if (header.text_chars > 0)
          return fail(ErrorCode::kDataMismatch,
                      fmt::format("{} holds text, and the input expects {}",
                                  file_context(file, spec.name), to_string(spec)));
        auto fitted = fit_shape(spec, header.dtype, header.shape);
        if (!fitted) return fail(fitted.error().with_context(file.name));
      }
    }
    return {};
  }

  Result<RawSample> read(std::int64_t i) override {
    const DataFile& file = files_[static_cast<std::size_t>(i)];
    RawSample sample{file.name, {}, file.target};
    for (const InputSpec& spec : specs_) {
      INTACT_ASSIGN(ArrayReader reader, open_input(file, spec));
      auto value = reader.read_all(&pools_[spec.name]);
      if (!value) return fail(value.error().with_context(file_context(file, spec.name)));
      sample.inputs.emplace_back(spec.name, *std::move(value));
    }
    if (file.path.extension() != ".npy") INTACT_TRY(read_targets(file, sample.target));
    return sample;
  }

 private:
  static Result<ArrayReader> open_input(const DataFile& file, const InputSpec& spec) {
    if (file.path.extension() == ".npy") return open_npy(file.path.string());
    INTACT_ASSIGN(const NpzReader archive, NpzReader::open(file.path.string()));
    const auto& names = archive.names();
    if (std::find(names.begin(), names.end(), spec.name) == names.end())
      return fail(ErrorCode::kDataMismatch,
                  fmt::format("{} has no array for input '{}' ({}); it has '{}'", file.name,
                              spec.name, to_string(spec), fmt::join(names, "', '")));
    auto reader = archive.array(spec.name);
    if (!reader) return fail(reader.error().with_context(file.name));
    return reader;
  }

  Status read_targets(const DataFile& file, Target& target) const {
    INTACT_ASSIGN(const NpzReader archive, NpzReader::open(file.path.string()));
    for (const std::string& name : archive.names()) {
      const auto is_input = [&](const InputSpec& spec) { return spec.name == name; };
      if (std::any_of(specs_.begin(), specs_.end(), is_input)) continue;
      auto reader = archive.array(name);
      if (!reader) continue;  // Not an input, and not something that a metric could read.
      if (reader->header().text_chars > 0) {
        if (target.text || num_elements(reader->header().shape) != 1) continue;
        INTACT_ASSIGN(target.text, reader->read_text(0));
        continue;
      }
      auto value = reader->read_all();
      if (!value) return fail(value.error().with_context(file_context(file, name)));
      if (is_integer(value->dtype()) && value->size() == 1 && !target.label)
        target.label = to_int64(*value)[0];
      target.arrays.emplace_back(name, *std::move(value));
    }
    return {};
  }

  std::vector<DataFile> files_;
  std::vector<InputSpec> specs_;
  std::map<std::string, BufferPool> pools_;  // By input.
};

class ImageSource final : public RawSource {
 public:
  ImageSource(std::vector<DataFile> files, ImagePrep prep, InputSpec spec)
      : files_(std::move(files)), prep_(std::move(prep)), spec_(std::move(spec)) {}

  [[nodiscard]] std::int64_t size() const override {
    return static_cast<std::int64_t>(files_.size());
  }

  // Reads every picture's header and checks what would become of it.
  Status check() const {
    for (const DataFile& file : files_) {
      INTACT_ASSIGN(const ImageSize size, image_size(file.path.string()));
      auto geometry = image_geometry(prep_, size.width, size.height);
      if (!geometry) return fail(geometry.error().with_context(file.name));
      Shape shape{1, prep_.channels(), geometry->canvas_height, geometry->canvas_width};
      if (prep_.nhwc) shape = {1, shape[2], shape[3], shape[1]};
      auto fitted = fit_shape(spec_, spec_.dtype, shape);
      if (!fitted)
        return fail(fitted.error().with_context(
            fmt::format("{} ({}x{}) after --images", file.name, size.width, size.height)));
    }
    return {};
  }

  Result<RawSample> read(std::int64_t i) override {
    const DataFile& file = files_[static_cast<std::size_t>(i)];
    INTACT_ASSIGN(Image image, load_image(file.path.string(), prep_.color == ColorOrder::kGray));
    if (prep_.color == ColorOrder::kBgr) swap_red_blue(image);
    auto tensor = prepare_image(image, prep_, spec_.dtype, &pool_);
    if (!tensor) return fail(tensor.error().with_context(file.name));
    RawSample sample{file.name, {}, file.target};
    sample.inputs.emplace_back(spec_.name, *std::move(tensor));
    return sample;
  }

 private:
  std::vector<DataFile> files_;
  ImagePrep prep_;
  InputSpec spec_;
  BufferPool pool_;
};

}  // namespace

Result<FolderListing> list_folder(const std::string& path, std::vector<std::string>& notes) {
  std::error_code error;
  std::vector<DataFile> files;
  std::vector<fs::path> folders;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const fs::path& entry = it->path();
    if (entry.filename().string().starts_with(".")) continue;
    std::error_code ignored;
    if (it->is_directory(ignored))
      folders.push_back(entry);
    else if (kind_of(entry) != Kind::kOther)
      files.push_back({entry, entry.filename().string(), {}});
  }
  if (error)
    return fail(ErrorCode::kIo, fmt::format("cannot read folder {}: {}", path, error.message()));
  std::sort(folders.begin(), folders.end());
  bool any_in_folders = false;
  for (std::size_t label = 0; label < folders.size(); ++label) {
    const std::string name = folders[label].filename().string();
    for (fs::directory_iterator it(folders[label], error), end; !error && it != end;
         it.increment(error)) {
      if (kind_of(it->path()) != Kind::kImage || it->path().filename().string()[0] == '.') continue;
      any_in_folders = true;
      Target target{static_cast<std::int64_t>(label), name, {}};
      files.push_back({it->path(), name + "/" + it->path().filename().string(), target});
    }
    if (error)
      return fail(ErrorCode::kIo, fmt::format("cannot read folder {}: {}", folders[label].string(),
                                              error.message()));
  }
  std::sort(files.begin(), files.end(),
            [](const DataFile& a, const DataFile& b) { return a.name < b.name; });
  if (files.empty())
    return fail(ErrorCode::kDataMismatch,
                fmt::format("there are no samples in {}: no .npz, .npy, .jpg or .png", path));

  FolderListing listing;
  listing.images = kind_of(files[0].path) == Kind::kImage;
  for (const DataFile& file : files) {
    if ((kind_of(file.path) == Kind::kImage) != listing.images)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{} holds both pictures ('{}') and arrays ('{}'); keep one kind",
                              path, (listing.images ? files[0] : file).name,
                              (listing.images ? file : files[0]).name));
    if (any_in_folders && !file.target.label)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{} holds '{}' beside sub-folders of pictures; move it into the "
                              "sub-folder of its class",
                              path, file.name));
  }
  listing.files = std::move(files);
  const fs::path csv = fs::path(path) / "labels.csv";
  if (fs::exists(csv, error)) INTACT_TRY(read_labels(csv, listing.files, notes));
  return listing;
}

SourceResult open_folder_source(std::vector<DataFile> files, const std::vector<InputSpec>& specs) {
  if (specs.size() != 1)
    for (const DataFile& file : files)
      if (file.path.extension() == ".npy")
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{} is one array and the model needs {}; save one .npz a sample, "
                                "with one array an input",
                                file.name, specs.size()));
  auto source = std::make_unique<FolderSource>(std::move(files), specs);
  INTACT_TRY(source->check());
  return source;
}

SourceResult open_image_source(std::vector<DataFile> files, const ImagePrep& prep,
                               const std::vector<InputSpec>& specs) {
  const InputSpec* spec = specs.size() == 1 && prep.input.empty() ? &specs[0] : nullptr;
  std::string names;
  for (const InputSpec& s : specs) {
    if (s.name == prep.input) spec = &s;
    names += fmt::format("{}'{}'", names.empty() ? "" : ", ", s.name);
  }
  if (spec == nullptr)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("--images must say which input takes the picture: input=NAME with one "
                            "of {}",
                            names));
  if (specs.size() != 1)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a picture gives input '{}' only, and the model needs {}; give the "
                            "others with --const NAME=VALUE",
                            spec->name, names));
  auto source = std::make_unique<ImageSource>(std::move(files), prep, *spec);
  INTACT_TRY(source->check());
  return source;
}

}  // namespace intact
