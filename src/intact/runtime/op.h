// op.h: how operators are planned: the table of operators and what a row may ask for.
//
// A row turns one node into one step. It is called when the shapes of all inputs are known, checks
// them, declares the outputs, and leaves a closure that computes. Nothing is inferred ahead: a
// shape is what the values that reach a node really have (docs/architecture.md, "Plans").
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.h"
#include "base/thread_pool.h"
#include "intact/result.h"
#include "ir/graph.h"
#include "runtime/ops/cut.h"
#include "runtime/pack_cache.h"

namespace intact {

// What is known of a value when the nodes that read it are planned.
struct ValueInfo {
  Dtype dtype = Dtype::kUndefined;
  Shape shape;  // Logical order, whatever the layout.
  Layout layout = Layout::kPlain;
  const Quant* quant = nullptr;      // Set when the elements are codes. Owned by the graph.
  const Tensor* constant = nullptr;  // Set when the value is known while planning; row-major.
  Cut columns{};  // Parts of the innermost axis in memory that its step's tasks are. None: 1 part.

  [[nodiscard]] std::int64_t size() const noexcept { return num_elements(shape); }
  [[nodiscard]] std::size_t rank() const noexcept { return shape.size(); }
  // The sizes in memory order, and where a logical axis stands in it.
  [[nodiscard]] Shape memory_shape() const;
  [[nodiscard]] int memory_axis(int axis) const noexcept;
  // Element strides by logical axis.
  [[nodiscard]] std::vector<std::int64_t> strides() const;
};

// The arguments of a step when it runs. Pointers are null for omitted operands.
struct StepArgs {
  std::span<std::byte* const> in;
  std::span<std::byte* const> out;
  std::byte* scratch;  // The bytes that the row asked for, aligned to kAlignBytes.
  ThreadPool& pool;
  Status& status;  // Set by a step that meets data it cannot use (an index out of range).

  template <class T>
  [[nodiscard]] const T* input(std::size_t i) const noexcept {
    return reinterpret_cast<const T*>(in[i]);
  }
  template <class T>
  [[nodiscard]] T* output(std::size_t i) const noexcept {
    return reinterpret_cast<T*>(out[i]);
  }
};
using StepFn = std::function<void(const StepArgs&)>;
using TaskFn = std::function<void(const StepArgs&, std::size_t task)>;

// A rectangle of a tensor's elements, which are seen as rows of `row` elements in memory order.
struct Extent {
  std::int64_t row = 1;
  std::int64_t begin = 0, end = 0;   // Rows.
  std::int64_t first = 0, last = 0;  // Columns.

  [[nodiscard]] bool empty() const noexcept { return begin >= end || first >= last; }
  [[nodiscard]] bool covers(const Extent& other) const noexcept;
};
using ExtentFn = std::function<Extent(std::size_t task)>;

// A step as independent tasks. Where it is known which elements a task touches, the next step may
// begin with what a thread has written itself before all others are done (plan.h).
struct StepTasks {
  std::size_t count = 0;  // 0: the step is no such tasks.
  TaskFn fn;
  ExtentFn writes;               // Of output 0. Null: not known.
  std::vector<ExtentFn> others;  // Of the outputs from 1 on; null or missing: not known.
  std::vector<ExtentFn> reads;   // By input; null or missing: not known, unless it is a constant.

  // All of them, on the pool.
  [[nodiscard]] StepFn all() const;
  // What is written of an output; null: not known.
  [[nodiscard]] const ExtentFn& written(std::size_t output) const noexcept;
};

// The lines of a tensor from `begin` to before `end`: what lies at one height of a channels-last
// image, all its columns and channels.
struct LineRange {
  std::int64_t begin = 0, end = 0;

  [[nodiscard]] std::int64_t count() const noexcept { return end - begin; }
};

// The lines of an input that lines of the output are made of: for [begin, end)
//   [begin stride - before, (end - 1) stride - before + span), as far as there are so many.
struct LineWindow {
  std::int64_t lines = 0;  // That the input has; 0: any line may need all of it.
  std::int64_t stride = 1, before = 0, span = 1;

  [[nodiscard]] LineRange of(const LineRange& made) const noexcept;
  // How many lines `made` lines are made of, away from the edges.
  [[nodiscard]] std::int64_t of(std::int64_t made) const noexcept {
    return (made - 1) * stride + span;
  }
};

// A step that can make any lines of output 0 by themselves, and reads of the inputs no others than
// those these are made of. Such steps are joined (plan_strips.h).
using LinesFn = std::function<void(const StepArgs&, const LineRange&)>;
struct StepLines {
  std::int64_t count = 0;  // 0: the step cannot.
  LinesFn fn;
  std::vector<LineWindow> reads;  // By input; missing ones: all of it.
};

// One node being planned.
class OpContext {
 public:
  OpContext(const Graph& graph, const Node& node, std::span<const ValueInfo> inputs, int threads,
            PackCache& packs)
      : graph_(graph), node_(node), inputs_(inputs), threads_(threads), packs_(packs) {
    outputs_.resize(node.outputs.size());
    alias_.assign(node.outputs.size(), -1);
  }

  [[nodiscard]] const Graph& graph() const noexcept { return graph_; }
  [[nodiscard]] const Node& node() const noexcept { return node_; }
  [[nodiscard]] std::int64_t opset() const { return graph_.opset(node_.domain); }
  [[nodiscard]] int threads() const noexcept { return threads_; }

  [[nodiscard]] std::size_t input_count() const noexcept { return inputs_.size(); }
  [[nodiscard]] bool has(std::size_t i) const noexcept { return node_.in(i) != kNoValue; }
  [[nodiscard]] const ValueInfo& input(std::size_t i) const { return inputs_[i]; }

  // The elements of input i, without which the node cannot be planned. Where they depend on data
  // this fails, and the node is planned again when the run has computed them (plan.h).
  [[nodiscard]] Result<const Tensor*> known(std::size_t i);
  [[nodiscard]] Result<std::vector<std::int64_t>> ints(std::size_t i);
  [[nodiscard]] Result<std::vector<double>> reals(std::size_t i);

  // Fails unless input i is there (and of that type).
  [[nodiscard]] Status require(std::size_t i) const;
  [[nodiscard]] Status require(std::size_t i, Dtype dtype) const;

  // Declares output i. Errors: check_shape's.
  Status output(std::size_t i, Dtype dtype, Shape shape, Layout layout = Layout::kPlain);
  // Declares that output i has the bytes of input j and needs no step.
  Status view(std::size_t i, std::size_t j, Shape shape, Layout layout = Layout::kPlain);
  // Lets output 0 take the place of input i in memory where nothing reads it later: the step reads
  // of it, for an element of the output, that element's own bytes only, and before it writes them.
  void may_overwrite(std::size_t i) { overwritten_ = static_cast<int>(i); }
  // Asks for scratch memory while the step runs.
  void scratch(std::size_t bytes) { scratch_bytes_ = bytes; }
  // How many tasks each of `of` equal pieces of the step is worth cutting into, when outputs are
  // declared. All together: one where sharing takes longer than it saves (step_cost.h), else one a
  // thread, and some a thread where that is long enough to even out what other programs take.
  [[nodiscard]] std::int64_t parts(std::int64_t of = 1) const;
  void run(StepFn fn) { fn_ = std::move(fn); }
  // Declares that the step reads nothing of input i, which is in what was packed.
  void needs_not(std::size_t i) { needless_.push_back(i); }
  // The same for tasks that only read inputs, and write what no other one of them reads or writes.
  void run_tasks(std::int64_t count, TaskFn fn);
  // What a task writes of output 0 or i, exactly, and what it reads of input i at most.
  void writes(ExtentFn extent) { tasks_.writes = std::move(extent); }
  void writes(std::size_t i, ExtentFn extent);
  void reads(std::size_t i, ExtentFn extent);
  // The same step, line by line.
  void lines(StepLines lines) { lines_ = std::move(lines); }

  // Returns the object that `make` returns (Result<std::shared_ptr<T>>), made once a model for this
  // node and tag; once a plan where constants of the node are not the model's but the plan's.
  template <class T, class Make>
  Result<std::shared_ptr<const T>> packed(std::string_view tag, Make&& make);

  [[nodiscard]] bool constants_are_the_models() const;

  // Taken by the planner.
  std::vector<ValueInfo> outputs_;
  std::vector<int> alias_;  // Input whose bytes output i has, or -1.
  int overwritten_ = -1;    // Input whose place output 0 may take, or -1.
  std::vector<std::size_t> needless_;
  std::size_t scratch_bytes_ = 0;
  StepFn fn_;
  StepTasks tasks_;
  StepLines lines_;
  ValueId awaited_ = kNoValue;     // What known() did not find.
  std::int64_t wanted_parts_ = 0;  // For tests: how many parts() asks for, whatever that costs.

 private:
  const Graph& graph_;
  const Node& node_;
  std::span<const ValueInfo> inputs_;
  int threads_;
  PackCache& packs_;
};

struct OpRow {
  std::string_view domain;
  std::string_view op;
  int since;  // First opset of the domain that this row understands.
  Status (*plan)(OpContext&);
};

// Returns the row for an operator: of those not newer than `opset`, the newest. Null if none.
const OpRow* find_op(std::string_view domain, std::string_view op, std::int64_t opset);

// Returns every row, for documentation and tests.
std::vector<OpRow> all_ops();

template <class T, class Make>
Result<std::shared_ptr<const T>> OpContext::packed(std::string_view tag, Make&& make) {
  if (!constants_are_the_models()) return make();
  // Outputs are unique in a graph, so an output's name identifies the node.
  const std::string key = graph_.value(node_.outputs[0]).name + '\0' + std::string(tag);
  PackCache::Sources sources;
  for (const ValueInfo& input : inputs_)
    if (input.constant != nullptr) sources.push_back(input.constant);
  if (auto found = packs_.find<T>(key, sources)) return found;
  INTACT_ASSIGN(std::shared_ptr<const T> made, make());
  return packs_.put<T>(key, std::move(made), sources);
}

}  // namespace intact
