#include "calib/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>

#include "calib/decisions.h"
#include "quant/rounding.h"
#include "quant/vector_clones.h"

namespace intact {
namespace {

constexpr double kRidge = 0.02;
constexpr std::size_t kJudgedRows = 64;  // At a time.
constexpr std::size_t kSmallTaps = 64;   // Grouped products up to here take plain loops.

// Means of the columns of x: [*, width], in double.
std::vector<double> column_means(std::span<const float> x, std::size_t width) {
  std::vector<double> mean(width, 0.0);
  const std::size_t rows = x.size() / width;
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < width; ++c) mean[c] += static_cast<double>(x[r * width + c]);
  if (rows > 0)
    for (double& m : mean) m /= static_cast<double>(rows);
  return mean;
}

void centre(std::span<float> x, std::span<const double> mean, ThreadPool& pool) {
  const std::size_t width = mean.size();
  pool.run(x.size() / width, [&](std::size_t r) {
    for (std::size_t c = 0; c < width; ++c) x[r * width + c] -= static_cast<float>(mean[c]);
  });
}

// Adds the moments of matrix.h's add_moments for few columns, in double.
INTACT_VECTOR_CLONES
void add_small_moments(const float* x, const float* y, std::size_t rows, std::size_t pitch,
                       std::size_t width, double* h, double* c) {
  double u[kSmallTaps], v[kSmallTaps];
  for (std::size_t r = 0; r < rows; ++r, x += pitch, y += pitch) {
    for (std::size_t i = 0; i < width; ++i) {
      u[i] = static_cast<double>(x[i]);
      v[i] = static_cast<double>(y[i]);
    }
    for (std::size_t i = 0; i < width; ++i) {
      double* __restrict second = h + i * width;
      double* __restrict cross = c + i * width;
      for (std::size_t j = 0; j < width; ++j) {
        second[j] += v[i] * v[j];
        cross[j] += u[i] * v[j];
      }
    }
  }
}

// A copy of columns [begin, begin + width) of one group's matrix [rows, taps].
template <class T>
PageVector<T> slice(std::span<const T> m, std::size_t taps, std::size_t begin, std::size_t width) {
  PageVector<T> out;
  out.reserve(m.size() / taps * width);
  for (std::size_t r = 0; r < m.size(); r += taps)
    out.insert(out.end(), m.begin() + static_cast<std::ptrdiff_t>(r + begin),
               m.begin() + static_cast<std::ptrdiff_t>(r + begin + width));
  return out;
}

template <class T>
void put_slice(std::span<const T> part, std::size_t taps, std::size_t begin, std::size_t width,
               std::span<T> m) {
  for (std::size_t r = 0; r * width < part.size(); ++r)
    std::copy_n(part.begin() + static_cast<std::ptrdiff_t>(r * width), width,
                m.begin() + static_cast<std::ptrdiff_t>(r * taps + begin));
}

// Subtracts per-column values; adds what is left to the columns' sums.
void subtract_shift(std::span<float> x, std::span<const double> shift, std::span<double> sum,
                    ThreadPool& pool) {
  constexpr std::size_t kColumns = 64;
  const std::size_t width = shift.size();
  pool.run((width + kColumns - 1) / kColumns, [&](std::size_t t) {
    const std::size_t end = std::min(width, (t + 1) * kColumns);
    for (std::size_t r = 0; r < x.size(); r += width)
      for (std::size_t c = t * kColumns; c < end; ++c) {
        x[r + c] -= static_cast<float>(shift[c]);
        sum[c] += static_cast<double>(x[r + c]);
      }
  });
}

}  // namespace

FitMoments::FitMoments(std::size_t groups, std::size_t taps, bool centred)
    : pitch_(groups * taps),
      taps_(taps),
      centred_(centred),
      sum_(pitch_, 0.0),
      sum_hat_(pitch_, 0.0) {
  const std::size_t parts = (taps + kMaxBlock - 1) / kMaxBlock;
  const std::size_t width = (taps + parts - 1) / parts;
  for (std::size_t g = 0; g < groups; ++g)
    for (std::size_t k = 0; k < taps; k += width)
      blocks_.push_back({g, k, std::min(width, taps - k)});
  for (const Block& b : blocks_) {
    second_.emplace_back(b.width * b.width, 0.0);
    cross_.emplace_back(b.width * b.width, 0.0);
  }
}

bool FitMoments::parallel() const noexcept { return blocks_.size() > 8 && taps_ <= kSmallTaps; }

void FitMoments::add(std::span<float> x, std::span<float> x_hat, ThreadPool& pool) {
  if (x.empty()) return;
  if (rows_ == 0) {
    // Rounded to float, so that subtracting them is the same everywhere.
    shift_ = centred_ ? column_means(x, pitch_) : std::vector<double>(pitch_, 0.0);
    shift_hat_ = centred_ ? column_means(x_hat, pitch_) : std::vector<double>(pitch_, 0.0);
    for (auto* shift : {&shift_, &shift_hat_})
      for (double& s : *shift) s = static_cast<double>(static_cast<float>(s));
  }
  const std::size_t rows = x.size() / pitch_;
  rows_ += rows;
  subtract_shift(x, shift_, sum_, pool);
  subtract_shift(x_hat, shift_hat_, sum_hat_, pool);
  const auto one = [&](std::size_t b) {
    const Block& block = blocks_[b];
    const std::size_t at = block.group * taps_ + block.begin;
    const float* const u = x.data() + at;
    const float* const v = x_hat.data() + at;
    double* const h = second_[b].data();
    double* const c = cross_[b].data();
    if (block.width > kSmallTaps)
      add_moments(u, v, rows, pitch_, block.width, h, c, rooms_, pool);
    else
      add_small_moments(u, v, rows, pitch_, block.width, h, c);
  };
  if (parallel())
    pool.run(blocks_.size(), one);
  else
    for (std::size_t b = 0; b < blocks_.size(); ++b) one(b);
}

std::vector<double> FitMoments::mean_of(const std::vector<double>& shift,
                                        const std::vector<double>& sum) const {
  std::vector<double> mean(pitch_, 0.0);
  if (!centred_ || rows_ == 0) return mean;
  for (std::size_t c = 0; c < pitch_; ++c) mean[c] = shift[c] + sum[c] / static_cast<double>(rows_);
  return mean;
}

// sum (u - mean u)(v - mean v) = sum u v - (sum u)(sum v) / rows
void FitMoments::subtract_means(std::span<double> m, std::size_t b, const std::vector<double>& left,
                                bool upper) const {
  if (!centred_) return;
  const Block& block = blocks_[b];
  const std::size_t at = block.group * taps_ + block.begin;
  for (std::size_t i = 0; i < block.width; ++i) {
    const double mean = left[at + i] / static_cast<double>(rows_);
    for (std::size_t j = upper ? i : 0; j < block.width; ++j)
      m[i * block.width + j] -= mean * sum_hat_[at + j];
  }
}

PageVector<double> FitMoments::second(std::size_t b) const {
  PageVector<double> h = second_[b];
  subtract_means(h, b, sum_hat_, /*upper=*/true);
  const std::size_t n = blocks_[b].width;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j) h[i * n + j] = h[j * n + i];
  return h;
}

PageVector<double> FitMoments::cross(std::size_t b) const {
  PageVector<double> c = cross_[b];
  subtract_means(c, b, sum_, /*upper=*/false);
  return c;
}

RowErrors::RowErrors(std::span<const float> m, std::size_t groups, std::size_t rows,
                     std::size_t taps, ThreadPool& pool)
    : groups_(groups), rows_(rows), taps_(taps), pool_(pool), weights_(pack(m)) {}

RowErrors::Weights RowErrors::pack(std::span<const float> m) const {
  Weights w;
  if (taps_ <= kSmallTaps && groups_ > 1) {
    w.plain.assign(m.begin(), m.end());
    return w;
  }
  for (std::size_t g = 0; g < groups_; ++g)
    w.packed.emplace_back(m.data() + g * rows_ * taps_, taps_, rows_, 1, taps_, pool_);
  return w;
}

void RowErrors::multiply(const Weights& w, const float* x, std::size_t count, float* y) const {
  const std::size_t pitch = groups_ * taps_;
  const std::size_t y_pitch = groups_ * rows_;
  for (std::size_t g = 0; g < w.packed.size(); ++g)
    w.packed[g].multiply(x + g * taps_, pitch, count, y + g * rows_, y_pitch);
  if (!w.packed.empty()) return;
  for (std::size_t r = 0; r < count; ++r)
    for (std::size_t n = 0; n < y_pitch; ++n) {
      const float* u = x + r * pitch + n / rows_ * taps_;
      const float* a = w.plain.data() + n * taps_;
      double sum = 0;
      for (std::size_t k = 0; k < taps_; ++k)
        sum += static_cast<double>(u[k]) * static_cast<double>(a[k]);
      y[r * y_pitch + n] = static_cast<float>(sum);
    }
}

double RowErrors::sum(
    const std::function<double(std::size_t first, std::size_t count)>& part) const {
  std::vector<double> parts((batch_ + kJudgedRows - 1) / kJudgedRows, 0.0);
  pool_.run(parts.size(), [&](std::size_t p) {
    const std::size_t first = p * kJudgedRows;
    parts[p] = part(first, std::min(kJudgedRows, batch_ - first));
  });
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

void RowErrors::add_candidate(std::span<const float> q) {
  candidates_.push_back(pack(q));
  noise_.push_back(0);
}

void RowErrors::start(std::span<const float> x) {
  const std::size_t width = groups_ * taps_, outputs = groups_ * rows_;
  batch_ = x.size() / width;
  y_.resize(batch_ * outputs);
  signal_ += sum([&](std::size_t first, std::size_t count) {
    const std::span<float> y = std::span(y_).subspan(first * outputs, count * outputs);
    multiply(weights_, x.data() + first * width, count, y.data());
    double squares = 0;
    for (const float v : y) squares += static_cast<double>(v) * static_cast<double>(v);
    return squares;
  });
}

void RowErrors::add(std::size_t c, const Rows& x_hat) {
  const std::size_t outputs = groups_ * rows_;
  noise_[c] += sum([&](std::size_t first, std::size_t count) {
    std::vector<float> room, z(count * outputs);
    multiply(candidates_[c], x_hat(first, count, room), count, z.data());
    const float* y = y_.data() + first * outputs;
    double squares = 0;
    for (std::size_t i = 0; i < z.size(); ++i) {
      const double e = static_cast<double>(y[i]) - static_cast<double>(z[i]);
      squares += e * e;
    }
    return squares;
  });
}

double RowErrors::error(std::size_t c) const { return noise_[c] / (signal_ + 1e-30); }

namespace {

struct Candidate {
  const char* how;
  std::vector<std::int8_t> codes;
  std::vector<float> scales;
};

}  // namespace

Result<Fit> fit_product(const FitInput& in, ThreadPool& pool) {
  const std::size_t size = in.weights.size();
  const std::size_t channels = in.groups * in.rows / in.share;
  const FitMoments& moments = *in.moments;
  const std::vector<FitMoments::Block>& blocks = moments.blocks();
  const std::vector<double> mean = moments.mean();
  const std::vector<double> mean_hat = moments.mean_hat();
  const PageVector<double> w(in.weights.begin(), in.weights.end());
  const AxisView view{1, channels, size / channels};

  PageVector<double> t(size);  // The refit target.
  std::vector<float> scales[2];
  std::vector<double> row_scales[2];
  std::vector<Candidate> candidates;
  const auto add_target = [&](std::size_t i, const PageVector<double>& target) -> Status {
    const PageVector<float> as_float(target.begin(), target.end());
    INTACT_ASSIGN(scales[i], choose_weight_scales(as_float, view, {}, 1.0f, in.options));
    for (std::size_t c = 0; c < in.least_scales.size(); ++c)
      if (const auto least = static_cast<float>(in.least_scales[c]); scales[i][c] < least)
        scales[i][c] = scale_above(least, in.options.scales);
    if (in.one_scale) share_scale(scales[i]);
    for (const float s : scales[i])
      row_scales[i].insert(row_scales[i].end(), in.share, static_cast<double>(s));
    Candidate& rounded = candidates.emplace_back();
    rounded.how = i == 0 ? "w/rne" : "refit/rne";
    rounded.scales = scales[i];
    rounded.codes.resize(size);
    pool.run(in.groups * in.rows, [&](std::size_t n) {
      for (std::size_t k = n * in.taps; k < (n + 1) * in.taps; ++k) {
        const double q = std::clamp(target[k] / row_scales[i][n], -127.0, 127.0);
        rounded.codes[k] = static_cast<std::int8_t>((q + 0x1.8p52) - 0x1.8p52);  // Half to even.
      }
    });
    return {};
  };

  // Both targets and their roundings with feedback, block by block: the moments of one are enough.
  const bool many = moments.parallel();
  const auto group_of = [&](auto& m, std::size_t g) {
    return std::span(m).subspan(g * in.rows * in.taps, in.rows * in.taps);
  };
  const auto for_blocks = [&](const std::function<void(std::size_t)>& task) {
    if (many)
      pool.run(blocks.size(), task);
    else
      for (std::size_t b = 0; b < blocks.size(); ++b) task(b);
  };
  ThreadPool* const inner = many ? nullptr : &pool;
  for_blocks([&](std::size_t b) {
    const FitMoments::Block& block = blocks[b];
    const PageVector<double> part =
        slice(std::span<const double>(group_of(w, block.group)), in.taps, block.begin, block.width);
    auto better = refit_weights(part, moments.second(b), moments.cross(b), kRidge, inner);
    // Nothing to solve (an input that is always zero): the weights stay.
    const PageVector<double>& result = better ? *better : part;
    put_slice<double>(result, in.taps, block.begin, block.width, group_of(t, block.group));
  });
  const std::array<const PageVector<double>*, 2> targets{&w, &t};
  for (const std::size_t i : {0u, 1u}) INTACT_TRY(add_target(i, *targets[i]));
  std::vector<std::int8_t> fed[2] = {std::vector<std::int8_t>(size),
                                     std::vector<std::int8_t>(size)};
  std::vector<std::uint8_t> failed(blocks.size(), 0);
  for_blocks([&](std::size_t b) {
    const FitMoments::Block& block = blocks[b];
    const auto rounding = FeedbackRounding::make(moments.second(b), block.width, {}, inner);
    failed[b] = rounding ? 0 : 1;
    for (std::size_t i = 0; i < 2 && failed[b] == 0; ++i) {
      const auto part = slice(std::span<const double>(group_of(*targets[i], block.group)), in.taps,
                              block.begin, block.width);
      std::vector<std::int8_t> q(part.size());
      const auto done = rounding->round(
          part, std::span(row_scales[i]).subspan(block.group * in.rows, in.rows), q, inner);
      if (!done) failed[b] = 1;
      put_slice<std::int8_t>(q, in.taps, block.begin, block.width, group_of(fed[i], block.group));
    }
  });
  if (std::count(failed.begin(), failed.end(), 0) == static_cast<std::ptrdiff_t>(blocks.size()))
    for (const std::size_t i : {0u, 1u})
      candidates.push_back(
          {i == 0 ? "w/feedback" : "refit/feedback", std::move(fed[i]), scales[i]});

  RowErrors errors(in.weights, in.groups, in.rows, in.taps, pool);
  for (const Candidate& c : candidates) {
    PageVector<float> real(size);
    pool.run(in.groups * in.rows, [&](std::size_t n) {
      for (std::size_t i = n * in.taps; i < (n + 1) * in.taps; ++i)
        real[i] = static_cast<float>(c.codes[i]) * c.scales[n / in.share];
    });
    errors.add_candidate(real);
  }
  INTACT_TRY(in.judge([&](std::span<float> x, std::span<float> x_hat) {
    if (in.has_bias) {
      centre(x, mean, pool);
      centre(x_hat, mean_hat, pool);
    }
    errors.start(x);
    const RowErrors::Rows there = [&](std::size_t first, std::size_t, auto&) {
      return x_hat.data() + first * in.groups * in.taps;
    };
    for (std::size_t c = 0; c < candidates.size(); ++c) errors.add(c, there);
  }));
  std::optional<std::size_t> winner;
  for (std::size_t c = 0; c < candidates.size(); ++c)
    if (errors.error(c) < (winner ? errors.error(*winner) : HUGE_VAL)) winner = c;
  if (!winner) return fail(ErrorCode::kInvalidArgument, "its input or its weights are not finite");
  Fit best;
  best.how = candidates[*winner].how;
  best.codes = std::move(candidates[*winner].codes);
  best.scales = std::move(candidates[*winner].scales);
  best.error = errors.error(*winner);
  best.rounded_error = errors.error(0);

  if (in.has_bias) {
    best.bias_change.assign(channels, 0.0);
    for (std::size_t n = 0; n < in.groups * in.rows; ++n) {
      const std::size_t g = n / in.rows;
      double change = 0;
      for (std::size_t k = 0; k < in.taps; ++k)
        change += w[n * in.taps + k] * mean[g * in.taps + k] -
                  static_cast<double>(best.codes[n * in.taps + k]) *
                      static_cast<double>(best.scales[n / in.share]) * mean_hat[g * in.taps + k];
      best.bias_change[n / in.share] += change / static_cast<double>(in.share);
    }
  }
  return best;
}

}  // namespace intact
