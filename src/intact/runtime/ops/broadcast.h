// broadcast.h: element-wise loops over operands of different shapes and layouts.
//
// A broadcast walks the output in memory order; each operand has a stride (possibly zero) for each
// axis. Axes that are contiguous for everyone are merged, so that most calls come down to one or
// two long rows.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/op.h"

namespace intact {

// N operands against one output.
template <std::size_t N>
class Broadcast {
 public:
  // Operands broadcast to out's shape as NumPy does; layouts may differ.
  Broadcast(const ValueInfo& out, const std::array<const ValueInfo*, N>& operands) {
    const Shape sizes = out.memory_shape();
    std::array<std::vector<std::int64_t>, N> strides;
    for (std::size_t k = 0; k < N; ++k) strides[k] = memory_strides(out, *operands[k]);
    for (std::size_t d = 0; d < sizes.size(); ++d) {
      if (sizes[d] == 0) empty_ = true;
      if (sizes[d] == 1) continue;
      Axis axis{sizes[d], {}};
      for (std::size_t k = 0; k < N; ++k) axis.stride[k] = strides[k][d];
      bool merge = !axes_.empty();
      for (std::size_t k = 0; merge && k < N; ++k)
        merge = axes_.back().stride[k] == axis.stride[k] * axis.size;
      if (merge) {
        axis.size *= axes_.back().size;
        axes_.back() = axis;
      } else {
        axes_.push_back(axis);
      }
    }
    if (axes_.empty()) axes_.push_back({1, {}});
  }

  // Calls row(out_offset, operand_offsets, count, operand_strides) for pieces of rows that together
  // are the output's elements [begin, end). Offsets and strides are in elements.
  template <class Row>
  void run(std::int64_t begin, std::int64_t end, const Row& row) const {
    if (empty_) return;
    const Axis& inner = axes_.back();
    while (begin < end) {
      const std::int64_t first = begin % inner.size;
      const std::int64_t count = std::min(inner.size - first, end - begin);
      std::array<std::int64_t, N> at{};
      for (std::size_t k = 0; k < N; ++k) at[k] = first * inner.stride[k];
      std::int64_t rest = begin / inner.size;
      for (std::size_t d = axes_.size() - 1; d-- > 0;) {
        const std::int64_t i = rest % axes_[d].size;
        rest /= axes_[d].size;
        for (std::size_t k = 0; k < N; ++k) at[k] += i * axes_[d].stride[k];
      }
      row(begin, at, count, inner.stride);
      begin += count;
    }
  }

 private:
  struct Axis {
    std::int64_t size;
    std::array<std::int64_t, N> stride;
  };

  // The operand's stride for each axis of the output in the output's memory order.
  static std::vector<std::int64_t> memory_strides(const ValueInfo& out, const ValueInfo& operand) {
    const auto own = operand.strides();
    std::vector<std::int64_t> strides(out.rank(), 0);
    const std::size_t lead = out.rank() - operand.rank();
    for (std::size_t axis = lead; axis < out.rank(); ++axis) {
      if (operand.shape[axis - lead] == 1) continue;
      strides[static_cast<std::size_t>(out.memory_axis(static_cast<int>(axis)))] = own[axis - lead];
    }
    return strides;
  }

  std::vector<Axis> axes_;
  bool empty_ = false;
};

// The layout of an element-wise result: that of the operands that have the result's full rank and
// are not known while planning.
inline Layout result_layout(const OpContext& c, std::size_t rank) {
  for (std::size_t i = 0; i < c.input_count(); ++i)
    if (c.has(i) && c.input(i).layout == Layout::kChannelsLast && c.input(i).rank() == rank)
      return Layout::kChannelsLast;
  return Layout::kPlain;
}

}  // namespace intact
