// plan.h: everything about a run that follows from the shapes of its inputs.
//
// A plan is a list of steps and the place of every value: a constant of the model, an input or
// output of the run, or an offset in one arena, which values share when their lives do not meet.
// Values that follow from shapes alone (Shape, Range, and what is computed from them) are computed
// while planning and are constants of the plan.
//
// A node may need the elements of an input to be planned at all: a Reshape to a computed shape, a
// NonZero. Where they are not known, the plan ends before that node; what it has computed is read,
// and the next plan goes on with those values as constants. So a run is a chain of plans, of one
// for most models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/op.h"

namespace intact {

// Where a value's bytes are in a run.
struct Place {
  enum class Kind : std::uint8_t { kNone, kConstant, kInput, kOutput, kArena, kCarried };
  Kind kind = Kind::kNone;
  std::size_t index = 0;   // Of the input, output or constant; of a value of an earlier plan.
  std::size_t offset = 0;  // Into the arena.
};

struct Step {
  const Node* node = nullptr;
  std::vector<Place> in;  // kNone where it needs nothing of an input (OpContext::needs_not).
  std::vector<Place> out;
  std::vector<ValueInfo> in_info;  // Constant pointers belong to the plan or the graph.
  std::vector<ValueInfo> out_info;
  StepFn fn;
  std::size_t scratch_bytes = 0;
  std::size_t scratch_offset = 0;  // Within the plan's.
  bool alone = false;              // Too short to share (step_cost.h).

  // Short steps that follow one another run in one parallel region, cut into lanes (base/lanes.h):
  // how many, on the first of them; 0 on the others, and where a step has a region of its own.
  std::size_t in_lanes = 0;
  // In lanes, false when a lane reads nothing that another lane may not have written yet. Memory
  // is planned as if steps that do not wait ran at the same time as the ones before.
  bool waits = true;
  StepTasks tasks;  // In lanes, unless alone. Then it is lane 0's.

  StepLines lines;                            // While planning.
  const std::vector<Step>* joined = nullptr;  // What this one does strip by strip (plan_strips.h).
};

struct Plan {
  std::vector<Step> steps;
  std::vector<Tensor> constants;                  // What Place::kConstant indexes.
  std::vector<std::shared_ptr<Tensor>> computed;  // Owns what was computed while planning.
  std::vector<ValueInfo> input_info;              // By graph input.
  std::vector<ValueInfo> output_info;             // By graph output. Only in the last plan.
  std::vector<Place> output_place;                // kOutput, or where to copy it from.
  std::size_t arena_bytes = 0;                    // Scratch included.
  std::size_t scratch_offset = 0;

  // The rest is empty in the last plan of a run.
  std::vector<ValueId> awaited;                    // What must be known to go on.
  std::vector<std::pair<ValueId, Place>> carried;  // What later plans read of this one's values.
  std::size_t next_node = 0;
  std::vector<ValueInfo> infos;        // By value.
  std::shared_ptr<const Plan> before;  // Owns constants that infos point to.

  [[nodiscard]] bool last() const noexcept { return awaited.empty(); }
};

// Which steps are worth joining (plan_strips.h). Bytes.
struct StripLimits {
  std::int64_t least_value = 0;     // A smaller one stays in the second-level cache as a whole.
  std::int64_t most_in_flight = 0;  // Of the lines of a worker.
  std::int64_t most_weights = 0;    // Of all steps: each strip reads them again.
  std::int64_t least_lines = 4;     // Of a strip: shorter ones spend their time between kernels.
  std::int64_t most_lines = std::numeric_limits<std::int64_t>::max();
  double most_held = 0.5;    // Of the values, in flight.
  double most_twice = 0.04;  // Of the lines of a value, made by two tasks.
  bool all_threads = true;   // Only where the output has a line for each thread.

  // For a second-level cache of so many bytes; of_host: this machine's.
  static StripLimits of_cache(std::int64_t bytes);
  static StripLimits of_host();
};

struct PlanOptions {
  int threads = 1;
  // None: every value is there as a whole when its step has run, for observers.
  std::optional<StripLimits> strips = StripLimits::of_host();
};

// Returns whether kernels may read elements of this type up to kSlackBytes past the last one: codes
// are, everything else is read exactly.
[[nodiscard]] bool read_past_end(Dtype dtype) noexcept;

// Plans the graph for inputs of these types and shapes, one a graph input, in order.
// Errors: kInvalidModel, kUnsupported, kDataMismatch; `where` names the node.
Result<std::shared_ptr<const Plan>> make_plan(const Graph& graph, std::span<const ValueInfo> inputs,
                                              const PlanOptions& options, PackCache& packs);

// Goes on after `before`, whose awaited values these are.
Result<std::shared_ptr<const Plan>> continue_plan(const Graph& graph,
                                                  std::shared_ptr<const Plan> before,
                                                  std::span<const Tensor> awaited,
                                                  const PlanOptions& options, PackCache& packs);

// What the graph declares of a value; nothing where that is not all of it.
std::optional<ValueInfo> declared_info(const Graph& graph, ValueId id);

// Packs the weights of every node whose types the graph declares, on the pool's threads. Plans find
// them in `packs`; what goes wrong here goes wrong there again, and is reported there.
void pack_ahead(const Graph& graph, const PlanOptions& options, ThreadPool& pool, PackCache& packs);

// Fails for the first node that no row of the table of operators runs. Errors: kUnsupported, naming
// node, operator, domain and opset.
Status check_operators(const Graph& graph);

// Returns "node 'name' (op)", as errors name it.
std::string describe(const Node& node);

// Runs one node on tensors: the evaluator of passes/fold_constants.
Result<std::vector<Tensor>> evaluate_node(const Node& node, std::span<const Tensor> inputs,
                                          const Graph& graph);

}  // namespace intact
