#include "kernels/conv_cost.h"

#include <gtest/gtest.h>

namespace intact {
namespace {

Wino43Shape layer(std::int64_t size, std::int64_t in, std::int64_t out, int stride = 1) {
  WindowGeometry g{.in_h = size, .in_w = size, .out_h = size / stride, .out_w = size / stride};
  g.kernel_h = g.kernel_w = 3;
  g.stride_h = g.stride_w = stride;
  g.pad_top = g.pad_left = 1;
  return {in, out, g};
}

TEST(ChooseConvAlgorithm, TakesWinogradWhereItSavesTime) {
  for (const IsaLevel isa : {IsaLevel::kAvx512Vnni, IsaLevel::kAvx2, IsaLevel::kAvx512}) {
    EXPECT_EQ(choose_conv_algorithm(layer(56, 64, 64), isa), ConvAlgorithm::kWinograd43);
    EXPECT_EQ(choose_conv_algorithm(layer(28, 128, 128), isa), ConvAlgorithm::kWinograd43);
    EXPECT_EQ(choose_conv_algorithm(layer(40, 32, 32), isa), ConvAlgorithm::kWinograd43);
  }
}

TEST(ChooseConvAlgorithm, TakesTheDirectKernelElsewhere) {
  const IsaLevel isa = IsaLevel::kAvx512Vnni;
  EXPECT_EQ(choose_conv_algorithm(layer(56, 64, 64, 2), isa),
            ConvAlgorithm::kDirect);  // Not its window.
  EXPECT_EQ(choose_conv_algorithm(layer(224, 1, 16), isa),
            ConvAlgorithm::kDirect);  // All transform.
  EXPECT_EQ(choose_conv_algorithm(layer(7, 512, 512), isa),
            ConvAlgorithm::kDirect);  // 19 MB of weights for four tiles.
}

TEST(ChooseConvAlgorithm, ManyWeightsMustPayForTheirMemory) {
  EXPECT_EQ(choose_conv_algorithm(layer(14, 256, 256), IsaLevel::kAvx512Vnni),
            ConvAlgorithm::kDirect);
  EXPECT_EQ(choose_conv_algorithm(layer(14, 256, 256), IsaLevel::kAvx2),
            ConvAlgorithm::kWinograd43);
}

}  // namespace
}  // namespace intact
