#include "kernels/peak.h"

#include <gtest/gtest.h>

namespace intact {
namespace {

TEST(Peak, EveryRowCountsWhatItDoes) {
  for (const PeakKernel* row : kernel_rows<PeakKernel>()) {
    if (!isa_covers(detect_isa(), row->isa)) continue;
    EXPECT_EQ(row->run(0), 0) << row->name;
    EXPECT_EQ(row->run(20), 2 * row->run(10)) << row->name;
    EXPECT_GT(measure_peak(*row, 0.001), 1e6) << row->name;
  }
}

// No processor of today retires more than four words a cycle at 8 GHz: a loop that "does" was
// removed.
TEST(Peak, IsWithinReasonSoTheLoopIsThere) {
  for (const PeakKernel* row : kernel_rows<PeakKernel>()) {
    if (!isa_covers(detect_isa(), row->isa)) continue;
    const auto lanes_of_a_word = static_cast<double>(row->run(1)) / 12;
    EXPECT_LT(measure_peak(*row, 0.01), lanes_of_a_word * 4 * 8e9) << row->name;
  }
}

}  // namespace
}  // namespace intact
