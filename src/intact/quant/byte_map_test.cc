#include "quant/byte_map.h"

#include <gtest/gtest.h>

namespace intact {
namespace {

ByteMap imagenet(bool nhwc) {
  return {nhwc, 1.0 / 255, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
}

// Every byte in every channel: [1, 16, 16, 3] or [1, 3, 16, 16].
Tensor all_bytes(bool nhwc) {
  Tensor t(Dtype::kUint8, nhwc ? Shape{1, 16, 16, 3} : Shape{1, 3, 16, 16});
  const auto v = t.mutable_values<std::uint8_t>();
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t p = 0; p < 256; ++p)
      v[nhwc ? p * 3 + c : c * 256 + p] = static_cast<std::uint8_t>(p ^ (c * 85));
  return t;
}

TEST(RealsOf, IsTheNormalizationInPlanes) {
  const ByteMap map = imagenet(true);
  const auto reals = reals_of(all_bytes(true), map);
  ASSERT_TRUE(reals);
  EXPECT_EQ(reals->shape(), (Shape{1, 3, 16, 16}));
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t p = 0; p < 256; ++p) {
      const double byte = static_cast<double>(p ^ (c * 85));
      EXPECT_EQ(reals->values<float>()[c * 256 + p],
                static_cast<float>((byte * map.scale - map.mean[c]) / map.std[c]));
    }
}

TEST(BytesOf, GivesBackTheBytesOfReals) {
  for (const bool nhwc : {false, true})
    for (const ByteMap& map :
         {imagenet(nhwc), ByteMap{nhwc}, ByteMap{nhwc, -1.0 / 255, {-1, -1, -1}}}) {
      const Tensor bytes = all_bytes(nhwc);
      const auto reals = reals_of(bytes, map);
      ASSERT_TRUE(reals);
      const auto again = bytes_of(*reals, map);
      ASSERT_TRUE(again) << again.error().text();
      EXPECT_EQ(again->shape(), bytes.shape());
      EXPECT_TRUE(std::equal(bytes.raw(), bytes.raw() + bytes.bytes(), again->raw()));
    }
}

TEST(BytesOf, RefusesWhatIsNoByte) {
  const float values[] = {0.5f, 255.4f, 256.0f};
  const auto bytes = bytes_of(Tensor::of<float>({3}, std::span<const float>(values)), {});
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, ErrorCode::kDataMismatch);
  EXPECT_NE(bytes.error().text().find("256 would be byte 256"), std::string::npos)
      << bytes.error().text();
}

TEST(BytesOf, RefusesShapesWithoutThreeChannels) {
  EXPECT_FALSE(bytes_of(Tensor(Dtype::kFloat32, {1, 2, 4, 4}), imagenet(true)));
  EXPECT_FALSE(bytes_of(Tensor(Dtype::kFloat32, {1, 2, 4, 4}), imagenet(false)));
  EXPECT_FALSE(bytes_of(Tensor(Dtype::kFloat32, {3, 4, 4}), imagenet(true)));
}

TEST(ChannelAxis, IsTheOneOfThree) {
  EXPECT_EQ(*channel_axis(Shape{-1, 3, 224, 224}), 1u);
  EXPECT_EQ(*channel_axis(Shape{1, 224, 224, 3}), 3u);
  EXPECT_FALSE(channel_axis(Shape{1, 4, 8, 8}));
  EXPECT_FALSE(channel_axis(Shape{1, 3}));
}

}  // namespace
}  // namespace intact
