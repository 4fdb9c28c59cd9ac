#include "calib/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "base/round.h"
#include "calib/decisions.h"
#include "quant/rounding.h"

namespace intact {
namespace {

constexpr double kRidge = 0.02;
constexpr std::size_t kSmallTaps = 64;  // Grouped products up to here take plain loops.

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

void centre(std::vector<float>& x, std::span<const double> mean) {
  for (std::size_t r = 0; r < x.size(); r += mean.size())
    for (std::size_t c = 0; c < mean.size(); ++c) x[r + c] -= static_cast<float>(mean[c]);
}

std::vector<double> to_doubles(std::span<const float> x) { return {x.begin(), x.end()}; }

// sum_r a[r, i] b[r, j] over columns [begin, begin + width) of both, [width, width].
Result<std::vector<double>> moment(std::span<const float> a, std::span<const float> b,
                                   std::size_t pitch, std::size_t begin, std::size_t width,
                                   MatrixEngine& engine) {
  if (width > kSmallTaps) {
    INTACT_ASSIGN(const Tensor c, engine.product(columns_transposed(a, pitch, begin, width),
                                                 columns(b, pitch, begin, width)));
    return to_doubles(c.values<float>());
  }
  std::vector<double> sum(width * width, 0.0);
  const std::size_t rows = a.size() / pitch;
  for (std::size_t r = 0; r < rows; ++r) {
    const float* u = a.data() + r * pitch + begin;
    const float* v = b.data() + r * pitch + begin;
    for (std::size_t i = 0; i < width; ++i)
      for (std::size_t j = 0; j < width; ++j)
        sum[i * width + j] += static_cast<double>(u[i]) * static_cast<double>(v[j]);
  }
  return sum;
}

void symmetrize(std::vector<double>& h, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j)
      h[i * n + j] = h[j * n + i] = (h[i * n + j] + h[j * n + i]) / 2;
}

// A copy of columns [begin, begin + width) of one group's matrix [rows, taps].
template <class T>
std::vector<T> slice(std::span<const T> m, std::size_t taps, std::size_t begin, std::size_t width) {
  std::vector<T> out;
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

// Subtracts per-column values; returns the columns' sums afterwards.
void add_shifted(std::vector<float>& x, std::span<const double> shift, std::vector<double>& sum) {
  for (std::size_t r = 0; r < x.size(); r += shift.size())
    for (std::size_t c = 0; c < shift.size(); ++c) {
      x[r + c] -= static_cast<float>(shift[c]);
      sum[c] += static_cast<double>(x[r + c]);
    }
}

void add_to(std::vector<double>& total, const std::vector<double>& part) {
  for (std::size_t i = 0; i < total.size(); ++i) total[i] += part[i];
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

Status FitMoments::add(std::vector<float>& x, std::vector<float>& x_hat, MatrixEngine& engine,
                       ThreadPool& pool) {
  if (x.empty()) return {};
  if (rows_ == 0) {
    // Rounded to float, so that subtracting them is the same everywhere.
    shift_ = centred_ ? column_means(x, pitch_) : std::vector<double>(pitch_, 0.0);
    shift_hat_ = centred_ ? column_means(x_hat, pitch_) : std::vector<double>(pitch_, 0.0);
    for (auto* shift : {&shift_, &shift_hat_})
      for (double& s : *shift) s = static_cast<double>(static_cast<float>(s));
  }
  rows_ += x.size() / pitch_;
  add_shifted(x, shift_, sum_);
  add_shifted(x_hat, shift_hat_, sum_hat_);
  std::vector<Status> status(blocks_.size());
  const auto one = [&](std::size_t b) -> Status {
    const Block& block = blocks_[b];
    const std::size_t at = block.group * taps_ + block.begin;
    INTACT_ASSIGN(const auto h, moment(x_hat, x_hat, pitch_, at, block.width, engine));
    add_to(second_[b], h);
    INTACT_ASSIGN(const auto c, moment(x, x_hat, pitch_, at, block.width, engine));
    add_to(cross_[b], c);
    return {};
  };
  if (parallel())
    pool.run(blocks_.size(), [&](std::size_t b) { status[b] = one(b); });
  else
    for (std::size_t b = 0; b < blocks_.size(); ++b) status[b] = one(b);
  for (const Status& s : status) INTACT_TRY(s);
  return {};
}

std::vector<double> FitMoments::mean_of(const std::vector<double>& shift,
                                        const std::vector<double>& sum) const {
  std::vector<double> mean(pitch_, 0.0);
  if (!centred_ || rows_ == 0) return mean;
  for (std::size_t c = 0; c < pitch_; ++c) mean[c] = shift[c] + sum[c] / static_cast<double>(rows_);
  return mean;
}

// sum (u - mean u)(v - mean v) = sum u v - (sum u)(sum v) / rows
std::vector<double> FitMoments::around_means(const std::vector<double>& moment, std::size_t b,
                                             const std::vector<double>& left) const {
  std::vector<double> m = moment;
  if (!centred_) return m;
  const Block& block = blocks_[b];
  const std::size_t at = block.group * taps_ + block.begin;
  for (std::size_t i = 0; i < block.width; ++i)
    for (std::size_t j = 0; j < block.width; ++j)
      m[i * block.width + j] -= left[at + i] * sum_hat_[at + j] / static_cast<double>(rows_);
  return m;
}

std::vector<double> FitMoments::second(std::size_t b) const {
  std::vector<double> h = around_means(second_[b], b, sum_hat_);
  symmetrize(h, blocks_[b].width);
  return h;
}
std::vector<double> FitMoments::cross(std::size_t b) const {
  return around_means(cross_[b], b, sum_);
}

Result<RowError> row_error(std::span<const float> x, std::span<const float> m,
                           std::span<const float> x_hat, std::span<const float> q,
                           std::size_t groups, std::size_t rows, std::size_t taps,
                           MatrixEngine& engine, ThreadPool& pool) {
  const std::size_t pitch = groups * taps;
  const std::size_t count = x.size() / pitch;
  std::vector<RowError> by_group(groups);
  if (taps > kSmallTaps || groups == 1) {
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t at = g * rows * taps;
      const Tensor mt = columns_transposed(m.subspan(at, rows * taps), taps, 0, taps);
      const Tensor qt = columns_transposed(q.subspan(at, rows * taps), taps, 0, taps);
      INTACT_ASSIGN(const Tensor y, engine.product(columns(x, pitch, g * taps, taps), mt));
      INTACT_ASSIGN(const Tensor z, engine.product(columns(x_hat, pitch, g * taps, taps), qt));
      const auto a = y.values<float>();
      const auto b = z.values<float>();
      for (std::size_t i = 0; i < a.size(); ++i) {
        const double e = static_cast<double>(a[i]) - static_cast<double>(b[i]);
        by_group[g].signal += static_cast<double>(a[i]) * static_cast<double>(a[i]);
        by_group[g].noise += e * e;
      }
    }
  } else {
    pool.run(groups, [&](std::size_t g) {
      RowError& sum = by_group[g];
      for (std::size_t r = 0; r < count; ++r)
        for (std::size_t n = 0; n < rows; ++n) {
          const float* u = x.data() + r * pitch + g * taps;
          const float* v = x_hat.data() + r * pitch + g * taps;
          const float* a = m.data() + (g * rows + n) * taps;
          const float* b = q.data() + (g * rows + n) * taps;
          double y = 0, z = 0;
          for (std::size_t k = 0; k < taps; ++k) {
            y += static_cast<double>(u[k]) * static_cast<double>(a[k]);
            z += static_cast<double>(v[k]) * static_cast<double>(b[k]);
          }
          sum.signal += y * y;
          sum.noise += (y - z) * (y - z);
        }
    });
  }
  RowError total;
  for (const RowError& e : by_group) {
    total.signal += e.signal;
    total.noise += e.noise;
  }
  return total;
}

Result<Fit> fit_product(FitInput& in, MatrixEngine& engine, ThreadPool& pool) {
  const std::size_t size = in.weights.size();
  const std::size_t channels = in.groups * in.rows / in.share;
  const FitMoments& moments = *in.moments;
  const std::vector<FitMoments::Block>& blocks = moments.blocks();
  const std::vector<double> mean = moments.mean();
  const std::vector<double> mean_hat = moments.mean_hat();
  if (in.has_bias) {
    centre(in.x_judge, mean);
    centre(in.x_hat_judge, mean_hat);
  }

  // Targets: W and the refit T.
  const std::vector<double> w = to_doubles(in.weights);
  std::vector<double> t(size);
  const bool many = moments.parallel();
  std::vector<Status> status(blocks.size());
  const auto group_of = [&](auto& m, std::size_t g) {
    return std::span(m).subspan(g * in.rows * in.taps, in.rows * in.taps);
  };
  const auto for_blocks = [&](const std::function<Status(std::size_t)>& task) {
    if (many)
      pool.run(blocks.size(), [&](std::size_t b) { status[b] = task(b); });
    else
      for (std::size_t b = 0; b < blocks.size(); ++b) status[b] = task(b);
  };
  for_blocks([&](std::size_t b) -> Status {
    const FitMoments::Block& block = blocks[b];
    const std::vector<double> part =
        slice(std::span<const double>(group_of(w, block.group)), in.taps, block.begin, block.width);
    auto better =
        refit_weights(part, moments.second(b), moments.cross(b), kRidge, many ? nullptr : &pool);
    // Nothing to solve (an input that is always zero): the weights stay.
    const std::vector<double>& result = better ? *better : part;
    put_slice<double>(result, in.taps, block.begin, block.width, group_of(t, block.group));
    return {};
  });

  const AxisView view{1, channels, size / channels};
  Fit best;
  best.error = HUGE_VAL;
  const std::array<std::pair<const char*, const std::vector<double>*>, 2> targets{
      {{"w", &w}, {"refit", &t}}};
  for (const auto& [name, target] : targets) {
    const std::vector<float> as_float(target->begin(), target->end());
    INTACT_ASSIGN(std::vector<float> scales,
                  choose_weight_scales(as_float, view, {}, 1.0f, in.options));
    for (std::size_t c = 0; c < in.least_scales.size(); ++c)
      scales[c] = std::max(scales[c], static_cast<float>(in.least_scales[c]));
    if (in.one_scale) share_scale(scales);
    std::vector<double> row_scales;
    for (const float s : scales)
      row_scales.insert(row_scales.end(), in.share, static_cast<double>(s));
    for (const bool feedback : {false, true}) {
      std::vector<std::int8_t> codes(size);
      if (!feedback) {
        for (std::size_t i = 0; i < size; ++i)
          codes[i] = static_cast<std::int8_t>(
              std::clamp(round_half_even((*target)[i] / row_scales[i / in.taps]), -127.0, 127.0));
      } else {
        const auto round = [&](std::size_t b) -> Status {
          const FitMoments::Block& block = blocks[b];
          const auto part = slice(std::span<const double>(group_of(*target, block.group)), in.taps,
                                  block.begin, block.width);
          std::vector<std::int8_t> q(part.size());
          INTACT_TRY(round_with_feedback(
              part, std::span(row_scales).subspan(block.group * in.rows, in.rows),
              moments.second(b), q, {}, many ? nullptr : &pool));
          put_slice<std::int8_t>(q, in.taps, block.begin, block.width,
                                 group_of(codes, block.group));
          return {};
        };
        for_blocks(round);
        bool rounded = true;
        for (const Status& s : status) rounded &= s.has_value();
        if (!rounded) continue;
      }
      std::vector<float> real(size);
      for (std::size_t i = 0; i < size; ++i)
        real[i] = static_cast<float>(static_cast<double>(codes[i]) * row_scales[i / in.taps]);
      INTACT_ASSIGN(const RowError e, row_error(in.x_judge, in.weights, in.x_hat_judge, real,
                                                in.groups, in.rows, in.taps, engine, pool));
      const double error = e.noise / (e.signal + 1e-30);
      const std::string how = fmt::format("{}/{}", name, feedback ? "feedback" : "rne");
      if (how == "w/rne") best.rounded_error = error;
      if (!(error < best.error)) continue;
      best.error = error;
      best.how = how;
      best.codes = std::move(codes);
      best.scales = scales;
    }
  }
  if (best.codes.empty())
    return fail(ErrorCode::kInvalidArgument, "its input or its weights are not finite");

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
