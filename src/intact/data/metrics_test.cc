#include "data/metrics.h"

#include <gmock/gmock.h>

#include <cmath>

#include "data/detection.h"
#include "data/golden_files.h"

namespace intact {
namespace {

using testing::HasSubstr;

std::unique_ptr<Metric> metric(const std::string& name, MetricOptions options = {}) {
  auto made = make_metric(name, std::move(options));
  if (!made) throw std::runtime_error(made.error().text());
  return *std::move(made);
}

Tensor row(const Tensor& t, std::int64_t i) {
  const auto width = static_cast<std::size_t>(t.size() / t.shape()[0]);
  const auto values = to_float64(t);
  Shape shape = t.shape();
  shape[0] = 1;
  return from_float64(t.dtype(), shape,
                      std::span(values).subspan(static_cast<std::size_t>(i) * width, width));
}

// The metric over the samples of metrics.npz.
std::unique_ptr<Metric> measured(const std::string& name, const std::string& output,
                                 const std::string& labels) {
  auto m = metric(name);
  const Tensor out = golden_array("metrics.npz", output);
  const Tensor ref = golden_array("metrics.npz", "ref");
  const Tensor want = golden_array("metrics.npz", labels);
  for (std::int64_t i = 0; i < out.shape()[0]; ++i) {
    const std::vector<NamedTensor> outputs{{"y", row(out, i)}};
    const std::vector<NamedTensor> reference{{"y", row(ref, i)}};
    Target target;
    if (is_integer(want.dtype()))
      target.label = to_int64(row(want, i))[0];
    else
      target.arrays = {{"target", row(want, i)}};
    const bool against_reference = m->info().needs_reference;
    const auto added =
        m->add({outputs, against_reference ? std::span(reference) : std::span<const NamedTensor>(),
                &target});
    if (!added) throw std::runtime_error(added.error().text());
  }
  return m;
}

double expected(const std::string& name) {
  return to_float64(golden_array("metrics.npz", name))[0];
}

TEST(Metric, EqualsNumpyScipyAndScikitLearn) {
  // Sums of 60 to 420 doubles: 1e-12 relative; 1e-9 leaves room for float32 inputs' powers.
  EXPECT_NEAR(measured("top1", "out", "labels")->value(), expected("top1"), 1e-9);
  EXPECT_NEAR(measured("top5", "out", "labels")->value(), expected("top5"), 1e-9);
  EXPECT_NEAR(measured("accuracy", "out", "labels")->value(), expected("top1"), 1e-9);
  EXPECT_NEAR(measured("accuracy", "p", "binary")->value(), expected("accuracy_binary"), 1e-9);
  EXPECT_NEAR(measured("f1", "out", "labels")->value(), expected("f1"), 1e-9);
  EXPECT_NEAR(measured("f1", "p", "binary")->value(), expected("f1_binary"), 1e-9);
  EXPECT_NEAR(measured("agreement", "out", "labels")->value(), expected("agreement"), 1e-9);
  EXPECT_NEAR(measured("sqnr", "out", "labels")->value(), expected("sqnr"), 1e-9);
  EXPECT_NEAR(measured("cosine", "out", "labels")->value(), expected("cosine"), 1e-9);
  EXPECT_NEAR(measured("mse", "out", "labels")->value(), expected("mse"), 1e-9);
  EXPECT_NEAR(measured("pearson", "x", "y")->value(), expected("pearson"), 1e-9);
  EXPECT_NEAR(measured("spearman", "x", "y")->value(), expected("spearman"), 1e-9);
}

TEST(PairedDifference, GivesBonettPriceAndMcNemarForBinaryScores) {
  const auto a = measured("top1", "out", "labels");
  const auto b = measured("top1", "noisy", "labels");
  const auto d = paired_difference(*a, *b);
  ASSERT_TRUE(d) << d.error().text();
  const auto want = to_float64(golden_array("metrics.npz", "bonett_price"));
  EXPECT_NEAR(d->interval.lo, want[0], 1e-9);
  EXPECT_NEAR(d->interval.hi, want[1], 1e-9);
  EXPECT_NEAR(d->p_value, expected("mcnemar"), 1e-9);
  const auto changed = to_int64(golden_array("metrics.npz", "changed"));
  EXPECT_EQ(static_cast<std::int64_t>(d->worse.size()), changed[0]);
  EXPECT_EQ(static_cast<std::int64_t>(d->better.size()), changed[1]);
  EXPECT_NEAR(d->difference, b->value() - a->value(), 1e-12);
  for (const std::int64_t i : d->worse) EXPECT_LT(b->score(i), a->score(i));
  const Interval alone = interval_of(*a);
  const auto wilson = to_float64(golden_array("metrics.npz", "wilson"));
  EXPECT_NEAR(alone.lo, wilson[0], 1e-9);
  EXPECT_NEAR(alone.hi, wilson[1], 1e-9);
}

TEST(PairedDifference, BootstrapsEverythingElse) {
  const auto a = measured("sqnr", "out", "labels");
  const auto b = measured("sqnr", "noisy", "labels");
  const auto d = paired_difference(*a, *b, /*seed=*/5, /*resamples=*/300);
  ASSERT_TRUE(d);
  const auto want = to_float64(golden_array("metrics.npz", "bootstrap"));
  EXPECT_NEAR(d->interval.lo, want[0], 1e-9);
  EXPECT_NEAR(d->interval.hi, want[1], 1e-9);
  EXPECT_TRUE(std::isnan(d->p_value));
  EXPECT_EQ(d->worse.size() + d->better.size(), 60u);
}

TEST(PairedDifference, StaysHonestWhenNothingChanged) {
  const auto a = measured("top1", "out", "labels");
  const auto d = paired_difference(*a, *a);
  ASSERT_TRUE(d);
  EXPECT_EQ(d->difference, 0);
  EXPECT_LT(d->interval.lo, -1);  // 60 samples cannot exclude a change of one point.
  EXPECT_GT(d->interval.hi, 1);
  EXPECT_EQ(d->p_value, 1);
}

TEST(PairedDifference, RefusesDifferentMetrics) {
  EXPECT_FALSE(paired_difference(*metric("top1"), *metric("top5")));
}

TEST(PairedDifference, KnowsWhichWayIsWorse) {
  auto a = metric("mse");
  auto b = metric("mse");
  const std::vector<NamedTensor> reference{{"y", Tensor::of<float>({1}, {0})}};
  for (const float x : {1.0f, 2.0f, 3.0f}) {
    const std::vector<NamedTensor> near{{"y", Tensor::of<float>({1}, {x})}};
    const std::vector<NamedTensor> far{{"y", Tensor::of<float>({1}, {2 * x})}};
    ASSERT_TRUE(a->add({near, reference, nullptr}));
    ASSERT_TRUE(b->add({far, reference, nullptr}));
  }
  const auto d = paired_difference(*a, *b);
  ASSERT_TRUE(d);
  EXPECT_DOUBLE_EQ(a->value(), 14.0 / 3);
  EXPECT_EQ(d->worse, (std::vector<std::int64_t>{2, 1, 0}));  // Worst first.
  EXPECT_TRUE(d->better.empty());
}

TEST(McNemarExact, EqualsTheBinomialByHand) {
  EXPECT_DOUBLE_EQ(mcnemar_exact(0, 0), 1);
  EXPECT_NEAR(mcnemar_exact(0, 5), 2.0 / 32, 1e-12);
  EXPECT_NEAR(mcnemar_exact(1, 4), 2 * 6.0 / 32, 1e-12);
  EXPECT_DOUBLE_EQ(mcnemar_exact(3, 3), 1);
  EXPECT_GT(mcnemar_exact(5000, 5100), 0.3);  // No underflow.
}

TEST(WilsonInterval, EndsAtTheBorders) {
  EXPECT_EQ(wilson_interval(0, 10).lo, 0);
  EXPECT_EQ(wilson_interval(10, 10).hi, 1);
  EXPECT_NEAR(wilson_interval(0, 10).hi, 0.2775, 1e-4);  // Tables of Wilson's interval.
}

TEST(MakeMetric, KnowsNamesAndDirections) {
  for (const std::string& name : metric_names()) {
    ASSERT_TRUE(make_metric(name)) << name;
    EXPECT_FALSE(metric("min:" + name)->info().higher_is_better);
  }
  EXPECT_TRUE(metric("top1")->info().higher_is_better);
  EXPECT_FALSE(metric("wer")->info().higher_is_better);
  EXPECT_EQ(metric("sqnr")->info().unit, "dB");
  const auto unknown = make_metric("top2");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().text(), HasSubstr("top1, top5"));
}

TEST(Top1, ExplainsMissingAndImpossibleLabels) {
  const std::vector<NamedTensor> outputs{{"y", Tensor::of<float>({1, 3}, {0, 1, 2})}};
  auto m = metric("top1");
  const auto none = m->add({outputs, {}, nullptr});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().text(), HasSubstr("labels.csv"));
  const Target outside{3, {}, {}};
  EXPECT_FALSE(m->add({outputs, {}, &outside}));
  EXPECT_EQ(m->count(), 0);
  EXPECT_TRUE(std::isnan(m->value()));
}

TEST(Top1, CountsNanAsWrong) {
  const std::vector<NamedTensor> outputs{{"y", Tensor::of<float>({1, 2}, {NAN, NAN})}};
  const Target zero{0, {}, {}};
  auto m = metric("top1");
  ASSERT_TRUE(m->add({outputs, {}, &zero}));
  EXPECT_EQ(m->value(), 0);
}

TEST(Sqnr, TakesTheWorstOutputAndFailsOnNan) {
  const std::vector<NamedTensor> reference{{"a", Tensor::of<float>({2}, {10, 0})},
                                           {"b", Tensor::of<float>({1}, {10})}};
  const std::vector<NamedTensor> outputs{{"a", Tensor::of<float>({2}, {10, 1})},
                                         {"b", Tensor::of<float>({1}, {10.1f})}};
  auto m = metric("sqnr");
  ASSERT_TRUE(m->add({outputs, reference, nullptr}));
  EXPECT_NEAR(m->value(), 20, 1e-9);  // 10 log10(100 / 1), b has 40.
  const std::vector<NamedTensor> broken{{"a", Tensor::of<float>({2}, {NAN, 1})},
                                        {"b", Tensor::of<float>({1}, {10})}};
  ASSERT_TRUE(m->add({broken, reference, nullptr}));
  EXPECT_EQ(m->value(), -std::numeric_limits<double>::infinity());
}

TEST(TextMetric, DecodesCtcAndCountsEdits) {
  MetricOptions options;
  options.charset = {"a", "b", " ", "\xC3\xA9"};
  // Steps: a a 0 a space b 0, as one-hot rows of 5 classes: "aa b".
  Tensor steps(Dtype::kFloat32, {1, 7, 5});
  const std::array<std::size_t, 7> codes{1, 1, 0, 1, 3, 2, 0};
  for (std::size_t i = 0; i < codes.size(); ++i)
    steps.mutable_values<float>()[5 * i + codes[i]] = 1;
  const std::vector<NamedTensor> outputs{{"y", steps}};
  const auto rate = [&](const std::string& name, const std::string& text) {
    auto m = metric(name, options);
    const Target target{{}, text, {}};
    const auto added = m->add({outputs, {}, &target});
    return added ? m->value() : -1;
  };
  EXPECT_EQ(rate("accuracy", "aa b"), 100);
  EXPECT_EQ(rate("accuracy", "ab b"), 0);
  EXPECT_EQ(rate("wer", "aa  b"), 0);
  EXPECT_EQ(rate("wer", "aa b b b"), 50);
  EXPECT_EQ(rate("cer", "a\xC3\xA9 b"), 25);  // One substitution in four characters.
  EXPECT_EQ(rate("cer", "aa"), 100);          // Two insertions for two characters.
}

TEST(MeanAveragePrecision, EqualsThePlainDefinition) {
  const Tensor detections = golden_array("detection.npz", "detections");
  const Tensor truths = golden_array("detection.npz", "truths");
  const auto d = to_float64(detections);
  const auto t = to_float64(truths);
  MeanAveragePrecision m(metric("map")->info());
  std::vector<std::int64_t> all;
  for (std::int64_t image = 0; image < 12; ++image) {
    std::vector<Box> found, there;
    for (std::size_t i = 0; i < d.size(); i += 7)
      if (d[i] == static_cast<double>(image))
        found.push_back({d[i + 1], d[i + 2], d[i + 3], d[i + 4],
                         static_cast<std::int64_t>(d[i + 6]), d[i + 5]});
    for (std::size_t i = 0; i < t.size(); i += 6)
      if (t[i] == static_cast<double>(image))
        there.push_back(
            {t[i + 1], t[i + 2], t[i + 3], t[i + 4], static_cast<std::int64_t>(t[i + 5]), 1});
    m.add_boxes(found, there);
    all.push_back(image);
  }
  EXPECT_NEAR(m.value(), to_float64(golden_array("detection.npz", "map"))[0], 1e-9);
  EXPECT_NEAR(m.value_at(all, 0), to_float64(golden_array("detection.npz", "ap50"))[0], 1e-9);
}

TEST(MeanAveragePrecision, ReadsTensors) {
  auto m = metric("map");
  const std::vector<NamedTensor> outputs{
      {"boxes", Tensor::of<float>({1, 2, 6}, {0, 0, 10, 10, 0.9f, 3, 0, 0, 0, 0, 0, 0})}};
  Target target;
  target.arrays = {{"boxes", Tensor::of<float>({1, 5}, {0, 0, 10, 10, 3})}};
  ASSERT_TRUE(m->add({outputs, {}, &target}));
  EXPECT_DOUBLE_EQ(m->value(), 100);
  EXPECT_DOUBLE_EQ(intersection_over_union({0, 0, 2, 2, 0, 1}, {1, 1, 3, 3, 0, 1}), 1.0 / 7);
}

}  // namespace
}  // namespace intact
