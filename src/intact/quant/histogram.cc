#include "quant/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "quant/vector_clones.h"

namespace intact {
namespace {

// Values are scanned and counted a block at a time, while the block is in the first-level cache.
constexpr std::size_t kBlock = 4096;
// Below this many values, counting straight into the 64-bit counters is cheaper than sub-counts.
constexpr std::size_t kDirectBelow = 2048;
// Values worth a task of their own.
constexpr std::size_t kTaskValues = std::size_t{1} << 17;

constexpr int kSubCounts = 4;
constexpr int kSlots = Histogram::kBins + 8;  // Slot kBins counts zeros; the rest is padding.

// Writes the slot of each value: (7), or kBins for a zero of either sign. Integer tests make the
// answer independent of denormals-are-zero.
INTACT_VECTOR_CLONES
void slots_of(const float* x, std::size_t n, float inv_width, std::int32_t* slots) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::int32_t>(x[i]);
    const std::int32_t magnitude = bits & 0x7FFFFFFF;
    float t = std::bit_cast<float>(magnitude) * inv_width;
    t = t < 1023.5f ? t : 1023.5f;
    const std::int32_t slot = Histogram::kHalf + (static_cast<std::int32_t>(t) ^ (bits >> 31));
    slots[i] = magnitude == 0 ? Histogram::kBins : slot;
  }
}

// Four 16-bit histograms, written in turn, so that equal neighbours do not wait for each other.
class SubCounts {
 public:
  void count(const float* x, std::size_t n, float inv_width) noexcept {
    std::int32_t slots[kBlock];
    slots_of(x, n, inv_width, slots);
    std::size_t i = 0;
    for (; i + 4 <= n; i += 4) {
      ++counts_[0][slots[i]];
      ++counts_[1][slots[i + 1]];
      ++counts_[2][slots[i + 2]];
      ++counts_[3][slots[i + 3]];
    }
    for (; i < n; ++i) ++counts_[0][slots[i]];
    pending_ += n;
  }

  // True when another block could overflow 16 bits.
  [[nodiscard]] bool full() const noexcept { return pending_ + kBlock > 65535; }

  void flush(Histogram& into) noexcept {
    if (pending_ == 0) return;
    for (int b = 0; b < Histogram::kBins; ++b) {
      into.counts[static_cast<std::size_t>(b)] +=
          static_cast<std::uint64_t>(counts_[0][b]) + counts_[1][b] + counts_[2][b] + counts_[3][b];
    }
    for (const auto& sub : counts_) into.zeros += sub[Histogram::kBins];
    for (auto& sub : counts_) std::fill_n(sub, kSlots, std::uint16_t{0});
    pending_ = 0;
  }

 private:
  std::uint16_t counts_[kSubCounts][kSlots] = {};
  std::size_t pending_ = 0;
};

float inverse_width(int exponent) noexcept { return std::ldexp(1.0f, -exponent); }

void count_directly(std::span<const float> x, Histogram& into) noexcept {
  std::int32_t slots[kBlock];
  const float inv_width = inverse_width(into.exponent);
  for (std::size_t at = 0; at < x.size(); at += kBlock) {
    const std::size_t n = std::min(kBlock, x.size() - at);
    slots_of(x.data() + at, n, inv_width, slots);
    for (std::size_t i = 0; i < n; ++i) {
      if (slots[i] == Histogram::kBins) {
        ++into.zeros;
      } else {
        ++into.counts[static_cast<std::size_t>(slots[i])];
      }
    }
  }
}

float absmax_of(const Extremes& e) noexcept { return std::max(-e.min, e.max); }

Extremes join(const Extremes& a, const Extremes& b) noexcept {
  return {std::min(a.min, b.min), std::max(a.max, b.max), a.finite && b.finite};
}

Extremes observe_serially(std::span<const float> x, Histogram& histogram) {
  if (x.size() < kDirectBelow) {
    const Extremes e = find_extremes(x);
    if (!e.finite) return e;
    histogram.widen(Histogram::exponent_for(absmax_of(e)));
    count_directly(x, histogram);
    return e;
  }
  SubCounts sub;
  Extremes all;
  for (std::size_t at = 0; at < x.size(); at += kBlock) {
    const auto block = x.subspan(at, std::min(kBlock, x.size() - at));
    const Extremes e = find_extremes(block);
    all = at == 0 ? e : join(all, e);
    if (!e.finite) return all;
    const int exponent = Histogram::exponent_for(absmax_of(e));
    if (sub.full() || exponent > histogram.exponent) {
      sub.flush(histogram);
      histogram.widen(exponent);
    }
    sub.count(block.data(), block.size(), inverse_width(histogram.exponent));
  }
  sub.flush(histogram);
  return all;
}

}  // namespace

double Histogram::width() const noexcept { return std::ldexp(1.0, exponent); }

std::uint64_t Histogram::total() const noexcept {
  std::uint64_t sum = zeros;
  for (const auto c : counts) sum += c;
  return sum;
}

int Histogram::exponent_for(float absmax) noexcept {
  if (absmax == 0.0f) return kMinExponent;
  return std::max(std::ilogb(absmax) - 9, kMinExponent);
}

void Histogram::widen(int new_exponent) noexcept {
  constexpr auto half = static_cast<std::size_t>(kHalf);
  const int steps = std::min(new_exponent - exponent, 10);  // Then all is in the two inner bins.
  for (int step = 0; step < steps; ++step) {
    for (std::size_t j = 0; j < half / 2; ++j) {
      counts[half + j] = counts[half + 2 * j] + counts[half + 2 * j + 1];
      counts[half - 1 - j] = counts[half - 1 - 2 * j] + counts[half - 2 - 2 * j];
    }
    for (std::size_t j = half / 2; j < half; ++j) counts[half + j] = counts[half - 1 - j] = 0;
  }
  exponent = std::max(exponent, new_exponent);
}

void Histogram::count(std::span<const float> x) noexcept {
  if (x.size() < kDirectBelow) return count_directly(x, *this);
  SubCounts sub;
  for (std::size_t at = 0; at < x.size(); at += kBlock) {
    if (sub.full()) sub.flush(*this);
    sub.count(x.data() + at, std::min(kBlock, x.size() - at), inverse_width(exponent));
  }
  sub.flush(*this);
}

void Histogram::merge(const Histogram& other) noexcept {
  if (other.exponent >= exponent) {
    widen(other.exponent);
    for (std::size_t b = 0; b < counts.size(); ++b) counts[b] += other.counts[b];
    zeros += other.zeros;
    return;
  }
  Histogram wider = other;
  wider.widen(exponent);
  merge(wider);
}

Extremes find_extremes(std::span<const float> x) noexcept {
  // Four independent chains of four lanes; every supported processor has vectors of 16 bytes.
  using Floats = float __attribute__((vector_size(16)));
  using Words = std::uint32_t __attribute__((vector_size(16)));
  constexpr std::size_t kChains = 4;
  constexpr std::size_t kStep = 4 * kChains;
  Floats low[kChains];
  Floats high[kChains];
  Words bad[kChains] = {};  // Bit 31: an exponent of all ones was seen.
  for (std::size_t c = 0; c < kChains; ++c) low[c] = high[c] = Floats{x[0], x[0], x[0], x[0]};
  const float* p = x.data();
  const std::size_t whole = x.size() / kStep * kStep;
  for (std::size_t i = 0; i < whole; i += kStep) {
    for (std::size_t c = 0; c < kChains; ++c) {
      Floats v;
      std::memcpy(&v, p + i + 4 * c, sizeof v);
      low[c] = v < low[c] ? v : low[c];
      high[c] = v > high[c] ? v : high[c];
      bad[c] |= (reinterpret_cast<Words>(v) & 0x7FFFFFFFu) + 0x00800000u;
    }
  }
  Extremes e{x[0], x[0], true};
  std::uint32_t any_bad = 0;
  for (std::size_t c = 0; c < kChains; ++c) {
    for (int l = 0; l < 4; ++l) {
      e.min = std::min(e.min, low[c][l]);
      e.max = std::max(e.max, high[c][l]);
      any_bad |= bad[c][l];
    }
  }
  for (std::size_t i = whole; i < x.size(); ++i) {
    e.min = p[i] < e.min ? p[i] : e.min;
    e.max = p[i] > e.max ? p[i] : e.max;
    any_bad |= (std::bit_cast<std::uint32_t>(p[i]) & 0x7FFFFFFFu) + 0x00800000u;
  }
  e.finite = any_bad >> 31 == 0;
  e.min += 0.0f;  // -0 becomes +0: which zero a minimum finds would depend on the order.
  e.max += 0.0f;
  return e;
}

Extremes observe_values(std::span<const float> x, Histogram& histogram, ThreadPool* pool) {
  if (x.empty()) return {};
  const std::size_t tasks = pool == nullptr
                                ? 1
                                : std::min<std::size_t>(static_cast<std::size_t>(pool->threads()),
                                                        (x.size() + kTaskValues - 1) / kTaskValues);
  if (tasks <= 1) return observe_serially(x, histogram);
  std::vector<Histogram> parts(tasks);
  std::vector<Extremes> extremes(tasks);
  const std::size_t share = (x.size() + tasks - 1) / tasks;
  pool->run(tasks, [&](std::size_t t) {
    // Equal widths from the start spare most parts the widening.
    parts[t].exponent = histogram.exponent;
    const std::size_t from = std::min(t * share, x.size());
    extremes[t] = observe_serially(x.subspan(from, std::min(share, x.size() - from)), parts[t]);
  });
  Extremes all = extremes[0];
  for (std::size_t t = 0; t < tasks; ++t) {
    histogram.merge(parts[t]);
    all = join(all, extremes[t]);
  }
  return all;
}

}  // namespace intact
