#include "runtime/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "base/align.h"
#include "base/fp_env.h"
#include "runtime/plan_lanes.h"
#include "runtime/plan_strips.h"
#include "runtime/step_cost.h"

namespace intact {
namespace {

// Results larger than this are computed in the run, even when all inputs are known.
constexpr std::size_t kMaxComputedBytes = std::size_t{16} << 20;

Result<const OpRow*> row_for(const Graph& graph, const Node& node) {
  const std::string domain = node.domain == "ai.onnx" ? "" : node.domain;
  const OpRow* row = find_op(domain, node.op, graph.opset(domain));
  if (row == nullptr)
    return fail(ErrorCode::kUnsupported,
                fmt::format("operator '{}' of domain '{}', opset {}, is not supported", node.op,
                            domain.empty() ? "ai.onnx" : domain, graph.opset(domain)));
  return row;
}

// Bytes in the arena that one or more values share as views of each other.
struct Block {
  std::size_t bytes = 0;
  std::int32_t first = 0;  // Step that writes it.
  std::int32_t last = 0;   // Last step that reads it.
  std::size_t offset = 0;
};

// A block that may take the place of another, which its step is the last to read.
struct Takeover {
  std::int32_t step, from, to;
};

// Gives every block an offset such that blocks whose lives meet do not overlap: largest first,
// each at the lowest gap that fits. Returns the size of the arena.
std::size_t place_blocks(std::vector<Block>& blocks) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  std::vector<std::size_t> placed;  // By offset.
  std::size_t arena = 0;
  for (const std::size_t b : order) {
    std::size_t offset = 0;
    for (const std::size_t p : placed) {
      const Block& other = blocks[p];
      if (other.last < blocks[b].first || blocks[b].last < other.first) continue;
      if (offset + blocks[b].bytes <= other.offset) break;
      offset = std::max(offset, other.offset + other.bytes);
    }
    blocks[b].offset = offset;
    arena = std::max(arena, offset + blocks[b].bytes);
    const auto at = std::upper_bound(
        placed.begin(), placed.end(), b,
        [&](std::size_t x, std::size_t y) { return blocks[x].offset < blocks[y].offset; });
    placed.insert(at, b);
  }
  return arena;
}

// What runs at the same time lives at the same time. together: by step.
void live_together(Block& block, const std::vector<std::int32_t>& together) {
  const auto group = [&](std::int32_t step) { return together[static_cast<std::size_t>(step)]; };
  const auto end = static_cast<std::int32_t>(together.size());
  while (block.first > 0 && group(block.first) == group(block.first - 1)) --block.first;
  while (block.last + 1 < end && group(block.last) == group(block.last + 1)) ++block.last;
}

class Planner {
 public:
  Planner(const Graph& graph, const PlanOptions& options, PackCache& packs)
      : graph_(graph),
        options_(options),
        packs_(packs),
        plan_(std::make_shared<Plan>()),
        infos_(graph.values.size()),
        places_(graph.values.size()),
        block_(graph.values.size(), -1) {}

  Result<std::shared_ptr<const Plan>> begin(std::span<const ValueInfo> inputs) {
    add_constants();
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
      const auto v = static_cast<std::size_t>(graph_.inputs[i]);
      infos_[v] = inputs[i];
      const auto& quant = graph_.values[v].quant;
      infos_[v].quant = quant ? &*quant : nullptr;
      places_[v] = {Place::Kind::kInput, i, 0};
      plan_->input_info.push_back(infos_[v]);
    }
    return add_nodes(0);
  }

  Result<std::shared_ptr<const Plan>> go_on(std::shared_ptr<const Plan> before,
                                            std::span<const Tensor> awaited) {
    infos_ = before->infos;
    plan_->input_info = before->input_info;
    for (std::size_t i = 0; i < awaited.size(); ++i)
      keep_constant(at(before->awaited[i]), std::make_shared<Tensor>(awaited[i]));
    for (std::size_t v = 0; v < infos_.size(); ++v) {
      if (infos_[v].constant != nullptr)
        place_constant(v, *infos_[v].constant);
      else if (infos_[v].dtype != Dtype::kUndefined)
        places_[v] = {Place::Kind::kCarried, v, 0};
    }
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i)
      if (places_[at(graph_.inputs[i])].kind == Place::Kind::kCarried)
        places_[at(graph_.inputs[i])] = {Place::Kind::kInput, i, 0};
    const std::size_t first = before->next_node;
    plan_->before = std::move(before);
    return add_nodes(first);
  }

 private:
  static std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

  void add_constants() {
    for (std::size_t v = 0; v < graph_.values.size(); ++v) {
      const Value& value = graph_.values[v];
      if (!value.constant) continue;
      const Quant* quant = value.quant ? &*value.quant : nullptr;
      infos_[v] = {value.constant->dtype(), value.constant->shape(), Layout::kPlain, quant,
                   &*value.constant};
      place_constant(v, *value.constant);
    }
  }

  void place_constant(std::size_t v, const Tensor& tensor) {
    places_[v] = {Place::Kind::kConstant, plan_->constants.size(), 0};
    plan_->constants.push_back(tensor);
  }

  // Makes value v, whose type is known, a constant of this plan.
  void keep_constant(std::size_t v, std::shared_ptr<Tensor> tensor) {
    place_constant(v, *tensor);
    infos_[v].constant = tensor.get();
    plan_->computed.push_back(std::move(tensor));
  }

  Result<std::shared_ptr<const Plan>> add_nodes(std::size_t first) {
    for (std::size_t n = first; n < graph_.nodes.size(); ++n) {
      auto status = add_node(graph_.nodes[n]);
      if (!status) return fail(status.error().with_context(describe(graph_.nodes[n])));
      if (plan_->last()) continue;
      plan_->next_node = n;
      return finish();
    }
    plan_->next_node = graph_.nodes.size();
    return finish();
  }

  Status add_node(const Node& node) {
    INTACT_ASSIGN(const OpRow* row, row_for(graph_, node));
    std::vector<ValueInfo> inputs;
    bool all_known = true;
    for (const ValueId id : node.inputs) {
      inputs.push_back(id == kNoValue ? ValueInfo{} : infos_[at(id)]);
      all_known &= id == kNoValue || inputs.back().constant != nullptr;
    }
    OpContext context(graph_, node, inputs, options_.threads, packs_);
    auto planned = row->plan(context);
    if (!planned && context.awaited_ != kNoValue &&
        infos_[at(context.awaited_)].layout == Layout::kPlain) {
      plan_->awaited.push_back(context.awaited_);
      return {};
    }
    INTACT_TRY(std::move(planned));
    // A row that only looks at shapes (Shape, Size) leaves the values themselves.
    if (all_known || context.outputs_[0].constant != nullptr) {
      INTACT_ASSIGN(const bool done, compute_now(node, context));
      if (done) return {};
    }
    add_step(node, std::move(inputs), context);
    return {};
  }

  // Computes a node whose inputs are known. Returns false when the result is too large to keep.
  Result<bool> compute_now(const Node& node, OpContext& context) {
    std::size_t bytes = 0;
    for (const ValueInfo& out : context.outputs_) bytes += bytes_of(out.dtype, out.size());
    if (bytes > kMaxComputedBytes) return false;
    std::vector<std::shared_ptr<Tensor>> results;
    std::vector<std::byte*> in_ptr;
    std::vector<std::byte*> out_ptr;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Tensor* t = context.input(i).constant;
      in_ptr.push_back(t == nullptr ? nullptr : t->raw());
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueInfo& info = context.outputs_[i];
      if (info.layout != Layout::kPlain) return false;
      if (node.outputs[i] == kNoValue) {
        results.push_back(nullptr);
        out_ptr.push_back(nullptr);
      } else if (info.constant != nullptr) {
        results.push_back(std::make_shared<Tensor>(*info.constant));
        out_ptr.push_back(results.back()->raw());
      } else if (context.alias_[i] >= 0) {
        const Tensor& source = *context.input(static_cast<std::size_t>(context.alias_[i])).constant;
        results.push_back(std::make_shared<Tensor>(source.reshaped(info.shape)));
        out_ptr.push_back(nullptr);
      } else {
        results.push_back(std::make_shared<Tensor>(info.dtype, info.shape));
        out_ptr.push_back(results.back()->raw());
      }
    }
    if (context.fn_) {
      const auto scratch = Buffer::allocate(context.scratch_bytes_);
      ThreadPool alone(1);
      Status status;
      context.fn_(StepArgs{in_ptr, out_ptr, scratch->data(), alone, status});
      INTACT_TRY(status);
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (results[i] == nullptr) continue;
      const auto v = at(node.outputs[i]);
      infos_[v] = {results[i]->dtype(), results[i]->shape(), Layout::kPlain,
                   context.outputs_[i].quant, nullptr};
      keep_constant(v, std::move(results[i]));
    }
    return true;
  }

  void add_step(const Node& node, std::vector<ValueInfo> inputs, OpContext& context) {
    const auto now = static_cast<std::int32_t>(plan_->steps.size());
    for (const ValueId id : node.inputs) touch(id, now);
    bool all_views = true;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNoValue) continue;
      const auto v = at(node.outputs[i]);
      infos_[v] = context.outputs_[i];
      if (context.alias_[i] >= 0) {
        const auto source = at(node.inputs[static_cast<std::size_t>(context.alias_[i])]);
        places_[v] = places_[source];
        block_[v] = block_[source];
        continue;
      }
      all_views = false;
      block_[v] = static_cast<std::int32_t>(blocks_.size());
      places_[v] = {Place::Kind::kArena, 0, 0};
      const std::size_t bytes = bytes_of(infos_[v].dtype, infos_[v].size());
      blocks_.push_back({align_up(bytes + kSlackBytes), now, now, 0});
    }
    if (all_views && !context.fn_) return;
    note_takeover(node, context.overwritten_, now);
    Step step;
    step.node = &node;
    step.in_info = std::move(inputs);
    step.out_info = context.outputs_;
    step.fn = std::move(context.fn_);
    step.scratch_bytes = context.scratch_bytes_;
    const double us = step_cost_us(node, step.in_info, step.out_info);
    step.alone = us < kLeastSharedUs;
    if (tasks_a_thread(us, options_.threads) == 1) step.tasks = std::move(context.tasks_);
    step.lines = std::move(context.lines_);
    step_values_.push_back({node.inputs, node.outputs});
    for (const std::size_t i : context.needless_) step_values_.back().first[i] = kNoValue;
    plan_->steps.push_back(std::move(step));
  }

  void note_takeover(const Node& node, int input, std::int32_t now) {
    if (input < 0) return;
    const std::int32_t from = block_[at(node.inputs[static_cast<std::size_t>(input)])];
    const auto readers = std::count_if(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
      return id != kNoValue && block_[at(id)] == from;
    });
    if (from >= 0 && readers == 1) takeovers_.push_back({now, from, block_[at(node.outputs[0])]});
  }

  // Merges the blocks of takeovers, now that all lives are known. `taken`: not in the arena.
  // Returns the block whose place each block has.
  std::vector<std::size_t> take_over(const std::vector<std::int32_t>& taken,
                                     const std::vector<std::int32_t>& together) {
    // Another step that runs at the same time may read what is to be overwritten.
    const auto read_beside = [&](const Takeover& t) {
      for (std::int32_t s = t.step - 1; s >= 0 && together[at(s)] == together[at(t.step)]; --s)
        for (const ValueId id : step_values_[at(s)].first)
          if (id != kNoValue && block_[at(id)] == t.from) return true;
      return false;
    };
    std::vector<std::size_t> place(blocks_.size());
    std::iota(place.begin(), place.end(), std::size_t{0});
    for (const Takeover& t : takeovers_) {
      const std::size_t from = place[static_cast<std::size_t>(t.from)];
      const auto to = static_cast<std::size_t>(t.to);
      if (taken[from] >= 0 || taken[to] >= 0 || blocks_[from].last != t.step ||
          blocks_[from].bytes < blocks_[to].bytes || read_beside(t))
        continue;
      blocks_[from].last = blocks_[to].last;
      blocks_[to].bytes = 0;
      place[to] = from;
    }
    return place;
  }

  std::vector<StepBlocks> step_blocks() const {
    const auto blocks_of = [&](const std::vector<ValueId>& values) {
      std::vector<std::int32_t> blocks;
      for (const ValueId id : values) blocks.push_back(id == kNoValue ? -1 : block_[at(id)]);
      return blocks;
    };
    std::vector<StepBlocks> all;
    for (const auto& [in, out] : step_values_) all.push_back({blocks_of(in), blocks_of(out)});
    return all;
  }

  void touch(ValueId id, std::int32_t now) {
    if (id != kNoValue && block_[at(id)] >= 0)
      blocks_[static_cast<std::size_t>(block_[at(id)])].last = now;
  }

  // What nodes from next_node on, or the run's outputs, need of this plan's values.
  std::vector<ValueId> leaving() const {
    std::vector<bool> wanted(graph_.values.size(), false);
    for (std::size_t n = plan_->next_node; n < graph_.nodes.size(); ++n)
      for (const ValueId id : graph_.nodes[n].inputs)
        if (id != kNoValue) wanted[at(id)] = true;
    for (const ValueId id : graph_.outputs) wanted[at(id)] = true;
    // Known there already: constants, and what an earlier plan has carried under its own number. A
    // view of one of these is neither.
    const auto is_known = [&](std::size_t v) {
      const Place& place = places_[v];
      return place.kind == Place::Kind::kConstant
                 ? infos_[v].constant != nullptr
                 : place.kind == Place::Kind::kCarried && place.index == v;
    };
    std::vector<ValueId> values;
    for (std::size_t v = 0; v < wanted.size(); ++v)
      if (wanted[v] && places_[v].kind != Place::Kind::kNone && !is_known(v))
        values.push_back(static_cast<ValueId>(v));
    return values;
  }

  // The input by which a step is the only one to read what the step before it makes, and that is
  // all which that one makes.
  std::optional<std::size_t> through(std::size_t s) const {
    const auto& [in, out] = step_values_[s];
    const auto& made = step_values_[s - 1].second;
    if (made.size() != 1 || made[0] == kNoValue) return {};
    const std::int32_t block = block_[at(made[0])];
    if (block < 0 || blocks_[at(block)].last != static_cast<std::int32_t>(s)) return {};
    std::optional<std::size_t> input;
    for (std::size_t i = 0; i < in.size(); ++i) {
      if (in[i] == kNoValue || block_[at(in[i])] != block) continue;
      if (input) return {};
      input = i;
    }
    return input;
  }

  // Joins steps that work line by line, now that it is known which step reads what.
  void join_steps(const StripLimits& limits) {
    std::vector<Step> steps;
    std::vector<std::pair<std::vector<ValueId>, std::vector<ValueId>>> values;
    std::vector<std::int32_t> number;  // By that of a step until now.
    for (std::size_t s = 0; s < plan_->steps.size();) {
      const std::size_t first = s;
      std::vector<ValueId> in = step_values_[s].first;
      Strips strips(std::move(plan_->steps[s]), limits);
      for (++s; s < plan_->steps.size(); ++s) {
        const auto input = through(s);
        if (!input || !strips.join(plan_->steps[s], *input, options_.threads)) break;
        blocks_[at(block_[at(step_values_[s - 1].second[0])])].bytes = 0;
        const std::size_t at_input = in.size() + *input;
        in.insert(in.end(), step_values_[s].first.begin(), step_values_[s].first.end());
        in[at_input] = kNoValue;
      }
      // What another of them reads, or what is in no place, is not overwritten.
      std::erase_if(takeovers_, [&](const Takeover& t) {
        const auto step = static_cast<std::size_t>(t.step);
        if (step < first || step >= s) return false;
        return step + 1 < s || std::count_if(in.begin(), in.end(), [&](ValueId id) {
                                 return id != kNoValue && block_[at(id)] == t.from;
                               }) > 1;
      });
      number.resize(s, static_cast<std::int32_t>(steps.size()));
      steps.push_back(Strips::as_step(std::move(strips), options_.threads));
      values.emplace_back(std::move(in), step_values_[s - 1].second);
    }
    number.push_back(static_cast<std::int32_t>(steps.size()));
    for (Block& block : blocks_) {
      block.first = number[at(block.first)];
      block.last = number[at(block.last)];
    }
    for (Takeover& t : takeovers_) t.step = number[at(t.step)];
    plan_->steps = std::move(steps);
    step_values_ = std::move(values);
  }

  Result<std::shared_ptr<const Plan>> finish() {
    const auto end = static_cast<std::int32_t>(plan_->steps.size());
    std::vector<std::int32_t> block_output(blocks_.size(), -1);
    std::vector<ValueId> carried;
    if (plan_->last()) {
      // An output whose block is its own becomes memory of the run's result; others are copied, and
      // so are codes that a step reads: the caller's memory may end where they do.
      for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
        const auto v = at(graph_.outputs[i]);
        plan_->output_info.push_back(infos_[v]);
        const std::int32_t b = block_[v];
        if (b < 0 || infos_[v].layout != Layout::kPlain) continue;
        const Block& block = blocks_[static_cast<std::size_t>(b)];
        const bool exact = !read_past_end(infos_[v].dtype) || block.last == block.first;
        std::int32_t& output = block_output[static_cast<std::size_t>(b)];
        if (exact && output < 0) output = static_cast<std::int32_t>(i);
      }
      for (const ValueId id : graph_.outputs) touch(id, end);
    } else {
      carried = leaving();
      for (const ValueId id : carried) touch(id, end);
      plan_->infos = infos_;
    }
    if (options_.strips) join_steps(*options_.strips);
    for (std::size_t b = 0; b < blocks_.size(); ++b)
      if (block_output[b] >= 0) blocks_[b].bytes = 0;
    const std::vector<std::int32_t> together =
        plan_lanes(plan_->steps, options_.threads, step_blocks());
    const std::vector<std::size_t> place = take_over(block_output, together);
    for (Block& block : blocks_) live_together(block, together);
    std::size_t scratch_bytes = 0;
    for (std::size_t s = 0; s < plan_->steps.size(); ++s) {
      Step& step = plan_->steps[s];
      if (s > 0 && together[s] == together[s - 1])
        step.scratch_offset =
            align_up(plan_->steps[s - 1].scratch_offset + plan_->steps[s - 1].scratch_bytes);
      scratch_bytes = std::max(scratch_bytes, step.scratch_offset + step.scratch_bytes);
    }
    plan_->scratch_offset = place_blocks(blocks_);
    plan_->arena_bytes = plan_->scratch_offset + scratch_bytes;
    const auto place_of = [&](ValueId id) -> Place {
      if (id == kNoValue) return {};
      const std::int32_t b = block_[at(id)];
      if (b < 0) return places_[at(id)];
      const auto block = static_cast<std::size_t>(b);
      if (block_output[block] >= 0)
        return {Place::Kind::kOutput, static_cast<std::size_t>(block_output[block]), 0};
      return {Place::Kind::kArena, 0, blocks_[place[block]].offset};
    };
    for (std::size_t s = 0; s < plan_->steps.size(); ++s) {
      for (const ValueId id : step_values_[s].first) plan_->steps[s].in.push_back(place_of(id));
      for (const ValueId id : step_values_[s].second) plan_->steps[s].out.push_back(place_of(id));
    }
    if (plan_->last())
      for (const ValueId id : graph_.outputs) plan_->output_place.push_back(place_of(id));
    for (const ValueId id : carried) plan_->carried.emplace_back(id, place_of(id));
    return std::shared_ptr<const Plan>(plan_);
  }

  const Graph& graph_;
  const PlanOptions& options_;
  PackCache& packs_;
  std::shared_ptr<Plan> plan_;
  std::vector<ValueInfo> infos_;
  std::vector<Place> places_;
  std::vector<std::int32_t> block_;  // By value; -1: not in the arena.
  std::vector<Takeover> takeovers_;  // By step.
  std::vector<Block> blocks_;
  std::vector<std::pair<std::vector<ValueId>, std::vector<ValueId>>> step_values_;
};

}  // namespace

std::optional<ValueInfo> declared_info(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  ValueInfo info{value.type.dtype,
                 {},
                 value.type.layout,
                 value.quant ? &*value.quant : nullptr,
                 value.constant ? &*value.constant : nullptr};
  if (info.constant != nullptr) {
    info.dtype = info.constant->dtype();
    info.shape = info.constant->shape();
    info.layout = Layout::kPlain;
    return info;
  }
  if (info.dtype == Dtype::kUndefined || !value.type.shape) return std::nullopt;
  for (const Dim& dim : *value.type.shape) {
    if (!dim.known()) return std::nullopt;
    info.shape.push_back(dim.size);
  }
  return info;
}

void pack_ahead(const Graph& graph, const PlanOptions& options, ThreadPool& pool,
                PackCache& packs) {
  constexpr std::size_t kWorthwhileBytes = 4096;
  std::vector<const Node*> nodes;
  for (const Node& node : graph.nodes)
    for (const ValueId id : node.inputs)
      if (id != kNoValue && graph.value(id).constant &&
          graph.value(id).constant->bytes() >= kWorthwhileBytes) {
        nodes.push_back(&node);
        break;
      }
  pool.run(nodes.size(), [&](std::size_t n) {
    const ScopedFpEnv fp;
    const Node& node = *nodes[n];
    std::vector<ValueInfo> inputs;
    for (const ValueId id : node.inputs) {
      auto info = id == kNoValue ? ValueInfo{} : declared_info(graph, id);
      if (!info) return;
      inputs.push_back(std::move(*info));
    }
    const auto row = row_for(graph, node);
    if (!row) return;
    OpContext context(graph, node, inputs, options.threads, packs);
    static_cast<void>((*row)->plan(context));
  });
}

Status check_operators(const Graph& graph) {
  for (const Node& node : graph.nodes)
    if (const auto row = row_for(graph, node); !row)
      return fail(row.error().with_context(describe(node)));
  return {};
}

bool read_past_end(Dtype dtype) noexcept { return bytes_of(dtype, 2) <= 2; }

std::string describe(const Node& node) {
  return fmt::format("node '{}' ({}{}{})", node.name.empty() ? "unnamed" : node.name, node.domain,
                     node.domain.empty() ? "" : ".", node.op);
}

Result<std::shared_ptr<const Plan>> make_plan(const Graph& graph, std::span<const ValueInfo> inputs,
                                              const PlanOptions& options, PackCache& packs) {
  const ScopedFpEnv fp;
  return Planner(graph, options, packs).begin(inputs);
}

Result<std::shared_ptr<const Plan>> continue_plan(const Graph& graph,
                                                  std::shared_ptr<const Plan> before,
                                                  std::span<const Tensor> awaited,
                                                  const PlanOptions& options, PackCache& packs) {
  const ScopedFpEnv fp;
  return Planner(graph, options, packs).go_on(std::move(before), awaited);
}

Result<std::vector<Tensor>> evaluate_node(const Node& node, std::span<const Tensor> inputs,
                                          const Graph& graph) {
  const ScopedFpEnv fp;
  const auto found = row_for(graph, node);
  if (!found) return fail(found.error().with_context(describe(node)));
  const OpRow* row = *found;
  std::vector<ValueInfo> infos;
  std::vector<std::byte*> in_ptr;
  for (const Tensor& t : inputs) {
    infos.push_back({t.dtype(), t.shape(), Layout::kPlain, nullptr, t.defined() ? &t : nullptr});
    in_ptr.push_back(t.defined() ? t.raw() : nullptr);
  }
  PackCache packs;
  OpContext context(graph, node, infos, 1, packs);
  auto status = row->plan(context);
  if (!status) return fail(status.error().with_context(describe(node)));
  std::vector<Tensor> outputs;
  std::vector<std::byte*> out_ptr;
  for (std::size_t i = 0; i < context.outputs_.size(); ++i) {
    const ValueInfo& info = context.outputs_[i];
    if (node.outputs[i] == kNoValue)
      outputs.emplace_back();
    else if (info.constant != nullptr)
      outputs.push_back(*info.constant);
    else if (context.alias_[i] >= 0)
      outputs.push_back(inputs[static_cast<std::size_t>(context.alias_[i])].reshaped(info.shape));
    else
      outputs.emplace_back(info.dtype, info.shape);
    out_ptr.push_back(outputs.back().defined() ? outputs.back().raw() : nullptr);
  }
  if (context.fn_) {
    const auto scratch = Buffer::allocate(context.scratch_bytes_);
    ThreadPool alone(1);
    Status run_status;
    context.fn_(StepArgs{in_ptr, out_ptr, scratch->data(), alone, run_status});
    if (!run_status) return fail(run_status.error().with_context(describe(node)));
  }
  return outputs;
}

}  // namespace intact
