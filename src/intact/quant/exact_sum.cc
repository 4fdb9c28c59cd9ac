#include "quant/exact_sum.h"

#include <bit>
#include <cmath>

#include "base/check.h"

namespace intact {
namespace {

constexpr int kLastBitExponent = -149;  // Bit 0 weighs 2^-149.
constexpr int kDoubleMantissaBits = 52;

}  // namespace

void ExactSum::add(double x) {
  if (x == 0.0) return;
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const int biased = static_cast<int>(bits >> kDoubleMantissaBits & 0x7FF);
  std::uint64_t mantissa = (bits & ((std::uint64_t{1} << kDoubleMantissaBits) - 1)) |
                           std::uint64_t{1} << kDoubleMantissaBits;
  // x = mantissa 2^(biased - 1075); its place counts from bit 0 of the sum.
  int place = biased - 1075 - kLastBitExponent;
  if (place < 0) {
    INTACT_CHECK(biased != 0 && place > -64 && (mantissa & ((std::uint64_t{1} << -place) - 1)) == 0,
                 "{} is not a multiple of 2^-149", x);
    mantissa >>= -place;
    place = 0;
  }
  INTACT_CHECK(biased != 0x7FF && place + kDoubleMantissaBits < 149 + 191,
               "{} is beyond the range of an exact sum", x);
  // 64 bits of the mantissa, shifted, span two limbs. Negative numbers subtract.
  const auto limb = static_cast<std::size_t>(place / 64);
  const int shift = place % 64;
  std::array<std::uint64_t, 6> term{};
  term[limb] = mantissa << shift;
  if (shift != 0 && limb + 1 < term.size()) term[limb + 1] = mantissa >> (64 - shift);
  const bool negative = bits >> 63 != 0;
  std::uint64_t carry = negative ? 1 : 0;
  for (std::size_t i = 0; i < limbs_.size(); ++i) {
    const std::uint64_t addend = negative ? ~term[i] : term[i];
    const std::uint64_t sum = limbs_[i] + addend;
    const std::uint64_t with_carry = sum + carry;
    carry = static_cast<std::uint64_t>(sum < addend) | static_cast<std::uint64_t>(with_carry < sum);
    limbs_[i] = with_carry;
  }
}

void ExactSum::add(const ExactSum& other) noexcept {
  std::uint64_t carry = 0;
  for (std::size_t i = 0; i < limbs_.size(); ++i) {
    const std::uint64_t sum = limbs_[i] + other.limbs_[i];
    const std::uint64_t with_carry = sum + carry;
    carry = static_cast<std::uint64_t>(sum < other.limbs_[i]) |
            static_cast<std::uint64_t>(with_carry < sum);
    limbs_[i] = with_carry;
  }
}

double ExactSum::value() const noexcept {
  std::array<std::uint64_t, 6> magnitude = limbs_;
  const bool negative = magnitude.back() >> 63 != 0;
  if (negative) {
    std::uint64_t carry = 1;
    for (auto& limb : magnitude) {
      limb = ~limb + carry;
      carry = carry != 0 && limb == 0 ? 1 : 0;
    }
  }
  const auto bit = [&](int i) {
    return i < 0
               ? 0u
               : static_cast<unsigned>(magnitude[static_cast<std::size_t>(i / 64)] >> (i % 64) & 1);
  };
  int top = 64 * 6 - 1;
  while (top >= 0 && bit(top) == 0) --top;
  if (top < 0) return 0.0;
  // The top 53 bits, then one rounding: half to even.
  const int last = top - kDoubleMantissaBits;
  std::uint64_t mantissa = 0;
  for (int i = top; i >= last; --i) mantissa = mantissa << 1 | bit(i);
  if (bit(last - 1) != 0) {
    bool above_half = (mantissa & 1) != 0;
    for (int i = last - 2; i >= 0 && !above_half; --i) above_half = bit(i) != 0;
    if (above_half) ++mantissa;
  }
  const double value = std::ldexp(static_cast<double>(mantissa), last + kLastBitExponent);
  return negative ? -value : value;
}

std::string ExactSum::to_hex() const {
  std::string text;
  for (std::size_t i = limbs_.size(); i-- > 0;) text += fmt::format("{:016x}", limbs_[i]);
  return text;
}

Result<ExactSum> ExactSum::from_hex(std::string_view text) {
  ExactSum sum;
  bool good = text.size() == 96;
  for (std::size_t i = 0; good && i < text.size(); ++i) {
    const char c = text[i];
    std::uint64_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<std::uint64_t>(c - 'a') + 10;
    } else {
      good = false;
    }
    auto& limb = sum.limbs_[5 - i / 16];
    limb = limb << 4 | digit;
  }
  if (!good) {
    return fail(ErrorCode::kInvalidArgument, "an exact sum is 96 hexadecimal digits in lower case");
  }
  return sum;
}

}  // namespace intact
