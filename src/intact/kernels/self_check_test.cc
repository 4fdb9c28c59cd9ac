#include "kernels/self_check.h"

#include <gtest/gtest.h>

namespace intact {
namespace {

TEST(SelfCheck, EveryLevelOfThisProcessorPasses) {
  for (const IsaLevel isa :
       {IsaLevel::kScalar, IsaLevel::kAvx2, IsaLevel::kAvxVnni, IsaLevel::kAvx512,
        IsaLevel::kAvx512Dot, IsaLevel::kAvx512Vnni, IsaLevel::kNeon, IsaLevel::kNeonDot}) {
    if (!isa_covers(detect_isa(), isa)) continue;
    const Status status = self_check(isa);
    EXPECT_TRUE(status) << name_of(isa) << ": " << status.error().message;
    EXPECT_TRUE(self_check(isa));
  }
}

}  // namespace
}  // namespace intact
