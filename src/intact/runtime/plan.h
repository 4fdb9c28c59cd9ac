// plan.h: everything about a run that follows from the shapes of its inputs.
//
// A plan is a list of steps and the place of every value: a constant of the model, an input or
// output of the run, or an offset in one arena, which values share when their lives do not meet.
// Values that follow from shapes alone (Shape, Range, and what is computed from them) are computed
// while planning and are constants of the plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/op.h"

namespace intact {

// Where a value's bytes are in a run.
struct Place {
  enum class Kind : std::uint8_t { kNone, kConstant, kInput, kOutput, kArena };
  Kind kind = Kind::kNone;
  std::size_t index = 0;   // Of the input, output or constant.
  std::size_t offset = 0;  // Into the arena.
};

struct Step {
  const Node* node = nullptr;
  std::vector<Place> in;
  std::vector<Place> out;
  std::vector<ValueInfo> in_info;  // Constant pointers belong to the plan or the graph.
  std::vector<ValueInfo> out_info;
  StepFn fn;
  std::size_t scratch_bytes = 0;
};

struct Plan {
  std::vector<Step> steps;
  std::vector<Tensor> constants;                  // What Place::kConstant indexes.
  std::vector<std::shared_ptr<Tensor>> computed;  // Owns what was computed while planning.
  std::vector<ValueInfo> input_info;              // By graph input.
  std::vector<ValueInfo> output_info;             // By graph output.
  std::vector<Place> output_place;                // kOutput, or where to copy it from.
  std::size_t arena_bytes = 0;                    // Scratch included.
  std::size_t scratch_offset = 0;
};

struct PlanOptions {
  int threads = 1;
  // Every value stays readable until the run ends: for observers and comparison.
  bool keep_all = false;
};

// Plans the graph for inputs of these types and shapes, one a graph input, in order.
// Errors: kInvalidModel, kUnsupported, kDataMismatch; `where` names the node.
Result<std::shared_ptr<const Plan>> make_plan(const Graph& graph, std::span<const ValueInfo> inputs,
                                              const PlanOptions& options, PackCache& packs);

// Returns "node 'name' (op)", as errors name it.
std::string describe(const Node& node);

// Runs one node on tensors: the evaluator of passes/fold_constants.
Result<std::vector<Tensor>> evaluate_node(const Graph& graph, const Node& node,
                                          std::span<const Tensor> inputs);

}  // namespace intact
