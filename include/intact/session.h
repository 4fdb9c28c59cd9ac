// session.h: load a model and run it.
//
// Thread-safe: one session may run on many threads at once. Nothing is printed; failures are
// values.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "intact/result.h"

namespace intact {

class Engine;
class Tensor;

// One input or output as the model declares it.
struct ValueDescription {
  std::string name;
  std::string dtype;                 // "float32", "int64", ...
  std::vector<std::int64_t> shape;   // -1 where a run decides.
  std::vector<std::string> symbols;  // The names of those dimensions; "" where there is none.
  bool has_shape = false;            // False: not even the rank is declared.
};

struct SessionOptions {
  int threads = 0;  // 0: the least of the affinity mask, the cgroup quota and INTACT_NUM_THREADS.
  // A folder that keeps packed weights, so that later openings pack nothing and all processes hold
  // one copy; made when missing. Empty: none.
  std::string cache_dir{};
  // Float products with constant weights round both operands to BF16 where the processor multiplies
  // those (AVX512-BF16); elsewhere this changes nothing. Such a session's bytes are not those of
  // other machines (docs/maths/numerics.md); Session::fast_nodes names what is computed so.
  bool fast_float = false;
};

// A piece of memory that a run reads: dense, row-major.
struct TensorView {
  std::string dtype;
  std::vector<std::int64_t> shape;
  const void* data = nullptr;
};

// A piece of memory that a run writes: dense, row-major, of the output's type and shape; it
// overlaps neither inputs nor other outputs. Without data the run allocates it.
struct OutputView {
  std::string dtype;
  std::vector<std::int64_t> shape;
  void* data = nullptr;
};

// A result. The memory belongs to the shared owner, or to the caller who bound it.
struct OwnedTensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  void* data = nullptr;
  std::size_t bytes = 0;
  std::shared_ptr<void> owner;
};

class Session {
 public:
  // Opens an ONNX file, float or quantized. The file is mapped while the session lives: a newer one
  // takes its place by a rename (as quantize writes), never by writing into it.
  // Errors: kIo, kInvalidModel, kUnsupported.
  static Result<Session> open(const std::string& path, const SessionOptions& options = {});
  // Opens a model in memory; external data is looked for in `folder`, if that is not empty.
  static Result<Session> open(std::span<const std::byte> model, const std::string& folder = "",
                              const SessionOptions& options = {});

  [[nodiscard]] const std::vector<ValueDescription>& inputs() const;
  [[nodiscard]] const std::vector<ValueDescription>& outputs() const;
  // metadata_props of the model.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const;
  [[nodiscard]] const std::string& producer() const;
  [[nodiscard]] const std::string& graph_name() const;

  // The nodes that are computed in BF16 because of SessionOptions::fast_float; by output where they
  // have no name.
  [[nodiscard]] std::vector<std::string> fast_nodes() const;

  // Runs the model on one view an input, by name. Returns all outputs, in the model's order.
  // Errors: kDataMismatch naming the input; kInterrupted when *cancel becomes true.
  Result<std::vector<OwnedTensor>> run(const std::map<std::string, TensorView>& inputs,
                                       const std::atomic<bool>* cancel = nullptr) const;
  // The same with everything in the model's order: one view an input, and either no view or one an
  // output. Errors: kDataMismatch also for memory that does not fit its output.
  Result<std::vector<OwnedTensor>> run_ordered(std::span<const TensorView> inputs,
                                               std::span<const OutputView> outputs = {},
                                               const std::atomic<bool>* cancel = nullptr) const;

  // The engine behind the session, for the project's own tools.
  [[nodiscard]] Engine& engine() const;

 private:
  struct State;
  explicit Session(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace intact
