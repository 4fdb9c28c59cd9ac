#include "data/dataset.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdio>
#include <fstream>

#include "data/golden_files.h"
#include "data/npz_writer.h"

namespace intact {
namespace {

using testing::HasSubstr;

const InputSpec kX{"x", Dtype::kFloat32, {-1, 2, 3}};

std::string error_of(const std::string& path, std::vector<InputSpec> specs,
                     DataOptions options = {}) {
  const auto data = open_dataset(path, options, std::move(specs));
  return data ? "opened" : data.error().text();
}

void copy_image(const std::string& name, const std::string& to) {
  std::filesystem::create_directories(std::filesystem::path(to).parent_path());
  std::filesystem::copy_file(golden("images/" + name), to);
}

TEST(Dataset, StreamsAnArchiveWithItsTargets) {
  const auto opened = open_dataset(golden("labelled.npz"), {}, {kX});
  ASSERT_TRUE(opened) << opened.error().text();
  Dataset& data = **opened;
  EXPECT_EQ(data.size(), 5);
  for (int pass = 0; pass < 2; ++pass) {
    for (std::int64_t i = 0; i < 5; ++i) {
      const auto sample = data.next();
      ASSERT_TRUE(sample) << sample.error().text();
      ASSERT_TRUE(*sample);
      const Sample& s = **sample;
      EXPECT_EQ(s.index, i);
      ASSERT_NE(s.find("x"), nullptr);
      EXPECT_EQ(s.find("x")->shape(), (Shape{1, 2, 3}));
      EXPECT_EQ(to_float64(*s.find("x"))[5], static_cast<double>(6 * i + 5));
      EXPECT_EQ(s.target.label, 2 * i);
      if (i == 4) {
        EXPECT_EQ(s.target.text, "a b");
      }
    }
    const auto end = data.next();
    ASSERT_TRUE(end);
    EXPECT_FALSE(*end);
    ASSERT_TRUE(data.restart());
  }
  const auto third = data.at(3);
  ASSERT_TRUE(third);
  EXPECT_EQ(to_float64(third->inputs[0].second)[0], 18);
  EXPECT_EQ((**data.next()).index, 4);
  EXPECT_FALSE(data.at(5));
  ASSERT_EQ(data.notes().size(), 1u);
  EXPECT_THAT(data.notes()[0], HasSubstr("'other'"));
}

TEST(Dataset, KeepsTheRankOfSamplesThatHaveTheBatchAxis) {
  const TemporaryFolder folder;
  const std::vector<NamedTensor> arrays{{"x", Tensor(Dtype::kFloat32, {4, 1, 2, 3})}};
  ASSERT_TRUE(write_npz(folder / "a.npz", arrays));
  const auto data = open_dataset(folder / "a.npz", {}, {kX});
  ASSERT_TRUE(data) << data.error().text();
  EXPECT_EQ((*data)->size(), 4);
  EXPECT_EQ((*data)->at(0)->inputs[0].second.shape(), (Shape{1, 2, 3}));
}

TEST(Dataset, KeepsSamplesThatAreHeldAndReusesTheMemoryOfOthers) {
  const auto data = open_dataset(golden("labelled.npz"), {}, {kX});
  ASSERT_TRUE(data);
  std::vector<Sample> held;
  for (std::int64_t i = 0; i < 5; ++i) held.push_back(*(*data)->at(i));
  for (std::int64_t i = 0; i < 5; ++i)
    EXPECT_EQ(to_float64(held[static_cast<std::size_t>(i)].inputs[0].second)[0],
              static_cast<double>(6 * i));
  const std::byte* first = held[0].inputs[0].second.raw();
  held.clear();
  EXPECT_EQ((*data)->at(3)->inputs[0].second.raw(), first);
}

TEST(Dataset, RefusesWhatDoesNotFitBeforeAnyWork) {
  const std::string path = golden("labelled.npz");
  const std::string name = error_of(path, {{"image", Dtype::kFloat32, {-1, 2, 3}}});
  EXPECT_THAT(name, HasSubstr("input 'image' (float32 [?,2,3])"));
  EXPECT_THAT(name, HasSubstr("'x'"));
  EXPECT_THAT(name, HasSubstr("--const image=VALUE"));
  const std::string shape = error_of(path, {{"x", Dtype::kFloat32, {-1, 3, 3}}});
  EXPECT_THAT(shape, HasSubstr("expects float32 [?,3,3], the sample is float32 [2,3]"));
  EXPECT_THAT(shape, HasSubstr("axis 1 must be 3, not 2"));
  const std::string rank = error_of(path, {{"x", Dtype::kFloat32, {-1, 1, 2, 3}}});
  EXPECT_THAT(rank, HasSubstr("4 dimensions, or 3 without the batch"));
  const std::string type = error_of(path, {{"x", Dtype::kFloat16, {-1, 2, 3}}});
  EXPECT_THAT(type, HasSubstr(".astype(numpy.float16)"));
  const std::string text = error_of(path, {{"text", Dtype::kFloat32, {-1}}});
  EXPECT_THAT(text, HasSubstr("holds text"));
  const std::string scalar = error_of(path, {{"other", Dtype::kFloat32, {}}});
  EXPECT_THAT(scalar, HasSubstr("scalar"));
}

TEST(Dataset, RefusesArraysOfDifferentLengthAndNone) {
  const TemporaryFolder folder;
  const std::vector<NamedTensor> arrays{{"x", Tensor(Dtype::kFloat32, {4, 2, 3})},
                                        {"y", Tensor(Dtype::kInt64, {3})}};
  ASSERT_TRUE(write_npz(folder / "a.npz", arrays));
  EXPECT_THAT(error_of(folder / "a.npz", {kX, {"y", Dtype::kInt64, {-1}}}),
              HasSubstr("'x' has 4 samples and 'y' has 3"));
  const std::vector<NamedTensor> none{{"x", Tensor(Dtype::kFloat32, {0, 2, 3})}};
  ASSERT_TRUE(write_npz(folder / "none.npz", none));
  EXPECT_THAT(error_of(folder / "none.npz", {kX}), HasSubstr("no samples"));
  EXPECT_THAT(error_of(folder / "nothing.npz", {kX}), HasSubstr("there is no file"));
  EXPECT_THAT(error_of("score.py:samples", {kX}), HasSubstr("there is no file score.py"));
}

TEST(Dataset, FindsNanByInputSampleAndPosition) {
  const TemporaryFolder folder;
  Tensor x(Dtype::kFloat32, {3, 2, 3});
  x.mutable_values<float>()[6 * 2 + 4] = NAN;
  const std::vector<NamedTensor> arrays{{"x", x}};
  ASSERT_TRUE(write_npz(folder / "a.npz", arrays));
  const auto data = open_dataset(folder / "a.npz", {}, {kX});
  ASSERT_TRUE(data);
  EXPECT_TRUE((*data)->at(1));
  const auto bad = (*data)->at(2);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::kDataMismatch);
  EXPECT_THAT(bad.error().text(), HasSubstr("sample 2: input 'x' is NaN at [0,1,1]"));
  DataOptions unchecked;
  unchecked.check_finite = false;
  EXPECT_TRUE((*open_dataset(folder / "a.npz", unchecked, {kX}))->at(2));
}

TEST(Dataset, ReadsAFolderOfRaggedSamplesInNameOrder) {
  const TemporaryFolder folder;
  for (const int n : {3, 1, 2}) {
    const std::vector<NamedTensor> arrays{{"x", Tensor(Dtype::kFloat32, {1, n})},
                                          {"label", Tensor::scalar<std::int64_t>(n)}};
    ASSERT_TRUE(write_npz(folder / (std::to_string(n) + ".npz"), arrays));
  }
  const auto data = open_dataset(folder.path().string(), {}, {{"x", Dtype::kFloat32, {-1, -1}}});
  ASSERT_TRUE(data) << data.error().text();
  EXPECT_EQ((*data)->size(), 3);
  for (const std::int64_t n : {1, 2, 3}) {
    const auto sample = (*data)->next();
    ASSERT_TRUE(sample) << sample.error().text();
    EXPECT_EQ((*sample)->inputs[0].second.shape(), (Shape{1, n}));
    EXPECT_EQ((*sample)->target.label, n);
  }
  EXPECT_THAT(error_of(folder.path().string(), {{"x", Dtype::kFloat32, {-1, 2}}}),
              HasSubstr("1.npz: input 'x'"));
}

TEST(Dataset, ReadsAFolderOfNpyForOneInput) {
  const TemporaryFolder folder;
  std::filesystem::copy_file(golden("plain.npy"), folder / "a.npy");
  const InputSpec spec{"x", Dtype::kFloat32, {-1, 5, 2, 3}};
  const auto data = open_dataset(folder.path().string(), {}, {spec});
  ASSERT_TRUE(data) << data.error().text();
  EXPECT_EQ((*data)->at(0)->inputs[0].second.shape(), (Shape{1, 5, 2, 3}));
  EXPECT_THAT(error_of(folder.path().string(), {spec, kX}), HasSubstr("needs 2"));
  EXPECT_EQ((*open_dataset(golden("plain.npy"), {}, {kX}))->size(), 5);
}

TEST(Dataset, ReadsPicturesWithLabelsFromCsv) {
  const TemporaryFolder folder;
  copy_image("photo444.jpg", folder / "b.jpg");
  copy_image("rgb.png", folder / "a.png");
  std::ofstream(folder / "labels.csv") << "file,label\r\nb.jpg,7,more\r\n\"a.png\",\"a, b\"\r\n";
  const InputSpec spec{"image", Dtype::kFloat32, {-1, 3, 16, 16}};
  DataOptions options;
  options.images = "resize=18 crop=16 scale=1/255";
  const auto data = open_dataset(folder.path().string(), options, {spec});
  ASSERT_TRUE(data) << data.error().text();
  EXPECT_EQ((*data)->size(), 2);
  const auto a = (*data)->at(0);
  ASSERT_TRUE(a) << a.error().text();
  EXPECT_EQ(a->name, "a.png");
  EXPECT_EQ(a->target.text, "a, b");
  EXPECT_FALSE(a->target.label);
  EXPECT_EQ((*data)->at(1)->target.label, 7);
  EXPECT_EQ(a->inputs[0].second.shape(), (Shape{1, 3, 16, 16}));
  EXPECT_THAT(error_of(folder.path().string(), {spec}), HasSubstr("--images"));
  options.images = "resize=18";
  EXPECT_THAT(error_of(folder.path().string(), {spec}, options),
              HasSubstr("a.png (37x23) after --images: input 'image' expects"));
  options.images = "resize=16x16 layout=nhwc";
  EXPECT_THAT(error_of(folder.path().string(), {spec}, options), HasSubstr("[1,16,16,3]"));
  options.images = "crop=30";
  EXPECT_THAT(error_of(folder.path().string(), {spec}, options), HasSubstr("a.png: crop=30x30"));
}

TEST(Dataset, RefusesLabelsOfFilesThatAreNotThere) {
  const TemporaryFolder folder;
  copy_image("rgb.png", folder / "a.png");
  std::ofstream(folder / "labels.csv") << "a.png,1\nb.png,2\n";
  DataOptions options;
  options.images = "resize=4x4";
  const std::string error = error_of(folder.path().string(), {kX}, options);
  EXPECT_THAT(error, HasSubstr("labels.csv line 2"));
  EXPECT_THAT(error, HasSubstr("'b.png'"));
}

TEST(Dataset, NumbersSubFoldersAsClasses) {
  const TemporaryFolder folder;
  copy_image("rgb.png", folder / "dog/1.png");
  copy_image("gray.png", folder / "cat/2.png");
  const InputSpec spec{"image", Dtype::kUint8, {-1, 3, 4, 4}};
  DataOptions options;
  options.images = "resize=4x4";
  const auto data = open_dataset(folder.path().string(), options, {spec});
  ASSERT_TRUE(data) << data.error().text();
  const auto cat = (*data)->at(0);
  ASSERT_TRUE(cat);
  EXPECT_EQ(cat->name, "cat/2.png");
  EXPECT_EQ(cat->target.label, 0);
  EXPECT_EQ((*data)->at(1)->target.label, 1);
  EXPECT_EQ((*data)->at(1)->target.text, "dog");
  copy_image("rgb.png", folder / "loose.png");
  EXPECT_THAT(error_of(folder.path().string(), {spec}, options), HasSubstr("loose.png"));
}

TEST(Dataset, NamesACorruptPicture) {
  const TemporaryFolder folder;
  copy_image("rgb.png", folder / "a.png");
  std::filesystem::copy_file(golden("corrupt.png"), folder / "b.png");
  std::ofstream(folder / "c.jpg") << "no picture";
  const InputSpec spec{"image", Dtype::kFloat32, {-1, 3, 4, 4}};
  DataOptions options;
  options.images = "resize=4x4";
  EXPECT_THAT(error_of(folder.path().string(), {spec}, options), HasSubstr("c.jpg: this is"));
  std::filesystem::remove(folder / "c.jpg");
  const auto data = open_dataset(folder.path().string(), options, {spec});
  ASSERT_TRUE(data) << data.error().text();
  EXPECT_TRUE((*data)->at(0));
  const auto bad = (*data)->at(1);
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().text(), HasSubstr("b.png: the picture is corrupt"));
}

TEST(Dataset, AddsConstants) {
  const std::vector<InputSpec> specs{{"size", Dtype::kInt64, {2}}, kX};
  DataOptions options;
  options.constants = {"size=480,640"};
  const auto data = open_dataset(golden("labelled.npz"), options, specs);
  ASSERT_TRUE(data) << data.error().text();
  const auto sample = (*data)->at(1);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->inputs[0].first, "size");
  EXPECT_EQ(to_int64(sample->inputs[0].second), (std::vector<std::int64_t>{480, 640}));
  EXPECT_EQ(sample->inputs[1].first, "x");
  options.constants = {"size=1", "size=2"};
  EXPECT_THAT(error_of(golden("labelled.npz"), specs, options), HasSubstr("twice"));
}

TEST(ParseConstant, ChecksNamesCountsAndTypes) {
  const std::vector<InputSpec> specs{{"size", Dtype::kInt64, {2}},
                                     {"scale", Dtype::kFloat32, {-1, 3}}};
  EXPECT_EQ(to_int64(parse_constant("size=7", specs)->second), (std::vector<std::int64_t>{7, 7}));
  EXPECT_EQ(parse_constant("scale=0.5", specs)->second.shape(), (Shape{1, 3}));
  const std::vector<std::pair<std::string, std::string>> cases{
      {"size", "NAME=VALUE"},       {"tiles=1", "'size', 'scale'"}, {"size=1,2,3", "takes 1 or 2"},
      {"size=0.5", "no int64"},     {"size=abc", "'abc'"},          {"size=1,", "'1,'"},
      {"size=none.npy", "none.npy"}};
  for (const auto& [text, words] : cases) {
    const auto constant = parse_constant(text, specs);
    ASSERT_FALSE(constant) << text;
    EXPECT_THAT(constant.error().text(), HasSubstr(words));
  }
}

TEST(StateCarrier, FeedsOutputsBack) {
  const std::vector<InputSpec> specs{{"x", Dtype::kFloat32, {1}}, {"h", Dtype::kFloat32, {-1, 2}}};
  const auto pairs = parse_feed_backs({"h_next=h"}, {"y", "h_next"}, specs);
  ASSERT_TRUE(pairs) << pairs.error().text();
  EXPECT_EQ(without(specs, *pairs).size(), 1u);
  StateCarrier carrier(*pairs, specs);
  Sample sample;
  sample.inputs = {{"x", Tensor(Dtype::kFloat32, {1})}};
  ASSERT_TRUE(carrier.before_run(sample));
  EXPECT_EQ(sample.find("h")->shape(), (Shape{1, 2}));  // Zeros at first.
  EXPECT_EQ(to_float64(*sample.find("h")), (std::vector<double>{0, 0}));
  const std::vector<NamedTensor> outputs{{"h_next", Tensor::of<float>({3, 2}, {1, 2, 3, 4, 5, 6})}};
  ASSERT_TRUE(carrier.after_run(outputs));
  ASSERT_TRUE(carrier.before_run(sample));
  EXPECT_EQ(sample.inputs.size(), 2u);
  EXPECT_EQ(to_float64(*sample.find("h")), (std::vector<double>{1, 2, 3, 4, 5, 6}));
  EXPECT_FALSE(carrier.after_run({}));
  carrier.reset();
  sample.inputs.pop_back();
  ASSERT_TRUE(carrier.before_run(sample));
  EXPECT_EQ(sample.find("h")->shape(), (Shape{1, 2}));
  EXPECT_FALSE(parse_feed_backs({"z=h"}, {"y"}, specs));
  EXPECT_FALSE(parse_feed_backs({"y=z"}, {"y"}, specs));
  EXPECT_FALSE(parse_feed_backs({"y=h", "y=h"}, {"y"}, specs));
}

TEST(DatasetOf, ChecksSamplesInMemory) {
  const auto data = dataset_of(
      {{{"x", Tensor(Dtype::kFloat32, {2, 3})}}, {{"x", Tensor(Dtype::kFloat32, {3})}}}, {kX});
  EXPECT_TRUE(data->at(0));
  const auto bad = data->at(1);
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().text(), HasSubstr("sample 1: input 'x'"));
}

}  // namespace
}  // namespace intact
