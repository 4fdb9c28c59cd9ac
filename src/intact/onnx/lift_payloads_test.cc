#include "onnx/lift_payloads.h"

#include <gtest/gtest.h>

#include "ir/print.h"
#include "onnx/test_models.h"

namespace intact {
namespace {

// Two large tensors, a small one and a large one that already lies elsewhere.
proto::ModelProto model() {
  proto::ModelProto m = test::relu_model();
  auto& g = *m.mutable_graph();
  test::add_initializer(g, "codes", {5000}, proto::TensorProto::INT8)
      .set_raw_data(std::string(5000, '\3'));
  test::add_initializer(g, "reals", {2000}).set_raw_data(std::string(8000, '\7'));
  test::add_initializer(g, "small", {4}, proto::TensorProto::INT8).set_raw_data("abcd");
  auto& external = test::add_initializer(g, "external", {5000}, proto::TensorProto::INT8);
  external.set_data_location(proto::TensorProto::EXTERNAL);
  auto& entry = *external.add_external_data();
  entry.set_key("location");
  entry.set_value("other.bin");
  return m;
}

TEST(LiftPayloads, LeavesLargeDataInTheFile) {
  const std::string bytes = model().SerializeAsString();
  const auto lifted = lift_payloads(test::bytes_of(bytes));
  ASSERT_TRUE(lifted);
  EXPECT_LT(lifted->size(), 1000U);
  proto::ModelProto m;
  ASSERT_TRUE(m.ParseFromString(*lifted));
  ASSERT_EQ(m.graph().initializer_size(), 4);
  const auto& reals = m.graph().initializer(1);
  EXPECT_FALSE(reals.has_raw_data());
  EXPECT_EQ(reals.data_location(), proto::TensorProto::EXTERNAL);
  EXPECT_EQ(reals.external_data(0).value(), kThisFile);
  const auto offset = std::stoul(reals.external_data(1).value());
  EXPECT_EQ(bytes.substr(offset, 8000), std::string(8000, '\7'));
  EXPECT_EQ(bytes[offset - 1] == '\7', false);
  EXPECT_EQ(m.graph().initializer(2).raw_data(), "abcd");
  EXPECT_EQ(m.graph().initializer(3).external_data(0).value(), "other.bin");
}

TEST(LiftPayloads, RefusesWhatIsNoMessage) {
  const std::string bytes = model().SerializeAsString();
  for (const std::size_t cut : {std::size_t{1}, bytes.size() / 2, bytes.size() - 1})
    EXPECT_FALSE(lift_payloads(test::bytes_of(std::string_view(bytes).substr(0, cut))));
  EXPECT_FALSE(lift_payloads(test::bytes_of("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")));
  EXPECT_FALSE(lift_payloads(test::bytes_of("\x0B")));  // A group.
  EXPECT_EQ(lift_payloads({}), "");
}

TEST(LiftPayloads, AFileIsReadLikeItsBytes) {
  proto::ModelProto m = model();
  m.mutable_graph()->mutable_initializer()->RemoveLast();
  test::add_initializer(*m.mutable_graph(), "odd", {9001}, proto::TensorProto::INT4)
      .set_raw_data(std::string(4501, '\xFF'));
  test::add_initializer(*m.mutable_graph(), "flags", {5000}, proto::TensorProto::BOOL)
      .set_raw_data(std::string(5000, '\2'));
  const test::TemporaryFolder folder;
  folder.write("m.onnx", m.SerializeAsString());
  const auto from_file = import_onnx_file(folder.file("m.onnx"));
  const auto from_bytes = test::import_model(m);
  ASSERT_TRUE(from_file) << from_file.error().text();
  ASSERT_TRUE(from_bytes) << from_bytes.error().text();
  EXPECT_EQ(print_graph(*from_file), print_graph(*from_bytes));
  // Pages that were given back are read again.
  for (const Value& v : from_file->values)
    if (v.constant) v.constant->buffer()->drop_pages();
  EXPECT_EQ(print_graph(*from_file), print_graph(*from_bytes));

  m.mutable_graph()->mutable_initializer(0)->set_dims(0, 4999);
  folder.write("m.onnx", m.SerializeAsString());
  EXPECT_NE(import_onnx_file(folder.file("m.onnx")).error().text().find("it has 5000 bytes"),
            std::string::npos);
}

}  // namespace
}  // namespace intact
