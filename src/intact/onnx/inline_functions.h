// inline_functions.h: calls of a model's own functions become the bodies of the functions.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "intact/result.h"
#include "onnx/onnx.pb.h"

namespace intact {

// The functions of one model. The names inside of a body get the call's name as a prefix, so that
// every call has its own; attributes that refer to those of the call are filled in.
class FunctionLibrary {
 public:
  // Errors: kInvalidModel when a function is defined twice; kUnsupported when one imports another
  // version of an operator set than the model does. `model` must outlive the library.
  static Result<FunctionLibrary> make(const proto::ModelProto& model);

  // The nodes of a graph with calls replaced. Points into `nodes` and `owned`.
  // Errors: kInvalidModel for calls in a circle or deeper than 32, or with too many inputs;
  // kUnsupported when the bodies together have more than 2^18 nodes or 2^28 bytes.
  Status expand(google::protobuf::RepeatedPtrField<proto::NodeProto>& nodes,
                std::deque<proto::NodeProto>& owned, std::vector<proto::NodeProto*>& out);

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // Domain, name, overload.
  static Key key_of(std::string domain, const std::string& name, const std::string& overload);
  Status add(proto::NodeProto& node, int depth, std::deque<proto::NodeProto>& owned,
             std::vector<proto::NodeProto*>& out);

  std::map<Key, const proto::FunctionProto*> functions_;
  std::int64_t calls_ = 0;
  std::int64_t nodes_left_ = std::int64_t{1} << 18;
  std::int64_t bytes_left_ = std::int64_t{1} << 28;
};

}  // namespace intact
