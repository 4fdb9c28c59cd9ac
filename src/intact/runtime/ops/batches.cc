#include "runtime/ops/batches.h"

#include <fmt/format.h>

namespace intact {

Result<BatchedProduct> read_batches(const ValueInfo& a, const ValueInfo& b) {
  Shape sa = a.shape, sb = b.shape;
  if (sa.size() == 1) sa.insert(sa.begin(), 1);
  if (sb.size() == 1) sb.push_back(1);
  if (sa.empty() || sb.empty() || sb[sb.size() - 2] != sa.back())
    return fail(ErrorCode::kInvalidModel,
                fmt::format("{} times {}", to_string(a.shape), to_string(b.shape)));
  BatchedProduct p;
  p.m = sa[sa.size() - 2];
  p.k = sa.back();
  p.n = sb.back();
  const Shape ba(sa.begin(), sa.end() - 2), bb(sb.begin(), sb.end() - 2);
  INTACT_ASSIGN(const Shape batch, broadcast(ba, bb));
  const auto offsets = [&](const Shape& own, std::int64_t matrix) {
    std::vector<std::int64_t> at;
    const auto strides = row_major_strides(own);
    const std::int64_t count = num_elements(batch);
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t rest = i, offset = 0;
      for (std::size_t d = batch.size(); d-- > 0;) {
        const std::int64_t index = rest % batch[d];
        rest /= batch[d];
        const std::size_t lead = batch.size() - own.size();
        if (d >= lead && own[d - lead] != 1) offset += index * strides[d - lead];
      }
      at.push_back(offset * matrix);
    }
    return at;
  };
  p.a_offset = offsets(ba, p.m * p.k);
  p.b_offset = offsets(bb, p.k * p.n);
  p.shape = batch;
  if (a.rank() > 1) p.shape.push_back(p.m);
  if (b.rank() > 1) p.shape.push_back(p.n);
  return p;
}

}  // namespace intact
