#include "onnx/import.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <limits>
#include <system_error>

#include "ir/text.h"
#include "onnx/import_graph.h"
#include "onnx/lift_payloads.h"
#include "onnx/onnx.pb.h"

namespace intact {
namespace {

// Protobuf counts the bytes of a message in an int.
constexpr std::int64_t kMaxModelBytes = std::numeric_limits<int>::max();

tl::unexpected<Error> not_onnx(std::string_view why) {
  return fail(ErrorCode::kInvalidModel, fmt::format("this is not an ONNX model: {}", why));
}

tl::unexpected<Error> too_large() {
  return fail(
      ErrorCode::kUnsupported,
      "the model is larger than 2 GB, the limit of the format; save its weights as external "
      "data");
}

// Hands an open file to protobuf piece by piece.
class FileStream final : public google::protobuf::io::ZeroCopyInputStream {
 public:
  explicit FileStream(int fd) : fd_(fd) {}

  bool Next(const void** data, int* size) override {
    if (ahead_ == 0) {
      ssize_t n = 0;
      do n = read(fd_, buffer_.data(), buffer_.size());
      while (n < 0 && errno == EINTR);
      if (n < 0) error_ = errno;
      if (n <= 0) return false;
      filled_ = static_cast<int>(n);
      ahead_ = filled_;
      total_ += n;
    }
    *data = buffer_.data() + (filled_ - ahead_);
    *size = ahead_;
    ahead_ = 0;
    return true;
  }
  void BackUp(int count) override { ahead_ = count; }
  bool Skip(int count) override {
    const void* data = nullptr;
    int size = 0;
    while (count > 0) {
      if (!Next(&data, &size)) return false;
      if (size > count) BackUp(size - count);
      count -= std::min(size, count);
    }
    return true;
  }
  int64_t ByteCount() const override { return total_ - ahead_; }

  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] std::int64_t total() const { return total_; }

 private:
  int fd_;
  std::array<char, 1 << 16> buffer_{};
  int filled_ = 0;
  int ahead_ = 0;  // The bytes at the end of the buffer that were not taken.
  std::int64_t total_ = 0;
  int error_ = 0;
};

Result<std::map<std::string, std::int64_t>> opsets_of(const proto::ModelProto& model) {
  std::map<std::string, std::int64_t> opsets;
  const auto add = [&](const proto::OperatorSetIdProto& o, bool may_repeat) -> Status {
    const std::string domain = o.domain() == "ai.onnx" ? "" : o.domain();
    if (o.version() < 1)
      return fail(ErrorCode::kInvalidModel,
                  fmt::format("the model imports version {} of operator set '{}'", o.version(),
                              domain.empty() ? "ai.onnx" : printable(domain)));
    const auto [it, fresh] = opsets.emplace(domain, o.version());
    if (!fresh && !may_repeat && it->second != o.version())
      return fail(
          ErrorCode::kInvalidModel,
          fmt::format("the model imports versions {} and {} of operator set '{}'", it->second,
                      o.version(), domain.empty() ? "ai.onnx" : printable(domain)));
    return {};
  };
  for (const auto& o : model.opset_import()) INTACT_TRY(add(o, /*may_repeat=*/false));
  // Functions become part of the graph, with the operator sets that only they use.
  for (const auto& f : model.functions())
    for (const auto& o : f.opset_import()) INTACT_TRY(add(o, /*may_repeat=*/true));
  if (opsets.empty() && model.ir_version() < 3) opsets.emplace("", 1);
  return opsets;
}

Result<Graph> graph_of(proto::ModelProto& model, ExternalData external) {
  if (!model.has_ir_version()) return not_onnx("it has no IR version");
  if (!model.has_graph()) return not_onnx("it has no graph");
  INTACT_ASSIGN(auto opsets, opsets_of(model));
  INTACT_ASSIGN(auto functions, FunctionLibrary::make(model));
  ImportContext context{std::move(functions), std::move(external), std::move(opsets)};
  GraphImporter importer(context);
  INTACT_ASSIGN(Graph graph, importer.run(*model.mutable_graph()));
  graph.opsets = std::move(context.opsets);
  graph.ir_version = model.ir_version();
  graph.producer_name = model.producer_name();
  graph.model.producer_version = model.producer_version();
  graph.model.domain = model.domain();
  graph.model.doc_string = model.doc_string();
  graph.model.model_version = model.model_version();
  graph.model.opaque = model.unknown_fields();
  for (const auto& entry : model.metadata_props()) graph.metadata[entry.key()] = entry.value();
  return graph;
}

// A file that can only be read in order, such as a pipe.
Result<Graph> import_stream(int fd, const std::string& folder) {
  FileStream stream(fd);
  proto::ModelProto model;
  const bool parsed = model.ParsePartialFromZeroCopyStream(&stream);
  if (stream.error() != 0)
    return fail(ErrorCode::kIo,
                fmt::format("cannot be read: {}", std::generic_category().message(stream.error())));
  if (stream.total() == 0) return not_onnx("the file is empty");
  if (stream.total() >= kMaxModelBytes) return too_large();
  if (!parsed) return not_onnx("the file is cut short, damaged, or of another kind");
  return graph_of(model, ExternalData(folder));
}

// A file whose large tensors stay where they are.
Result<Graph> import_mapped(int fd, std::uint64_t size, const std::string& folder) {
  auto file = MappedFile::map(fd, size);
  if (file == nullptr)
    return fail(ErrorCode::kIo,
                fmt::format("cannot be mapped: {}", std::generic_category().message(errno)));
  const std::span<const std::byte> bytes = file->bytes();
  if (bytes.empty()) return not_onnx("the file is empty");
  const auto lifted = lift_payloads(bytes);
  const void* start = lifted ? static_cast<const void*>(lifted->data()) : bytes.data();
  const std::size_t length = lifted ? lifted->size() : bytes.size();
  proto::ModelProto model;
  if (!model.ParsePartialFromArray(start, static_cast<int>(length)))
    return not_onnx("the file is cut short, damaged, or of another kind");
  return graph_of(model, ExternalData(folder, std::move(file)));
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

Result<Graph> import_onnx(std::span<const std::byte> file, const ImportOptions& options) {
  if (file.empty()) return not_onnx("it is empty");
  if (file.size() >= static_cast<std::size_t>(kMaxModelBytes)) return too_large();
  proto::ModelProto model;
  if (!model.ParsePartialFromArray(file.data(), static_cast<int>(file.size())))
    return not_onnx("the bytes are cut short, damaged, or of another kind");
  return graph_of(model, ExternalData(options.external_folder));
}

Result<Graph> import_onnx_file(const std::string& path) {
  const auto cannot = [&](int error) {
    return fail(ErrorCode::kIo, fmt::format("cannot open {}: {}", printable(path, 1000),
                                            std::generic_category().message(error)));
  };
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info {};
  if (file.fd < 0 || fstat(file.fd, &info) != 0) return cannot(errno);
  if (S_ISDIR(info.st_mode)) return cannot(EISDIR);
  if (S_ISREG(info.st_mode) && info.st_size >= kMaxModelBytes)
    return fail(too_large().value().with_context(printable(path, 1000)));
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : path.substr(0, slash);
  auto graph = S_ISREG(info.st_mode)
                   ? import_mapped(file.fd, static_cast<std::uint64_t>(info.st_size), folder)
                   : import_stream(file.fd, folder);
  if (!graph) return fail(graph.error().with_context(printable(path, 1000)));
  return graph;
}

}  // namespace intact
