#include "quant/calibration_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "quant/test_values.h"

namespace intact {
namespace {

TensorStats stats_of(std::initializer_list<std::uint64_t> seeds) {
  TensorObserver o;
  for (const std::uint64_t seed : seeds) {
    EXPECT_TRUE(o.observe(test::random_values(seed, 200 + seed)));
    o.end_sample();
  }
  return o.stats();
}

CalibrationFile example(std::initializer_list<std::uint64_t> seeds, RangeMethod method = {}) {
  CalibrationFile file;
  file.model = "3f2a";
  file.method = method;
  EXPECT_TRUE(file.set("conv1/out", stats_of(seeds)));
  std::vector<std::uint64_t> shifted;
  TensorObserver o;
  for (const std::uint64_t seed : seeds) {
    EXPECT_TRUE(o.observe(test::random_values(seed + 4, 3000)));
    o.end_sample();
  }
  EXPECT_TRUE(file.set("a \"quoted\"\\\n\ttensor", o.stats()));
  return file;
}

void expect_equal(const CalibrationFile& a, const CalibrationFile& b) {
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.method, b.method);
  EXPECT_EQ(a.target.codes, b.target.codes);
  EXPECT_EQ(a.target.symmetric, b.target.symmetric);
  EXPECT_EQ(a.tensors, b.tensors);
  EXPECT_EQ(a.stats, b.stats);
}

TEST(CalibrationFile, SurvivesTextForEveryMethod) {
  for (const char* method : {"mse", "minmax", "average", "kl", "percentile=99.9"}) {
    const CalibrationFile file = example({0, 1, 2, 13}, *parse_range_method(method));
    const std::string text = to_text(file);
    const auto back = parse_calibration(text);
    ASSERT_TRUE(back) << back.error().text();
    expect_equal(file, *back);
    EXPECT_EQ(to_text(*back), text);
  }
  TensorObserver o(0.9);
  ASSERT_TRUE(o.observe(test::random_values(3, 100)));
  o.end_sample();
  CalibrationFile moving;
  moving.method = {RangeKind::kMoving, 0.9};
  moving.target = {{-128, 127}, true};
  ASSERT_TRUE(moving.set("t", o.stats()));
  const auto back = parse_calibration(to_text(moving));
  ASSERT_TRUE(back) << back.error().text();
  expect_equal(moving, *back);
}

TEST(CalibrationFile, HasOneReadableLineForEachTensor) {
  TensorObserver o;
  ASSERT_TRUE(o.observe(std::vector<float>{-1.0f, 0.0f, 2.5f}));
  o.end_sample();
  CalibrationFile file;
  file.model = "m1";
  file.method = {RangeKind::kMinmax, 0.0};
  ASSERT_TRUE(file.set("x", o.stats()));
  const std::string text = to_text(file);
  EXPECT_EQ(text.substr(0, text.find('#')),
            "intact-calibration 1\nmodel m1\nrange minmax\ncodes 0 255 asymmetric\n");
  EXPECT_NE(text.find("\n\"x\" minmax -1 2.5 -1 2.5 1\n"), std::string::npos);
  // 2.5 is bin 1024 + 2.5 * 2^8 = 1664, -1 is bin 1023 - 256 = 767; 896 empty bins lie between.
  EXPECT_NE(text.find("e=-8 zeros=1 "), std::string::npos);
  EXPECT_NE(text.find(" bins=767:1,0x896,1\n"), std::string::npos);
}

TEST(CalibrationFile, EditsAndDeletionsAreHonoured) {
  std::string text = to_text(example({0, 1}));
  const std::size_t line = text.find("\"conv1/out\" mse");
  ASSERT_NE(line, std::string::npos);
  const std::size_t end = text.find('\n', line);
  std::string edited = text;
  edited.replace(line, end - line, "\"conv1/out\" fixed -1.5 2.25 -3 4 2");
  const auto changed = parse_calibration(edited);
  ASSERT_TRUE(changed) << changed.error().text();
  EXPECT_EQ(changed->tensors.at("conv1/out").range, (Range{-1.5f, 2.25f}));
  std::string shorter = text;
  shorter.erase(line, end - line + 1);
  const auto without = parse_calibration(shorter);
  ASSERT_TRUE(without);
  EXPECT_FALSE(without->tensors.contains("conv1/out"));
  EXPECT_TRUE(without->stats.contains("conv1/out"));
}

TEST(MergeCalibrations, EqualsCalibratingOnAllSamples) {
  for (const char* method : {"mse", "minmax", "average", "kl", "percentile=99"}) {
    const RangeMethod m = *parse_range_method(method);
    const CalibrationFile all = example({0, 1, 2, 3, 14}, m);
    const CalibrationFile a = example({14, 2}, m);
    const CalibrationFile b = example({1}, m);
    const CalibrationFile c = example({3, 0}, m);
    for (const auto& order :
         {std::array{&a, &b, &c}, std::array{&c, &a, &b}, std::array{&b, &c, &a}}) {
      const auto ab = merge_calibrations(*order[0], *order[1]);
      ASSERT_TRUE(ab) << ab.error().text();
      const auto abc = merge_calibrations(*order[2], *ab);
      ASSERT_TRUE(abc) << abc.error().text();
      EXPECT_EQ(to_text(*abc), to_text(all)) << method;
    }
  }
}

TEST(MergeCalibrations, KeepsDeletionsFixedLinesAndTensorsOfOneFile) {
  CalibrationFile a = example({0, 1});
  CalibrationFile b = example({2});
  ASSERT_TRUE(b.set("only b", stats_of({7})));
  a.tensors.erase("conv1/out");  // Deleted by hand: the stats are still there.
  const std::string other = "a \"quoted\"\\\n\ttensor";
  b.tensors[other].method = "fixed";
  b.tensors[other].range = {-0.5f, 0.5f};
  for (const bool swapped : {false, true}) {
    const auto merged = swapped ? merge_calibrations(b, a) : merge_calibrations(a, b);
    ASSERT_TRUE(merged) << merged.error().text();
    EXPECT_FALSE(merged->tensors.contains("conv1/out"));
    EXPECT_TRUE(merged->stats.contains("conv1/out"));
    EXPECT_TRUE(merged->tensors.contains("only b"));
    EXPECT_EQ(merged->tensors.at(other).range, (Range{-0.5f, 0.5f}));
    EXPECT_EQ(merged->tensors.at(other).samples, 3u);
  }
  a.tensors[other].method = "fixed";
  EXPECT_FALSE(merge_calibrations(a, b)) << "fixed to different numbers";
}

TEST(MergeCalibrations, RefusesWhatCannotBeMerged) {
  const CalibrationFile a = example({0});
  const auto message = [&](const CalibrationFile& b) {
    const auto merged = merge_calibrations(a, b);
    return merged ? std::string("merged") : merged.error().text();
  };
  CalibrationFile b = example({1});
  b.model = "other";
  EXPECT_NE(message(b).find("different models"), std::string::npos);
  b = example({1}, {RangeKind::kMinmax, 0.0});
  EXPECT_NE(message(b).find("minmax"), std::string::npos);
  b = example({1});
  b.target.codes = {-128, 127};
  EXPECT_NE(message(b).find("codes"), std::string::npos);
  b = example({1});
  b.stats["conv1/out"].moving = MovingAverage{};
  EXPECT_NE(message(b).find("order of the samples"), std::string::npos);
}

TEST(ParseCalibration, RefusesEveryDamage) {
  const std::string text = to_text(example({0, 1}));
  ASSERT_TRUE(parse_calibration(text));
  EXPECT_FALSE(parse_calibration(""));
  EXPECT_FALSE(parse_calibration("TRT-8401-EntropyCalibration2\n"));
  const auto replaced = [&](std::string_view from, std::string_view to) {
    std::string t = text;
    const std::size_t at = t.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    t.replace(at, from.size(), to);
    return parse_calibration(t);
  };
  EXPECT_FALSE(replaced("calibration 1", "calibration 2"));
  EXPECT_FALSE(replaced("range mse", "range best"));
  EXPECT_FALSE(replaced("codes 0 255", "codes 255 0"));
  EXPECT_FALSE(replaced("asymmetric", "lopsided"));
  EXPECT_FALSE(replaced("\"conv1/out\" mse", "\"conv1/out\" mse nan"));
  EXPECT_FALSE(replaced("\"conv1/out\" mse", "\"conv1/out\" sometimes"));
  EXPECT_FALSE(replaced("\"conv1/out\" mse", "\"conv1/out mse"));
  EXPECT_FALSE(replaced("\"conv1/out\" mse", "\"conv1/out\" mse 1"));
  EXPECT_FALSE(replaced("\"conv1/out\" mse", "conv1/out mse"));
  EXPECT_FALSE(replaced("\\x0a", "\\n"));
  EXPECT_FALSE(replaced(" zeros=", " zeros=-"));
  EXPECT_FALSE(replaced(" e=", " e=9"));
  EXPECT_FALSE(replaced(" bins=", " bins=2047:1,"));
  EXPECT_FALSE(replaced("sum_min=", "sum_min=0"));
  EXPECT_FALSE(replaced("\nend\n", "\nend\nmore\n"));
  const auto line_error = replaced("range mse", "range best");
  EXPECT_NE(line_error.error().text().find("line 3"), std::string::npos);
  // Any cut before the last word is noticed, and never crashes.
  for (std::size_t cut = 0; cut + 4 < text.size(); cut += 37) {
    EXPECT_FALSE(parse_calibration(std::string_view(text).substr(0, cut))) << cut;
  }
  // Random damage either parses or is refused.
  test::Random r(11);
  for (int i = 0; i < 3000; ++i) {
    std::string t = text;
    for (int k = 0; k < 3; ++k) t[r.below(t.size())] = static_cast<char>(r.bits());
    const auto file = parse_calibration(t);
    EXPECT_TRUE(!file || parse_calibration(to_text(*file)));
  }
}

TEST(WriteCalibration, IsWholeOrNotThere) {
  const auto dir = std::filesystem::temp_directory_path() /
                   ("intact_calibration_test_" + std::to_string(::getpid()));
  std::filesystem::create_directories(dir);
  const std::string path = (dir / "x.cal").string();
  const CalibrationFile file = example({0, 1});
  ASSERT_TRUE(write_calibration(path, file));
  ASSERT_TRUE(write_calibration(path, file)) << "overwrites";
  const auto back = read_calibration(path);
  ASSERT_TRUE(back);
  expect_equal(file, *back);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir)) ++files;
  EXPECT_EQ(files, 1u) << "no drafts left";
  const auto missing = write_calibration((dir / "no" / "x.cal").string(), file);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kIo);
  EXPECT_NE(missing.error().message.find("No such file"), std::string::npos);
  EXPECT_FALSE(read_calibration((dir / "y.cal").string()));
  EXPECT_FALSE(write_calibration(dir.string(), file)) << "a folder is not written";
  if (std::filesystem::exists("/dev/full")) {
    EXPECT_FALSE(write_calibration("/dev/full", file));
    EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
  }
  std::ofstream(path) << "garbage";
  const auto garbage = read_calibration(path);
  ASSERT_FALSE(garbage);
  EXPECT_NE(garbage.error().text().find("x.cal"), std::string::npos);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace intact
