// f32_test_util.h: for tests of float kernels: the rows to try, hard inputs, byte comparison.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "kernels/cpu_features.h"
#include "kernels/guarded_memory.h"
#include "kernels/kernel_table.h"

namespace intact {

inline constexpr float kInfF = std::numeric_limits<float>::infinity();
inline constexpr float kNanF = std::numeric_limits<float>::quiet_NaN();

// The rows that this machine executes; the last is the scalar one, which the others must equal.
template <class Kernel>
std::vector<const Kernel*> rows_here() {
  std::vector<const Kernel*> rows;
  for (const Kernel* row : kernel_rows<Kernel>())
    if (isa_covers(detect_isa(), row->isa)) rows.push_back(row);
  return rows;
}

enum class Inputs { kNormal, kHard };  // kHard: one in eight is NaN, infinite, zero or denormal.

inline void fill(std::span<float> x, std::uint32_t seed, Inputs kind = Inputs::kNormal) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const float hard[] = {kNanF, kInfF, -kInfF, 0.0f, -0.0f, 1e-40f, -1e-45f, 3e38f, -kNanF, 1e-38f};
  for (float& v : x) {
    v = normal(random);
    if (kind == Inputs::kHard && random() % 8 == 0) v = hard[random() % std::size(hard)];
  }
}

inline std::uint32_t bits_of(float x) {
  std::uint32_t b;
  std::memcpy(&b, &x, sizeof b);
  return b;
}

inline void expect_same_bytes(std::span<const float> got, std::span<const float> want,
                              const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (bits_of(got[i]) != bits_of(want[i])) {
      FAIL() << what << ": element " << i << " is " << got[i] << " (" << std::hex << bits_of(got[i])
             << "), the scalar row has " << want[i] << " (" << bits_of(want[i]) << ")";
    }
  }
}

}  // namespace intact
