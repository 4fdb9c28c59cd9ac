#include "onnx/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <list>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "ir/verify.h"
#include "onnx/export_graph.h"
#include "onnx/onnx.pb.h"

namespace intact {
namespace {

constexpr std::uint64_t kMaxModelBytes = std::numeric_limits<int>::max();
constexpr std::size_t kExternalBytes = 1024;    // Smaller constants stay in the model.
constexpr std::uint64_t kExternalAlign = 4096;  // A page, so that readers can map.

// Tags of the wire format: field number * 8 + 2 (a length follows), below 16: one byte.
constexpr char kModelGraph = 7 * 8 + 2;
constexpr char kGraphInitializer = 5 * 8 + 2;
constexpr char kTensorRawData = 9 * 8 + 2;

// The lowest IR version that may carry an opset; ONNX's table of versions (docs/Versioning.md).
std::int64_t lowest_ir_version(std::int64_t opset) {
  constexpr std::array<std::pair<std::int64_t, std::int64_t>, 10> kTable{{{25, 13},
                                                                          {24, 12},
                                                                          {23, 11},
                                                                          {21, 10},
                                                                          {19, 9},
                                                                          {15, 8},
                                                                          {12, 7},
                                                                          {11, 6},
                                                                          {10, 5},
                                                                          {9, 4}}};
  for (const auto& [from, ir] : kTable)
    if (opset >= from) return ir;
  return 4;  // Initializers need not be inputs only from version 4 on.
}

bool has_type(const Graph& graph, bool (*wanted)(Dtype)) {
  for (const Value& v : graph.values)
    if (wanted(v.type.dtype)) return true;
  for (const Node& n : graph.nodes)
    for (const auto& [key, a] : n.attributes) {
      if (const auto* t = std::get_if<Tensor>(&a); t != nullptr && wanted(t->dtype())) return true;
      if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&a);
          body != nullptr && has_type(**body, wanted))
        return true;
    }
  return false;
}

void collect_domains(const Graph& graph, std::map<std::string, std::int64_t>& opsets) {
  for (const Node& n : graph.nodes) {
    if (!n.op.empty() && !n.domain.empty()) opsets.emplace(n.domain, 1);
    for (const auto& [key, a] : n.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&a))
        collect_domains(**body, opsets);
  }
}

// The bytes of a message as pieces in order, so that weights are not copied.
class Pieces {
 public:
  void own(std::string bytes) {
    if (!bytes.empty()) view(owned_.emplace_back(std::move(bytes)));
  }
  void view(std::string_view bytes) {
    pieces_.push_back(bytes);
    size_ += bytes.size();
  }
  // Takes over all of `other`. Its own bytes stay where they are: moving a list moves no element.
  void append(Pieces other) {
    for (const std::string_view p : other.pieces_) view(p);
    owned_.splice(owned_.end(), other.owned_);
  }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] const std::vector<std::string_view>& all() const { return pieces_; }

 private:
  std::list<std::string> owned_;
  std::vector<std::string_view> pieces_;
  std::uint64_t size_ = 0;
};

// A tag and the length of what follows.
std::string prefix(char tag, std::uint64_t length) {
  std::string out(1, tag);
  for (; length >= 0x80; length >>= 7U) out += static_cast<char>(0x80U | (length & 0x7FU));
  return out + static_cast<char>(length);
}

std::string_view bytes_of_tensor(const Tensor& t) {
  return {reinterpret_cast<const char*>(t.raw()), t.bytes()};
}

void add_entry(proto::TensorProto& t, std::string key, std::string value) {
  auto& entry = *t.add_external_data();
  entry.set_key(std::move(key));
  entry.set_value(std::move(value));
}

proto::ModelProto model_header(const Graph& graph) {
  proto::ModelProto model;
  const auto is_int4 = [](Dtype d) { return d == Dtype::kInt4 || d == Dtype::kUint4; };
  model.set_ir_version(std::max({graph.ir_version, lowest_ir_version(graph.opset()),
                                 std::int64_t{has_type(graph, is_int4) ? 10 : 0}}));
  const auto set = [](const std::string& text, auto&& setter) {
    if (!text.empty()) setter(text);
  };
  set(graph.producer_name, [&](const auto& s) { model.set_producer_name(s); });
  set(graph.model.producer_version, [&](const auto& s) { model.set_producer_version(s); });
  set(graph.model.domain, [&](const auto& s) { model.set_domain(s); });
  set(graph.model.doc_string, [&](const auto& s) { model.set_doc_string(s); });
  if (graph.model.model_version != 0) model.set_model_version(graph.model.model_version);
  auto opsets = graph.opsets;
  collect_domains(graph, opsets);
  opsets.erase("intact");
  for (const auto& [domain, version] : opsets) {
    auto& o = *model.add_opset_import();
    o.set_domain(domain);
    o.set_version(version);
  }
  for (const auto& [key, value] : graph.metadata) {
    auto& entry = *model.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  *model.mutable_unknown_fields() = graph.model.opaque;
  return model;
}

// The model as pieces; constants of kExternalBytes or more go to `external` when it is not null.
Result<Pieces> model_pieces(const Graph& graph, Pieces* external, const std::string& location) {
  INTACT_TRY(verify(graph));
  proto::GraphProto proto;
  INTACT_TRY(export_graph(graph, proto));
  Pieces body;
  body.own(proto.SerializeAsString());
  for (const Value& v : graph.values) {
    if (!v.constant) continue;
    const std::string_view data = bytes_of_tensor(*v.constant);
    proto::TensorProto t;
    export_tensor_header(v.name, *v.constant, t);
    if (!v.doc_string.empty()) t.set_doc_string(v.doc_string);
    const bool outside = external != nullptr && data.size() >= kExternalBytes;
    std::string raw_prefix;
    if (outside) {
      const std::uint64_t padding =
          (kExternalAlign - external->size() % kExternalAlign) % kExternalAlign;
      external->own(std::string(padding, '\0'));
      t.set_data_location(proto::TensorProto::EXTERNAL);
      add_entry(t, "location", location);
      add_entry(t, "offset", fmt::format("{}", external->size()));
      add_entry(t, "length", fmt::format("{}", data.size()));
      external->view(data);
    } else {
      raw_prefix = prefix(kTensorRawData, data.size());
    }
    const std::string header = t.SerializeAsString();
    const std::uint64_t inside = outside ? 0 : raw_prefix.size() + data.size();
    body.own(prefix(kGraphInitializer, header.size() + inside) + header + raw_prefix);
    if (!outside) body.view(data);
  }
  Pieces model;
  model.own(model_header(graph).SerializeAsString());
  model.own(prefix(kModelGraph, body.size()));
  model.append(std::move(body));
  return model;
}

std::string file_name(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

Status write_pieces(AtomicFile& file, const Pieces& pieces) {
  for (const std::string_view piece : pieces.all()) INTACT_TRY(file.write(piece));
  return {};
}

}  // namespace

Result<std::string> export_onnx(const Graph& graph) {
  INTACT_ASSIGN(const Pieces pieces, model_pieces(graph, nullptr, {}));
  if (pieces.size() > kMaxModelBytes)
    return fail(ErrorCode::kUnsupported,
                fmt::format("the model has {} bytes and ONNX allows 2 GB in one piece; write it to "
                            "a file, with its weights beside it",
                            pieces.size()));
  std::string out;
  out.reserve(pieces.size());
  for (const std::string_view piece : pieces.all()) out += piece;
  return out;
}

Status export_onnx_file(const Graph& graph, const std::string& path, const ExportOptions& options) {
  Pieces outside;
  bool external = options.external_data;
  const std::string location = file_name(path) + ".data";
  INTACT_ASSIGN(Pieces model, model_pieces(graph, external ? &outside : nullptr, location));
  if (!external && model.size() > kMaxModelBytes) {
    external = true;
    INTACT_ASSIGN(model, model_pieces(graph, &outside, location));
  }
  if (model.size() > kMaxModelBytes)
    return fail(ErrorCode::kUnsupported,
                fmt::format("the model has {} bytes without its weights and ONNX allows 2 GB",
                            model.size()));
  INTACT_ASSIGN(AtomicFile file, AtomicFile::create(path));
  INTACT_TRY(write_pieces(file, model));
  if (external && outside.size() > 0) {
    INTACT_ASSIGN(AtomicFile data, AtomicFile::create(path + ".data"));
    INTACT_TRY(write_pieces(data, outside));
    // Both are on the disk before either shows.
    INTACT_TRY(file.flush());
    INTACT_TRY(data.commit());
  }
  return file.commit();
}

}  // namespace intact
