#include "calib/fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "calib/gains.h"
#include "calib/spool.h"
#include "quant/affine.h"

namespace intact {
namespace {

class Numbers {
 public:
  float next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(state_ >> 40) * 0x1p-23f - 1.0f;
  }
  std::vector<float> take(std::size_t n) {
    std::vector<float> x(n);
    for (float& v : x) v = next();
    return x;
  }

 private:
  std::uint64_t state_ = 42;
};

// Inputs whose columns share a component, as activations do: there feedback pays.
std::vector<float> correlated(Numbers& numbers, std::size_t rows, std::size_t k) {
  std::vector<float> x = numbers.take(rows * k);
  for (std::size_t r = 0; r < rows; ++r) {
    const float common = 3 * numbers.next();
    for (std::size_t i = 0; i < k; ++i) x[r * k + i] += common;
  }
  return x;
}

std::vector<float> coarse(const std::vector<float>& x) {
  std::vector<float> y(x.size());
  fake_quantize(x, {0.002f, 0, {-32768, 32767}}, y);
  return y;
}

// The rows in batches of `length` floats.
RowBatches batches_of(const std::vector<float>& x, const std::vector<float>& x_hat,
                      std::size_t length) {
  return [=](const RowVisitor& visit) -> Status {
    for (std::size_t at = 0; at < x.size(); at += length) {
      const auto part = [&](const std::vector<float>& all) {
        const auto from = all.begin() + static_cast<std::ptrdiff_t>(at);
        return std::vector<float>(
            from, from + static_cast<std::ptrdiff_t>(std::min(length, all.size() - at)));
      };
      std::vector<float> a = part(x), b = part(x_hat);
      visit(a, b);
    }
    return {};
  };
}

double squared_error(const FitInput& in, const std::vector<float>& x, const std::vector<float>& xh,
                     const Fit& fit) {
  double total = 0;
  const std::size_t pitch = in.groups * in.taps;
  for (std::size_t r = 0; r < x.size() / pitch; ++r)
    for (std::size_t n = 0; n < in.groups * in.rows; ++n) {
      double e = 0;
      for (std::size_t k = 0; k < in.taps; ++k) {
        const std::size_t at = r * pitch + n / in.rows * in.taps + k;
        e += static_cast<double>(x[at]) * static_cast<double>(in.weights[n * in.taps + k]) -
             static_cast<double>(xh[at]) * static_cast<double>(fit.codes[n * in.taps + k]) *
                 static_cast<double>(fit.scales[n / in.share]);
      }
      total += e * e;
    }
  return total;
}

TEST(FitProduct, BeatsRoundingOnHeldOutRows) {
  Numbers numbers;
  ThreadPool pool(1);
  for (const std::size_t taps : {std::size_t{24}, std::size_t{80}}) {
    const std::vector<float> w = numbers.take(8 * taps);
    FitInput in;
    in.rows = 8;
    in.taps = taps;
    in.has_bias = false;
    in.weights = w;
    FitMoments moments(1, taps, false);
    for (int batch = 0; batch < 3; ++batch) {
      std::vector<float> a = correlated(numbers, 200, taps);
      std::vector<float> b = coarse(a);
      moments.add(a, b, pool);
    }
    in.moments = &moments;
    const auto x = correlated(numbers, 200, taps);
    const auto x_hat = coarse(x);
    in.judge = batches_of(x, x_hat, 120 * taps);
    const auto fit = fit_product(in, pool);
    ASSERT_TRUE(fit) << fit.error().text();
    EXPECT_LT(fit->error, 0.8 * fit->rounded_error);
    // The error it states is the one that its codes have.
    double signal = 0;
    for (std::size_t r = 0; r < x.size() / taps; ++r)
      for (std::size_t n = 0; n < 8; ++n) {
        double y = 0;
        for (std::size_t k = 0; k < taps; ++k)
          y += static_cast<double>(x[r * taps + k]) * static_cast<double>(w[n * taps + k]);
        signal += y * y;
      }
    EXPECT_NEAR(squared_error(in, x, x_hat, *fit) / signal, fit->error, 1e-3 * fit->error);
  }
}

TEST(FitProduct, RestoresTheMeanThroughTheBias) {
  Numbers numbers;
  ThreadPool pool(1);
  const std::vector<float> w = numbers.take(3 * 2 * 4);
  FitInput in;
  in.groups = 3;
  in.rows = 2;
  in.taps = 4;
  in.weights = w;
  const auto x = numbers.take(500 * 12);
  auto x_hat = x;
  for (float& v : x_hat) v += 0.25f;  // The quantized network is off by a constant.
  FitMoments moments(3, 4, true);
  for (std::size_t begin : {std::size_t{0}, std::size_t{300} * 12}) {
    const std::size_t end = begin == 0 ? 300 * 12 : x.size();
    std::vector<float> a(x.begin() + static_cast<std::ptrdiff_t>(begin),
                         x.begin() + static_cast<std::ptrdiff_t>(end));
    std::vector<float> b(x_hat.begin() + static_cast<std::ptrdiff_t>(begin),
                         x_hat.begin() + static_cast<std::ptrdiff_t>(end));
    moments.add(a, b, pool);
  }
  in.moments = &moments;
  in.judge = batches_of(x, x_hat, x.size());
  const auto fit = fit_product(in, pool);
  ASSERT_TRUE(fit) << fit.error().text();
  for (std::size_t n = 0; n < 6; ++n) {
    double mean = 0;
    for (std::size_t r = 0; r < 500; ++r) {
      double e = fit->bias_change[n];
      for (std::size_t k = 0; k < 4; ++k) {
        const std::size_t at = r * 12 + n / 2 * 4 + k;
        e += static_cast<double>(x_hat[at]) * static_cast<double>(fit->codes[n * 4 + k]) *
                 static_cast<double>(fit->scales[n]) -
             static_cast<double>(x[at]) * static_cast<double>(w[n * 4 + k]);
      }
      mean += e / 500;
    }
    EXPECT_NEAR(mean, 0, 1e-6) << "row " << n;
  }
}

TEST(FitMoments, AreMomentsAroundTheMeansOfAllBatches) {
  Numbers numbers;
  ThreadPool pool(1);
  constexpr std::size_t kTaps = 3, kCount = 40;
  std::vector<float> x = numbers.take(kCount * kTaps);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += static_cast<float>(10 * (i % kTaps));
  std::vector<float> y = coarse(x);
  FitMoments moments(1, kTaps, true);
  for (std::size_t begin = 0; begin < kCount; begin += 20) {
    const auto from = static_cast<std::ptrdiff_t>(begin * kTaps);
    std::vector<float> a(x.begin() + from, x.begin() + from + 20 * kTaps);
    std::vector<float> b(y.begin() + from, y.begin() + from + 20 * kTaps);
    moments.add(a, b, pool);
  }
  double mean[kTaps] = {}, mean_hat[kTaps] = {};
  for (std::size_t i = 0; i < x.size(); ++i) {
    mean[i % kTaps] += static_cast<double>(x[i]) / kCount;
    mean_hat[i % kTaps] += static_cast<double>(y[i]) / kCount;
  }
  for (std::size_t i = 0; i < kTaps; ++i) {
    EXPECT_NEAR(moments.mean()[i], mean[i], 1e-6);
    EXPECT_NEAR(moments.mean_hat()[i], mean_hat[i], 1e-6);
    for (std::size_t j = 0; j < kTaps; ++j) {
      double h = 0, c = 0;
      for (std::size_t r = 0; r < kCount; ++r) {
        const double v = static_cast<double>(y[r * kTaps + j]) - mean_hat[j];
        h += (static_cast<double>(y[r * kTaps + i]) - mean_hat[i]) * v;
        c += (static_cast<double>(x[r * kTaps + i]) - mean[i]) * v;
      }
      EXPECT_NEAR(moments.second(0)[i * kTaps + j], h, 1e-4);  // 40 products of floats near 30.
      EXPECT_NEAR(moments.cross(0)[i * kTaps + j], c, 1e-4);
    }
  }
}

TEST(AddMoments, AreTheSumsInDoubleForAnyNumberOfThreads) {
  Numbers numbers;
  constexpr std::size_t kWidth = 150, kPitch = 160, kRows = 37;
  const std::vector<float> x = numbers.take(kRows * kPitch), y = numbers.take(kRows * kPitch);
  std::vector<std::vector<double>> h, c;
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    h.emplace_back(kWidth * kWidth, 0.0);
    c.emplace_back(kWidth * kWidth, 1.0);
    PageVector<float> rooms;
    add_moments(x.data(), y.data(), kRows, kPitch, kWidth, h.back().data(), c.back().data(), rooms,
                pool);
  }
  EXPECT_EQ(h[0], h[1]);
  EXPECT_EQ(c[0], c[1]);
  for (std::size_t i = 0; i < kWidth; ++i)
    for (std::size_t j = 0; j < kWidth; ++j) {
      double second = 0, cross = 1;
      for (std::size_t r = 0; r < kRows; ++r) {
        const auto v = static_cast<double>(y[r * kPitch + j]);
        second += static_cast<double>(y[r * kPitch + i]) * v;
        cross += static_cast<double>(x[r * kPitch + i]) * v;
      }
      EXPECT_NEAR(h[0][i * kWidth + j], j >= i ? second : 0, 37 * 37 * 6e-8);
      EXPECT_NEAR(c[0][i * kWidth + j], cross, 37 * 37 * 6e-8);
    }
}

TEST(CodesOfTensor, AreOfTheGainedValues) {
  const Tensor x = Tensor::of<float>({1, 2, 2}, {0.5f, 1.0f, 10.0f, 20.0f});
  const Tensor codes = codes_of_tensor(x, 1, {{0.1f, 3, {0, 255}}, {20.0f, 1.0f}});
  const auto values = codes.values<std::uint8_t>();
  EXPECT_EQ(std::vector<int>(values.begin(), values.end()), (std::vector<int>{103, 203, 103, 203}));
  const Tensor plain = codes_of_tensor(x, 1, {{0.25f, 0, {-128, 127}}, {}});
  EXPECT_EQ(plain.values<std::int8_t>()[3], 80);
}

TEST(TensorSpool, KeepsTensorsAndUsesPlacesAgain) {
  auto spool = TensorSpool::create();
  ASSERT_TRUE(spool) << spool.error().text();
  ASSERT_TRUE(spool->put(1, Tensor::of<float>({2}, {1.0f, 2.0f})));
  ASSERT_TRUE(spool->put(2, Tensor::of<std::int64_t>({1}, {7})));
  ASSERT_TRUE(spool->put(1, Tensor::of<float>({2}, {3.0f, 4.0f})));
  EXPECT_EQ((*spool->get(1)).values<float>()[1], 4.0f);
  EXPECT_EQ((*spool->get(2)).values<std::int64_t>()[0], 7);
  spool->drop(1);
  EXPECT_FALSE(spool->has(1));
}

}  // namespace
}  // namespace intact
