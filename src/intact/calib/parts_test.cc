#include "calib/parts.h"

#include <gtest/gtest.h>

#include "calib/placement.h"
#include "ir/parse.h"

namespace intact {
namespace {

constexpr std::string_view kJoined = R"(graph "joined" {
  opset 13
  input %x: float32[N,3,8,8]
  const %w1: float32[4,3,3,3] = random(1)
  const %w2: float32[2,3,3,3] = random(2)
  const %w3: float32[5,6,1,1] = random(3)
  %a = Conv(%x, %w1)
  %b = Conv(%x, %w2)
  %c = Concat(%a, %b) {axis=-3}
  %r = Relu(%c)
  %y = Conv(%r, %w3)
  output %y
})";

TEST(FindParts, SeesTheInputsOfAConcatThroughWhatCommutesWithGains) {
  const auto g = parse_graph(kJoined);
  ASSERT_TRUE(g) << g.error().text();
  const auto placement = place(*g);
  ASSERT_TRUE(placement) << placement.error().text();
  const QuantTensor& joined = placement->tensors[placement->tensor_of.at(*g->find_value("r"))];
  EXPECT_EQ(joined.parts, (std::vector<std::size_t>{4, 2}));
  const QuantTensor& input = placement->tensors[placement->tensor_of.at(*g->find_value("x"))];
  EXPECT_TRUE(input.parts.empty());
}

TEST(PartGains, EvenOutPartsBeyondEightTimesAndLeaveTheOthers) {
  const std::vector<std::size_t> parts{2, 1, 1};
  const std::vector<float> min{0, -1, 0, 0};
  const std::vector<float> max{1, 1, 16, 0};
  EXPECT_TRUE(part_gains(parts, min, max).empty());  // 16 over 2 is exactly 8.
  const std::vector<float> wider{1, 1, 20, 0};
  EXPECT_EQ(part_gains(parts, min, wider), (std::vector<float>{10, 10, 1, 1}));
}

TEST(PartGains, NeedToKnowEveryChannel) {
  const std::vector<std::size_t> parts{2, 1};
  const std::vector<float> two{0, 1};
  EXPECT_TRUE(part_gains(parts, two, two).empty());
  EXPECT_TRUE(part_gains({}, two, two).empty());
}

}  // namespace
}  // namespace intact
