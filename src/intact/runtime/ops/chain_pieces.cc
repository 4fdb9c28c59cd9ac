// A chain with operands of any shape that broadcasts: pieces of rows in float.

#include <array>
#include <utility>

#include "kernels/exact_inverse.h"
#include "runtime/ops/chain_ways.h"
#include "runtime/ops/extents.h"

namespace intact {
namespace {

// One operand: where it is for each axis of the output's memory.
struct Walker {
  std::vector<std::int64_t> strides;  // By merged axis.
  std::size_t input = 0;
  bool codes = false;
  TensorMap map;
};

class PieceLoop {
 public:
  PieceLoop(const ValueInfo& out, const OpContext& c,
            std::vector<std::pair<std::size_t, std::optional<TensorMap>>> inputs) {
    const Shape sizes = out.memory_shape();
    std::vector<std::vector<std::int64_t>> strides;
    for (const auto& [input, map] : inputs) {
      const ValueInfo& info = c.input(input);
      const auto own = info.strides();
      std::vector<std::int64_t> s(out.rank(), 0);
      const std::size_t lead = out.rank() - info.rank();
      for (std::size_t axis = lead; axis < out.rank(); ++axis)
        if (info.shape[axis - lead] != 1)
          s[static_cast<std::size_t>(out.memory_axis(static_cast<int>(axis)))] = own[axis - lead];
      strides.push_back(std::move(s));
      walkers_.push_back({{}, input, map.has_value(), map.value_or(TensorMap{})});
    }
    for (std::size_t d = 0; d < sizes.size(); ++d) {
      if (sizes[d] == 1) continue;
      bool merge = !sizes_.empty();
      for (std::size_t k = 0; merge && k < walkers_.size(); ++k)
        merge = walkers_[k].strides.back() == strides[k][d] * sizes[d];
      if (merge)
        sizes_.back() *= sizes[d];
      else
        sizes_.push_back(sizes[d]);
      for (std::size_t k = 0; k < walkers_.size(); ++k) {
        if (merge)
          walkers_[k].strides.back() = strides[k][d];
        else
          walkers_[k].strides.push_back(strides[k][d]);
      }
    }
    if (sizes_.empty()) {
      sizes_ = {1};
      for (Walker& w : walkers_) w.strides = {1};
    }
  }

  // Calls piece(at, offsets, count) for pieces of at most `limit` elements, which together are the
  // output's [begin, end); offsets[k] is walker k's first element.
  template <class Piece>
  void run(std::int64_t begin, std::int64_t end, std::int64_t limit, const Piece& piece) const {
    const std::int64_t inner = sizes_.back();
    std::vector<std::int64_t> at(walkers_.size());
    while (begin < end) {
      const std::int64_t first = begin % inner;
      const std::int64_t count = std::min({limit, inner - first, end - begin});
      std::int64_t rest = begin / inner;
      for (std::size_t k = 0; k < at.size(); ++k) at[k] = first * walkers_[k].strides.back();
      for (std::size_t d = sizes_.size() - 1; d-- > 0;) {
        for (std::size_t k = 0; k < at.size(); ++k)
          at[k] += rest % sizes_[d] * walkers_[k].strides[d];
        rest /= sizes_[d];
      }
      piece(begin, at, count);
      begin += count;
    }
  }

  [[nodiscard]] const std::vector<Walker>& walkers() const { return walkers_; }

  // Reads `count` elements of walker k from element `at` as reals into `to`.
  void load(std::size_t k, const StepArgs& args, std::int64_t at, std::int64_t count,
            const CodesU8Kernel& kernel, float* to) const {
    const Walker& w = walkers_[k];
    const std::int64_t step = w.strides.back();
    const auto scale = static_cast<float>(w.map.scale);
    const QuantParams map{&scale, &w.map.zero, false, 0, 255};
    if (w.codes) {
      const std::uint8_t* q = args.input<std::uint8_t>(w.input) + at;
      if (step == 1) return kernel.dequantize(q, 1, count, map, to);
      for (std::int64_t i = 0; i < count; ++i) kernel.dequantize(q + i * step, 1, 1, map, to + i);
      return;
    }
    const float* x = args.input<float>(w.input) + at;
    if (step == 1)
      std::copy_n(x, count, to);
    else
      for (std::int64_t i = 0; i < count; ++i) to[i] = x[i * step];
  }

 private:
  std::vector<std::int64_t> sizes_;
  std::vector<Walker> walkers_;
};

}  // namespace

void plan_pieces(OpContext& c, const Chain& chain, const OptionalMap& x, const OptionalMap& y) {
  const auto& ops = chain.ops();
  std::vector<std::pair<std::size_t, OptionalMap>> inputs{{0, x}};
  std::vector<int> walker_of(ops.size(), -1);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].is_unary) continue;
    walker_of[i] = static_cast<int>(inputs.size());
    inputs.emplace_back(static_cast<std::size_t>(ops[i].input),
                        ops[i].codes ? std::optional(ops[i].map) : std::nullopt);
  }
  const float inverse = y ? exact_inverse(static_cast<float>(y->scale)) : 0.0f;
  const PieceLoop loop(c.outputs_[0], c, std::move(inputs));
  const ElementCut cut = ElementCut::of(c);
  run_elements(
      c, cut,
      [=, &kernel = chain.codes_kernel(), &math = chain.math_kernel()](const StepArgs& args,
                                                                       const ElementPiece& part) {
        constexpr std::int64_t kLimit = 1024;
        loop.run(part.begin, part.end, kLimit,
                 [&](std::int64_t at, const std::vector<std::int64_t>& from, std::int64_t count) {
                   std::array<float, kLimit> v, operand;
                   loop.load(0, args, from[0], count, kernel, v.data());
                   for (std::size_t i = 0; i < ops.size(); ++i) {
                     if (ops[i].is_unary) {
                       math.unary(ops[i].unary, v.data(), v.data(), count);
                       continue;
                     }
                     const auto k = static_cast<std::size_t>(walker_of[i]);
                     const bool one = loop.walkers()[k].strides.back() == 0;
                     loop.load(k, args, from[k], one ? 1 : count, kernel, operand.data());
                     BinaryF32Args b;
                     b.op = ops[i].binary;
                     b.cols = count;
                     b.a = ops[i].reversed ? operand.data() : v.data();
                     b.b = ops[i].reversed ? v.data() : operand.data();
                     b.a_col = ops[i].reversed && one ? 0 : 1;
                     b.b_col = !ops[i].reversed && one ? 0 : 1;
                     b.y = v.data();
                     math.binary(b);
                   }
                   if (y)
                     Chain::store_codes(kernel, *y, v.data(), count, 1, count,
                                        args.output<std::uint8_t>(0) + at, count, inverse);
                   else
                     std::copy_n(v.data(), count, args.output<float>(0) + at);
                 });
      });
}

}  // namespace intact
