#include "runtime/op.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/ops/tables.h"
#include "runtime/step_cost.h"

namespace intact {

Shape ValueInfo::memory_shape() const {
  if (layout == Layout::kPlain || rank() < 3) return shape;
  Shape memory = shape;
  std::rotate(memory.begin() + 1, memory.begin() + 2, memory.end());
  return memory;
}

int ValueInfo::memory_axis(int axis) const noexcept {
  if (layout == Layout::kPlain || rank() < 3 || axis == 0) return axis;
  return axis == 1 ? static_cast<int>(rank()) - 1 : axis - 1;
}

std::vector<std::int64_t> ValueInfo::strides() const {
  const auto memory = row_major_strides(memory_shape());
  std::vector<std::int64_t> logical(rank());
  for (std::size_t axis = 0; axis < rank(); ++axis)
    logical[axis] = memory[static_cast<std::size_t>(memory_axis(static_cast<int>(axis)))];
  return logical;
}

Result<const Tensor*> OpContext::known(std::size_t i) {
  INTACT_TRY(require(i));
  if (inputs_[i].constant == nullptr) {
    awaited_ = node_.in(i);
    return fail(ErrorCode::kUnsupported,
                fmt::format("input {} ('{}') must be known before the run, but depends on data", i,
                            graph_.value(awaited_).name));
  }
  return inputs_[i].constant;
}

Result<std::vector<std::int64_t>> OpContext::ints(std::size_t i) {
  INTACT_ASSIGN(const Tensor* values, known(i));
  return to_int64(*values);
}

Result<std::vector<double>> OpContext::reals(std::size_t i) {
  INTACT_ASSIGN(const Tensor* values, known(i));
  return to_float64(*values);
}

bool OpContext::constants_are_the_models() const {
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (inputs_[i].constant != nullptr && has(i) && !graph_.value(node_.in(i)).constant)
      return false;
  return true;
}

Status OpContext::require(std::size_t i) const {
  if (!has(i)) return fail(ErrorCode::kInvalidModel, fmt::format("input {} is missing", i));
  return {};
}

Status OpContext::require(std::size_t i, Dtype dtype) const {
  INTACT_TRY(require(i));
  if (inputs_[i].dtype != dtype)
    return fail(ErrorCode::kUnsupported, fmt::format("input {} is {}; intact takes {} here", i,
                                                     name_of(inputs_[i].dtype), name_of(dtype)));
  return {};
}

Status OpContext::output(std::size_t i, Dtype dtype, Shape shape, Layout layout) {
  INTACT_TRY(check_shape(shape));
  if (i >= outputs_.size() || node_.out(i) == kNoValue) return {};
  ValueInfo& info = outputs_[i];
  info.dtype = dtype;
  info.shape = std::move(shape);
  info.layout = layout;
  const Value& value = graph_.value(node_.out(i));
  info.quant = value.quant ? &*value.quant : nullptr;
  return {};
}

Status OpContext::view(std::size_t i, std::size_t j, Shape shape, Layout layout) {
  INTACT_CHECK(num_elements(shape) == inputs_[j].size(), "a view of {} as {}",
               to_string(inputs_[j].shape), to_string(shape));
  alias_[i] = static_cast<int>(j);
  return output(i, inputs_[j].dtype, std::move(shape), layout);
}

bool Extent::covers(const Extent& other) const noexcept {
  if (other.empty()) return true;
  if (row == other.row)
    return begin <= other.begin && other.end <= end && first <= other.first && other.last <= last;
  // Of whole rows only, both are ranges of elements.
  const auto whole = [](const Extent& e) { return e.first == 0 && e.last == e.row; };
  return whole(*this) && whole(other) && begin * row <= other.begin * other.row &&
         other.end * other.row <= end * row;
}

LineRange LineWindow::of(const LineRange& made) const noexcept {
  const std::int64_t begin = std::clamp<std::int64_t>(made.begin * stride - before, 0, lines);
  const std::int64_t end = (made.end - 1) * stride - before + span;
  return {begin, std::clamp(end, begin, lines)};
}

StepFn StepTasks::all() const {
  return [n = count, task = fn](const StepArgs& args) {
    args.pool.run(n, [&](std::size_t t) { task(args, t); });
  };
}

void OpContext::run_tasks(std::int64_t count, TaskFn fn) {
  tasks_.count = static_cast<std::size_t>(std::max<std::int64_t>(0, count));
  tasks_.fn = std::move(fn);
  fn_ = tasks_.all();
}

const ExtentFn& StepTasks::written(std::size_t output) const noexcept {
  static const ExtentFn kUnknown;
  if (output == 0) return writes;
  return output <= others.size() ? others[output - 1] : kUnknown;
}

void OpContext::writes(std::size_t i, ExtentFn extent) {
  if (i == 0) return writes(std::move(extent));
  tasks_.others.resize(std::max(tasks_.others.size(), i));
  tasks_.others[i - 1] = std::move(extent);
}

void OpContext::reads(std::size_t i, ExtentFn extent) {
  tasks_.reads.resize(std::max(tasks_.reads.size(), i + 1));
  tasks_.reads[i] = std::move(extent);
}

std::int64_t OpContext::parts(std::int64_t of) const {
  const std::int64_t pieces = std::max<std::int64_t>(1, of);
  if (wanted_parts_ > 0) return (wanted_parts_ + pieces - 1) / pieces;
  const double us = step_cost_us(node_, inputs_, outputs_);
  if (threads_ == 1 || us < kLeastSharedUs) return 1;
  const std::int64_t a_thread = tasks_a_thread(us, threads_);
  return (threads_ * a_thread + pieces - 1) / pieces;
}

std::vector<OpRow> all_ops() {
  std::vector<OpRow> rows;
  for (const auto& table : op_tables()) rows.insert(rows.end(), table.begin(), table.end());
  return rows;
}

const OpRow* find_op(std::string_view domain, std::string_view op, std::int64_t opset) {
  const OpRow* best = nullptr;
  for (const auto& table : op_tables())
    for (const OpRow& row : table)
      if (row.op == op && row.domain == domain && row.since <= std::max<std::int64_t>(opset, 1) &&
          (best == nullptr || row.since > best->since))
        best = &row;
  return best;
}

}  // namespace intact
