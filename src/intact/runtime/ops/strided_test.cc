// Strided copies against the loop that defines them: transpositions of every element size around
// the sizes of the blocks, rows, reversals, broadcasts.
#include "runtime/ops/strided.h"

#include <gtest/gtest.h>

#include <vector>

namespace intact {
namespace {

using Ints = std::vector<std::int64_t>;

void check(const Ints& sizes, const Ints& in, const Ints& out, std::int64_t in_offset = 0) {
  std::int64_t in_last = in_offset, out_last = 0;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    in_last += in[d] > 0 ? (sizes[d] - 1) * in[d] : 0;
    out_last += (sizes[d] - 1) * out[d];
  }
  for (const std::size_t width : {1U, 2U, 4U, 8U, 16U}) {
    std::vector<std::byte> x((static_cast<std::size_t>(in_last) + 1) * width);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::byte>(i * 37 + i / 251);
    std::vector<std::byte> want((static_cast<std::size_t>(out_last) + 1) * width);
    std::vector<std::byte> got = want;
    Ints at(sizes.size(), 0);
    for (bool more = true; more;) {
      std::int64_t from = in_offset, to = 0;
      for (std::size_t d = 0; d < at.size(); ++d) from += at[d] * in[d], to += at[d] * out[d];
      for (std::size_t b = 0; b < width; ++b)
        want[static_cast<std::size_t>(to) * width + b] =
            x[static_cast<std::size_t>(from) * width + b];
      more = false;
      for (std::size_t d = at.size(); d-- > 0 && !more;) {
        more = ++at[d] < sizes[d];
        if (!more) at[d] = 0;
      }
    }
    for (const int threads : {1, 2}) {
      std::fill(got.begin(), got.end(), std::byte{0});
      ThreadPool pool(threads);
      StridedCopy(sizes, in, out, width, in_offset).run(x.data(), got.data(), pool);
      EXPECT_EQ(got, want) << width << " bytes, " << threads << " threads";
    }
  }
}

TEST(StridedCopy, Transposes) {
  for (const std::int64_t rows : {1, 2, 3, 4, 7, 8, 9, 31, 33, 64, 100})
    for (const std::int64_t cols : {1, 2, 5, 8, 16, 17, 32, 40, 65})
      check({rows, cols}, {1, rows}, {cols, 1});
}

TEST(StridedCopy, MovesBlocksOfLargerTensors) {
  check({3, 20, 19}, {1000, 1, 23}, {380, 19, 1});
  check({3, 20, 19}, {1000, 30, 1}, {600, 21, 1});
  check({2, 30, 3, 9}, {1000, 1, 300, 31}, {810, 27, 9, 1});
}

TEST(StridedCopy, ReversesAndRepeats) {
  check({5, 40}, {40, -1}, {40, 1}, 39);
  check({5, 40}, {1, 0}, {40, 1});
  check({300, 200}, {1, 300}, {200, 1});
}

}  // namespace
}  // namespace intact
