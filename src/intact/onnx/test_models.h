// test_models.h: small models for the tests, built message by message.
#pragma once

#include <stdlib.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "intact/result.h"
#include "ir/graph.h"
#include "onnx/import.h"
#include "onnx/onnx.pb.h"

namespace intact::test {

inline std::span<const std::byte> bytes_of(std::string_view s) {
  return std::as_bytes(std::span(s.data(), s.size()));
}

inline Result<Graph> import_model(const proto::ModelProto& model,
                                  const ImportOptions& options = {}) {
  return import_onnx(bytes_of(model.SerializeAsString()), options);
}

inline proto::ModelProto empty_model() {
  proto::ModelProto m;
  m.set_ir_version(8);
  m.add_opset_import()->set_version(17);
  m.mutable_graph()->set_name("g");
  return m;
}

inline proto::ValueInfoProto& add_value(
    google::protobuf::RepeatedPtrField<proto::ValueInfoProto>& list, const std::string& name,
    std::initializer_list<std::int64_t> dims, int type = proto::TensorProto::FLOAT) {
  auto& v = *list.Add();
  v.set_name(name);
  auto& t = *v.mutable_type()->mutable_tensor_type();
  t.set_elem_type(type);
  t.mutable_shape();
  for (const std::int64_t d : dims) t.mutable_shape()->add_dim()->set_dim_value(d);
  return v;
}

inline proto::NodeProto& add_node(proto::GraphProto& g, const std::string& op,
                                  std::initializer_list<const char*> inputs,
                                  std::initializer_list<const char*> outputs,
                                  const std::string& name = "") {
  auto& n = *g.add_node();
  n.set_op_type(op);
  if (!name.empty()) n.set_name(name);
  for (const char* x : inputs) n.add_input(x);
  for (const char* x : outputs) n.add_output(x);
  return n;
}

inline proto::TensorProto& add_initializer(proto::GraphProto& g, const std::string& name,
                                           std::initializer_list<std::int64_t> dims,
                                           int type = proto::TensorProto::FLOAT) {
  auto& t = *g.add_initializer();
  t.set_name(name);
  t.set_data_type(type);
  for (const std::int64_t d : dims) t.add_dims(d);
  return t;
}

inline proto::AttributeProto& add_attribute(proto::NodeProto& n, const std::string& name,
                                            proto::AttributeProto::AttributeType type) {
  auto& a = *n.add_attribute();
  a.set_name(name);
  a.set_type(type);
  return a;
}

// x: [2] -> Relu (node "r") -> y: [2]
inline proto::ModelProto relu_model() {
  proto::ModelProto m = empty_model();
  add_value(*m.mutable_graph()->mutable_input(), "x", {2});
  add_value(*m.mutable_graph()->mutable_output(), "y", {2});
  add_node(*m.mutable_graph(), "Relu", {"x"}, {"y"}, "r");
  return m;
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "intact-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
  [[nodiscard]] std::string path() const { return path_.string(); }
  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary).write(bytes.data(), std::ssize(bytes));
  }

 private:
  std::filesystem::path path_;
};

}  // namespace intact::test
