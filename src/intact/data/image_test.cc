#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "data/golden_files.h"
#include "data/image_prep.h"

namespace intact {
namespace {

using testing::HasSubstr;

int largest_difference(const Image& image, const Tensor& want) {
  EXPECT_EQ(want.shape(), (Shape{image.height, image.width, image.channels}));
  const auto codes = want.values<std::uint8_t>();
  if (codes.size() != image.pixels.size()) return 256;
  int worst = 0;
  for (std::size_t i = 0; i < codes.size(); ++i)
    worst = std::max(worst, std::abs(int{codes[i]} - int{image.pixels[i]}));
  return worst;
}

TEST(DecodeImage, EqualsPillowOnEveryKindOfFile) {
  const auto archive = NpzReader::open(golden("decoded.npz"));
  ASSERT_TRUE(archive);
  ASSERT_EQ(archive->names().size(), 30u);
  for (const std::string& name : archive->names()) {
    const bool gray = name.ends_with(":gray");
    const std::string file = gray ? name.substr(0, name.size() - 5) : name;
    const auto image = load_image(golden("images/" + file), gray);
    ASSERT_TRUE(image) << image.error().text();
    // PNG is exact. Pillow brings its own libjpeg, whose chroma may differ in the last bit.
    EXPECT_LE(largest_difference(*image, golden_array("decoded.npz", name)),
              file.ends_with(".jpg") ? 1 : 0)
        << name;
    const auto size = image_size(golden("images/" + file));
    ASSERT_TRUE(size);
    EXPECT_EQ(size->width, image->width);
    EXPECT_EQ(size->height, image->height);
  }
}

TEST(DecodeImage, RefusesCorruptFilesByName) {
  for (const char* file : {"corrupt.jpg", "corrupt.png"}) {
    const auto image = load_image(golden(file), false);
    ASSERT_FALSE(image) << file;
    EXPECT_THAT(image.error().text(), HasSubstr(file));
    EXPECT_THAT(image.error().text(), HasSubstr("corrupt"));
  }
  const auto array = load_image(golden("plain.npy"), false);
  ASSERT_FALSE(array);
  EXPECT_THAT(array.error().text(), HasSubstr("neither a JPEG nor a PNG"));
}

TEST(DecodeImage, RefusesEveryTruncation) {
  for (const char* file : {"images/rgb.png", "images/photo420.jpg", "images/progressive.jpg"}) {
    std::ifstream in(golden(file), std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    ASSERT_FALSE(whole.empty());
    // The last two bytes of a JPEG are its end marker, which carries no pixels.
    for (std::size_t n = 0; n + 2 < whole.size(); n += 7)
      EXPECT_FALSE(decode_image(std::as_bytes(std::span(whole.data(), n)), false)) << file << n;
  }
}

TEST(ResizeImage, EqualsPillowWithinOneCode) {
  const auto archive = NpzReader::open(golden("resized.npz"));
  ASSERT_TRUE(archive);
  const auto source = load_image(golden("images/rgb.png"), false);
  ASSERT_TRUE(source);
  Image green{source->width, source->height, 1, {}};
  for (std::size_t i = 1; i < source->pixels.size(); i += 3)
    green.pixels.push_back(source->pixels[i]);
  ASSERT_EQ(archive->names().size(), 64u);
  for (const std::string& name : archive->names()) {
    const Tensor want = golden_array("resized.npz", name);
    const auto has = [&](const char* word) { return name.find(word) != std::string::npos; };
    const ResizeFilter filter = has("nearest")    ? ResizeFilter::kNearest
                                : has("bilinear") ? ResizeFilter::kBilinear
                                                  : ResizeFilter::kBicubic;
    const bool antialias = !has("antialias=0");
    const Image got = resize_image(has("gray") ? green : *source, static_cast<int>(want.shape()[1]),
                                   static_cast<int>(want.shape()[0]), filter, antialias);
    // The rule is 1 code; with Pillow's own fixed-point arithmetic it is 0.
    // Without antialiasing the reference rounds once, and the two passes each by half a code.
    EXPECT_LE(largest_difference(got, want), antialias ? 0 : 1) << name;
  }
}

TEST(PrepareImage, EqualsPillowAndNumpy) {
  const auto archive = NpzReader::open(golden("prepared.npz"));
  ASSERT_TRUE(archive);
  ASSERT_EQ(archive->names().size(), 7u);
  for (const std::string& name : archive->names()) {
    const Tensor want = golden_array("prepared.npz", name);
    const auto prep = parse_image_prep(name);
    ASSERT_TRUE(prep) << prep.error().text();
    auto image = load_image(golden("images/photo444.jpg"), prep->color == ColorOrder::kGray);
    ASSERT_TRUE(image);
    if (prep->color == ColorOrder::kBgr) swap_red_blue(*image);
    const auto got = prepare_image(*image, *prep, Dtype::kFloat32);
    ASSERT_TRUE(got) << got.error().text();
    ASSERT_EQ(got->shape(), want.shape()) << name;
    // One code of the resized picture, through step 5, and the rounding to float.
    const double step =
        std::abs(prep->scale) / *std::min_element(prep->std.begin(), prep->std.end());
    const auto a = got->values<float>();
    const auto b = want.values<float>();
    for (std::size_t i = 0; i < a.size(); ++i)
      ASSERT_NEAR(a[i], b[i], step * 1.001 + 1e-6) << name << " at " << i;
  }
}

TEST(PrepareImage, GivesRawCodesToUint8Inputs) {
  const Image image{2, 1, 3, {1, 2, 3, 4, 5, 6}};
  ImagePrep prep;
  prep.pad_width = 3;
  prep.pad_height = 1;
  prep.pad = {7, 8, 9};
  const auto raw = prepare_image(image, prep, Dtype::kUint8);
  ASSERT_TRUE(raw);
  EXPECT_EQ(to_int64(*raw), (std::vector<std::int64_t>{1, 4, 7, 2, 5, 8, 3, 6, 9}));
  prep.scale = 1 / 255.0;
  const auto scaled = prepare_image(image, prep, Dtype::kUint8);
  ASSERT_FALSE(scaled);
  EXPECT_THAT(scaled.error().text(), HasSubstr("uint8"));
}

TEST(ImageGeometry, FollowsTheAspectExactly) {
  const auto size = [](const char* text, int w, int h) {
    const auto g = image_geometry(*parse_image_prep(text), w, h);
    return g ? std::pair(g->resized_width, g->resized_height) : std::pair(0, 0);
  };
  using P = std::pair<int, int>;
  EXPECT_EQ(size("resize=256", 640, 480), P(341, 256));
  EXPECT_EQ(size("resize=256 round=ceil", 640, 480), P(342, 256));
  EXPECT_EQ(size("resize=256 round=nearest", 480, 640), P(256, 341));
  EXPECT_EQ(size("resize=2 round=nearest", 4, 5), P(2, 2));  // 2.5 to even
  EXPECT_EQ(size("resize=2 round=nearest", 4, 7), P(2, 4));  // 3.5 to even
  EXPECT_EQ(size("letterbox=320", 49, 7), P(320, 45));
  EXPECT_EQ(size("letterbox=320x200", 100, 100), P(200, 200));
  EXPECT_EQ(size("height=48", 100, 24), P(200, 48));
  EXPECT_EQ(size("height=48 max-width=160", 100, 24), P(160, 48));
  EXPECT_EQ(size("resize=10", 100000, 1), P(1000000, 10));
  const auto g = image_geometry(*parse_image_prep("letterbox=320 center=1"), 640, 480);
  ASSERT_TRUE(g);
  EXPECT_EQ(g->canvas_height, 320);
  EXPECT_EQ(g->top, 40);
  const auto padded = image_geometry(*parse_image_prep("multiple=32"), 65, 32);
  ASSERT_TRUE(padded);
  EXPECT_EQ(padded->canvas_width, 96);
  EXPECT_EQ(padded->canvas_height, 32);
}

TEST(ImageGeometry, RefusesWhatDoesNotFit) {
  const auto crop = image_geometry(*parse_image_prep("crop=224"), 200, 300);
  ASSERT_FALSE(crop);
  EXPECT_THAT(crop.error().text(), HasSubstr("crop=224x224"));
  EXPECT_FALSE(image_geometry(*parse_image_prep("pad-to=100x100"), 101, 50));
  EXPECT_FALSE(image_geometry(*parse_image_prep("resize=100000x100000"), 8, 8));
}

TEST(ParseImagePrep, NamesTheWordThatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"resize", "KEY=VALUE"},
      {"resize=0", "resize=0"},
      {"resize=1x2x3", "WIDTHxHEIGHT"},
      {"resize=abc", "resize=abc"},
      {"resise=3", "'resise'"},
      {"resize=3 letterbox=4", "only one"},
      {"std=0", "std=0"},
      {"mean=1/2", "mean=1/2"},
      {"scale=1/0", "scale=1/0"},
      {"color=red", "rgb, bgr or gray"},
      {"layout=nhcw", "nchw or nhwc"},
      {"crop=3 crop=4", "twice"},
      {"max-width=7", "height=N"},
      {"missing.json", "missing.json"},
      {"filter=lanczos", "nearest, bilinear or bicubic"}};
  for (const auto& [text, words] : cases) {
    const auto prep = parse_image_prep(text);
    ASSERT_FALSE(prep) << text;
    EXPECT_THAT(prep.error().text(), HasSubstr(words));
  }
}

TEST(ParseImagePrep, ReadsTheSameFromJson) {
  const TemporaryFolder folder;
  const std::string path = folder / "prep.json";
  std::ofstream(path) << R"({"resize": 256, "crop": "224x200", "mean": [0.5, 0.25, 0.125],
                             "scale": "1/255", "antialias": false, "std": 0.5, "color": "bgr"})";
  const auto prep = parse_image_prep(path);
  ASSERT_TRUE(prep) << prep.error().text();
  EXPECT_EQ(prep->resize, ResizeMode::kShortest);
  EXPECT_EQ(prep->width, 256);
  EXPECT_EQ(prep->crop_width, 224);
  EXPECT_EQ(prep->crop_height, 200);
  EXPECT_EQ(prep->mean, (std::array<double, 3>{0.5, 0.25, 0.125}));
  EXPECT_EQ(prep->std, (std::array<double, 3>{0.5, 0.5, 0.5}));
  EXPECT_EQ(prep->scale, 1.0 / 255);
  EXPECT_FALSE(prep->antialias);
  EXPECT_EQ(prep->color, ColorOrder::kBgr);
  std::ofstream(path) << "[1, 2]";
  EXPECT_FALSE(parse_image_prep(path));
}

}  // namespace
}  // namespace intact
