// check_tasks.cc: MODEL.onnx [-v] [NAME=DIMS...]: holds the steps of a model to what they promise
// of their tasks (runtime/op.h), one task at a time, on random inputs:
//
//   a task writes of an output what `writes` says, all of it and nothing else;
//   what it writes does not depend on elements outside of what `reads` says;
//   all tasks write what one task writes when the step is not cut at all;
//   the same for lines, where a step can make any by themselves;
//   a run whose steps are joined wherever that is possible, in strips of a few lines, gives what
//   one gives that joins none (runtime/plan_strips.h).
//
// NAME=1x3x64x64 gives the sizes of an input, which are those of the model without it; where that
// says none, 2 for tasks, and 1, for lines and strips are of one image. -v lists the steps.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "base/fp_env.h"
#include "onnx/import.h"
#include "passes/pass.h"
#include "passes/pipeline.h"
#include "runtime/engine.h"
#include "runtime/op.h"
#include "runtime/plan.h"

namespace intact {
namespace {

// Counts of tasks that steps are cut into, however short they are.
constexpr int kCuts[] = {2, 3, 8};

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint32_t next() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::uint32_t>(state_ >> 32);
  }
  // Elements that any step takes.
  void fill(Dtype dtype, std::byte* data, std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) switch (dtype) {
        case Dtype::kFloat32:
          reinterpret_cast<float*>(data)[i] =
              static_cast<float>(static_cast<std::int32_t>(next() >> 8) - (1 << 23)) / (1 << 21);
          break;
        case Dtype::kUint8:
        case Dtype::kInt8:
          data[i] = static_cast<std::byte>(next() >> 24);
          break;
        case Dtype::kBool:
          data[i] = static_cast<std::byte>(next() >> 31);
          break;
        case Dtype::kInt64:
          reinterpret_cast<std::int64_t*>(data)[i] = next() >> 31;
          break;
        case Dtype::kInt32:
          reinterpret_cast<std::int32_t*>(data)[i] = static_cast<std::int32_t>(next() >> 31);
          break;
        default:
          break;
      }
  }

 private:
  std::uint64_t state_;
};

// Which elements are in an extent.
std::vector<bool> elements_of(const Extent& e, std::int64_t size) {
  std::vector<bool> in(static_cast<std::size_t>(size), false);
  for (std::int64_t r = e.begin; r < e.end; ++r)
    for (std::int64_t i = r * e.row + e.first; i < r * e.row + e.last; ++i)
      if (i >= 0 && i < size) in[static_cast<std::size_t>(i)] = true;
  return in;
}

std::string text_of(const Extent& e) {
  return fmt::format("rows [{}, {}) of {}, columns [{}, {})", e.begin, e.end, e.row, e.first,
                     e.last);
}

class Checker {
 public:
  Checker(Graph graph, bool verbose) : graph_(std::move(graph)), verbose_(verbose) {}

  Status check_parts(std::span<const ValueInfo> inputs) {
    const ScopedFpEnv fp;
    INTACT_ASSIGN(const auto plan,
                  make_plan(graph_, inputs, {.threads = 2, .strips = std::nullopt}, packs_));
    if (verbose_)
      for (const Step& s : plan->steps) {
        const StepTasks& t = s.tasks;
        std::string reads;
        for (std::size_t i = 0; i < s.in.size(); ++i)
          reads += i < t.reads.size() && t.reads[i] ? 'r' : s.in_info[i].constant ? 'c' : '-';
        std::printf("%-18s %-22s %3zu %s%s%s in %zu", s.node->op.c_str(),
                    to_string(s.out_info[0].shape).c_str(), t.count, t.writes ? "w" : "-",
                    reads.c_str(),
                    s.alone   ? " alone"
                    : s.waits ? " waits"
                              : "",
                    s.in_lanes);
        std::printf("  %s\n", t.count > 1 && t.writes ? text_of(t.writes(0)).c_str() : "");
      }
    for (const int cut : kCuts) {
      infos_.clear();
      for (const Step& step : plan->steps) check(step, cut);
    }
    return {};
  }

  Status check_strips(std::span<const ValueInfo> infos) {
    std::vector<Tensor> inputs;
    Random random(3);
    for (const ValueInfo& info : infos) {
      inputs.push_back(memory_of(info));
      random.fill(info.dtype, inputs.back().raw(), 0, info.size());
    }
    Engine whole(graph_.clone(), {.threads = 1, .strips = std::nullopt});
    INTACT_ASSIGN(const auto wanted, whole.run(inputs));
    for (const int threads : {1, 2, 3})
      for (const std::int64_t lines : {1, 3}) {
        StripLimits any{.least_value = 0};
        any.most_in_flight = any.most_weights = std::numeric_limits<std::int64_t>::max();
        any.least_lines = 1;
        any.most_lines = lines;
        any.all_threads = false;
        any.most_held = any.most_twice = std::numeric_limits<double>::max();
        Engine engine(graph_.clone(), {.threads = threads, .strips = any});
        INTACT_ASSIGN(const auto plan, engine.plan_for(inputs));
        for (const Step& step : plan->steps)
          if (step.joined != nullptr) joined_ += static_cast<int>(step.joined->size());
        INTACT_ASSIGN(const auto got, engine.run(inputs));
        for (std::size_t i = 0; i < wanted.size(); ++i)
          if (std::memcmp(got[i].raw(), wanted[i].raw(), wanted[i].bytes()) != 0) {
            ++wrong_;
            std::printf("output %zu: not what it is without strips of %d lines, %d threads\n", i,
                        static_cast<int>(lines), threads);
          }
      }
    return {};
  }

  [[nodiscard]] int joined() const { return joined_; }
  [[nodiscard]] int steps() const { return steps_; }
  [[nodiscard]] int wrong() const { return wrong_; }

 private:
  struct Values {
    std::vector<Tensor> in, out;
  };
  // A part of a step, and what it touches.
  struct Part {
    std::string name;
    std::function<void(const StepArgs&)> run;
    std::vector<std::optional<Extent>> writes, reads;  // By output, by input.
  };

  static std::vector<Part> parts_of(const OpContext& context) {
    std::vector<Part> parts;
    const std::size_t inputs = context.input_count(), outputs = context.outputs_.size();
    for (std::size_t t = 0; t < context.tasks_.count; ++t) {
      const StepTasks& tasks = context.tasks_;
      Part part{fmt::format("task {}", t), [&tasks, t](const StepArgs& a) { tasks.fn(a, t); },
                std::vector<std::optional<Extent>>(outputs),
                std::vector<std::optional<Extent>>(inputs)};
      for (std::size_t k = 0; k < outputs; ++k)
        if (tasks.written(k)) part.writes[k] = tasks.written(k)(t);
      for (std::size_t i = 0; i < std::min(inputs, tasks.reads.size()); ++i)
        if (tasks.reads[i]) part.reads[i] = tasks.reads[i](t);
      parts.push_back(std::move(part));
    }
    const StepLines& lines = context.lines_;
    const auto extent = [](std::int64_t size, std::int64_t count, const LineRange& l) {
      return Extent{size / count, l.begin, l.end, 0, size / count};
    };
    for (const LineRange l : {LineRange{0, 1}, LineRange{lines.count / 3, lines.count / 3 + 2},
                              LineRange{lines.count - 1, lines.count}}) {
      if (l.begin < 0 || l.begin >= l.end || l.end > lines.count) continue;
      Part part{fmt::format("lines [{}, {})", l.begin, l.end),
                [&lines, l](const StepArgs& a) { lines.fn(a, l); },
                std::vector<std::optional<Extent>>(outputs),
                std::vector<std::optional<Extent>>(inputs)};
      part.writes[0] = extent(context.outputs_[0].size(), lines.count, l);
      for (std::size_t i = 0; i < std::min(inputs, lines.reads.size()); ++i)
        if (const LineWindow& w = lines.reads[i]; w.lines > 0)
          part.reads[i] = extent(context.input(i).size(), w.lines, w.of(l));
      parts.push_back(std::move(part));
    }
    return parts;
  }

  // Memory of a layout is memory of another: only its size matters here.
  static Tensor memory_of(const ValueInfo& info) {
    return Tensor(info.dtype, info.shape, Buffer::allocate(bytes_of(info.dtype, info.size())));
  }

  OpContext planned(const Step& step, std::span<const ValueInfo> in, int cut) {
    OpContext context(graph_, *step.node, in, cut, packs_);
    context.wanted_parts_ = cut;
    const OpRow* row = find_op(step.node->domain == "ai.onnx" ? "" : step.node->domain,
                               step.node->op, graph_.opset(step.node->domain));
    const Status status = row->plan(context);
    INTACT_CHECK(status.has_value(), "{} could be planned before", describe(*step.node));
    return context;
  }

  static void run_step(const OpContext& context, const Values& v,
                       const std::function<void(const StepArgs&)>& run) {
    std::vector<std::byte*> in, out;
    for (const Tensor& t : v.in) in.push_back(t.defined() ? t.raw() : nullptr);
    for (const Tensor& t : v.out) out.push_back(t.defined() ? t.raw() : nullptr);
    const auto scratch = Buffer::allocate(context.scratch_bytes_);
    ThreadPool alone(1);
    Status status;
    run({in, out, scratch->data(), alone, status});
  }

  void complain(const Step& step, int cut, const std::string& part, const std::string& what) {
    ++wrong_;
    std::printf("%s, %s of a cut into %d: %s\n", describe(*step.node).c_str(), part.c_str(), cut,
                what.c_str());
  }

  void check(const Step& step, int cut) {
    std::vector<ValueInfo> in = step.in_info;
    for (std::size_t i = 0; i < in.size(); ++i)
      if (const auto it = infos_.find(step.node->in(i)); it != infos_.end()) in[i] = it->second;
    const OpContext context = planned(step, in, cut);
    for (std::size_t k = 0; k < step.node->outputs.size(); ++k)
      infos_[step.node->outputs[k]] = context.outputs_[k];
    const std::vector<Part> parts = parts_of(context);
    if (parts.empty()) return;
    ++steps_;

    Values v;
    Random random(static_cast<std::uint64_t>(steps_));
    for (const ValueInfo& info : in) {
      if (info.dtype == Dtype::kUndefined) {
        v.in.emplace_back();
      } else if (info.constant != nullptr) {
        v.in.push_back(*info.constant);
      } else {
        v.in.push_back(memory_of(info));
        random.fill(info.dtype, v.in.back().raw(), 0, info.size());
      }
    }
    for (std::size_t k = 0; k < context.outputs_.size(); ++k)
      v.out.push_back(step.node->out(k) == kNoValue ? Tensor() : memory_of(context.outputs_[k]));
    run_step(context, v, context.fn_);
    std::vector<Tensor> whole;
    for (const Tensor& t : v.out) whole.push_back(t.defined() ? t.clone() : Tensor());
    const OpContext uncut = planned(step, in, 1);
    run_step(uncut, v, uncut.fn_);
    for (std::size_t k = 0; k < whole.size(); ++k)
      if (whole[k].defined() && std::memcmp(v.out[k].raw(), whole[k].raw(), whole[k].bytes()) != 0)
        return complain(step, cut, "all", "other results than those of the whole");
    for (const Part& part : parts) check_part(step, context, v, whole, cut, part);
  }

  void check_part(const Step& step, const OpContext& context, Values v,
                  const std::vector<Tensor>& whole, int cut, const Part& part) {
    Random random(7);
    for (std::size_t i = 0; i < v.in.size(); ++i) {
      const ValueInfo& info = context.input(i);
      if (!part.reads[i] || info.constant != nullptr) continue;
      const auto in = elements_of(*part.reads[i], info.size());
      v.in[i] = v.in[i].clone();
      // Kernels read past the end of codes; what they find there is of no meaning.
      for (std::int64_t k = 0; k < info.size(); ++k)
        if (!in[static_cast<std::size_t>(k)]) random.fill(info.dtype, v.in[i].raw(), k, k + 1);
    }
    for (const int before : {0, 255}) {
      for (const Tensor& t : v.out)
        if (t.defined()) std::memset(t.raw(), before, t.bytes());
      run_step(context, v, part.run);
      for (std::size_t k = 0; k < whole.size(); ++k)
        if (whole[k].defined() && part.writes[k])
          check_output(step, *part.writes[k], v.out[k], whole[k], before, cut, part.name);
    }
  }

  void check_output(const Step& step, const Extent& e, const Tensor& out, const Tensor& whole,
                    int before, int cut, const std::string& part) {
    const auto in = elements_of(e, whole.size());
    const std::size_t width = whole.bytes() / std::max<std::size_t>(1, in.size());
    for (std::size_t i = 0; i < in.size(); ++i) {
      const std::byte* got = out.raw() + i * width;
      const bool same = in[i] ? std::memcmp(got, whole.raw() + i * width, width) == 0
                              : std::all_of(got, got + width, [&](std::byte b) {
                                  return b == static_cast<std::byte>(before);
                                });
      if (!same)
        return complain(step, cut, part,
                        fmt::format("element {} of {} {}", i, to_string(whole.shape()),
                                    (in[i] ? "is not what it should be; it writes "
                                           : "is written; it should write ") +
                                        text_of(e)));
    }
  }

  Graph graph_;
  bool verbose_;
  PackCache packs_;
  std::map<ValueId, ValueInfo> infos_;  // As planned with this cut.
  int steps_ = 0, joined_ = 0, wrong_ = 0;
};

// What the graph and `shapes` say of the inputs; `unknown`: a size that neither does.
Result<std::vector<ValueInfo>> inputs_of(const Graph& graph,
                                         const std::map<std::string, Shape>& shapes,
                                         std::int64_t unknown) {
  std::vector<ValueInfo> inputs;
  for (const ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    ValueInfo info;
    info.dtype = value.type.dtype;
    if (const auto it = shapes.find(value.name); it != shapes.end())
      info.shape = it->second;
    else if (value.type.shape)
      for (const Dim& d : *value.type.shape) info.shape.push_back(d.known() ? d.size : unknown);
    else
      return fail(ErrorCode::kUnsupported, fmt::format("input '{}' needs sizes", value.name));
    inputs.push_back(std::move(info));
  }
  return inputs;
}

Result<int> check(const std::string& path, const std::map<std::string, Shape>& shapes,
                  bool verbose) {
  INTACT_ASSIGN(Graph graph, import_onnx_file(path));
  PassContext context{.evaluate = evaluate_node};
  INTACT_TRY(run_passes(graph, session_pipeline(), context));
  graph.compact();
  INTACT_ASSIGN(const auto two, inputs_of(graph, shapes, 2));
  INTACT_ASSIGN(const auto one, inputs_of(graph, shapes, 1));
  Checker checker(std::move(graph), verbose);
  // Lines are of one image.
  for (const auto& inputs : {two, one}) INTACT_TRY(checker.check_parts(inputs));
  INTACT_TRY(checker.check_strips(one));
  std::printf("%s: %d steps, %d joined, %d wrong\n", path.c_str(), checker.steps(),
              checker.joined(), checker.wrong());
  return checker.wrong();
}

Shape shape_of(const std::string& text) {
  Shape shape;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t used = 0;
    shape.push_back(std::stoll(text.substr(at), &used));
    at += used + 1;
  }
  return shape;
}

}  // namespace
}  // namespace intact

int main(int argc, char** argv) {
  std::map<std::string, intact::Shape> shapes;
  std::string path;
  bool verbose = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t equals = argument.find('=');
    if (argument == "-v")
      verbose = true;
    else if (equals != std::string::npos)
      shapes[argument.substr(0, equals)] = intact::shape_of(argument.substr(equals + 1));
    else
      path = argument;
  }
  const auto wrong = intact::check(path, shapes, verbose);
  if (!wrong) {
    std::fprintf(stderr, "%s\n", wrong.error().text().c_str());
    return 2;
  }
  return *wrong == 0 ? 0 : 1;
}
