// channels_u8.inl.h: channels_u8.h over an ISA vocabulary (isa/scalar.h defines the words).
//
// A block of the pixel is made for a run of pixels that stays in the first-level cache, so that
// what it takes (controls, a table) stays in registers; then the next block.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/channels_u8.h"

namespace intact {

template <class Isa>
struct ChannelsU8 {
  using Block = ChannelProgram::Block;
  using Term = ChannelProgram::Term;
  static constexpr std::int64_t kWidth = Isa::kPickBytes;
  static constexpr std::int64_t kPixels = Isa::kPickPixels;
  static constexpr std::int64_t kRunBytes = 16384;
  enum class Tables { kNone, kOne, kMixed };

  // What one term takes, ready for use.
  struct Taken {
    const std::uint8_t* in;
    std::ptrdiff_t step;
    typename Isa::PickControl control;
    typename Isa::PickTable table{};
    bool has_table;

    Taken() = default;
    Taken(const ChannelsU8Args& a, const Term& t) noexcept
        : in(a.in[t.input] + t.offset),
          step(a.in_pixel_bytes[t.input]),
          control(Isa::load_control(a.program->controls.data() + t.control)),
          has_table(t.table >= 0) {}
  };

  // One block of pixels [begin, end). kTerms: how many terms, 0 for any number.
  template <int kTerms, Tables kTables>
  static void run_block(const ChannelsU8Args& a, const Block& b, std::int64_t begin,
                        std::int64_t end) noexcept {
    const Term* terms = a.program->terms.data() + b.first;
    Taken taken[kTerms > 0 ? kTerms : 1];
    for (int t = 0; t < kTerms; ++t) {
      taken[t] = Taken(a, terms[t]);
      if (kTables == Tables::kMixed && taken[t].has_table)
        taken[t].table = Isa::load_table(a.tables + terms[t].table * 256);
    }
    typename Isa::PickTable table{};
    if constexpr (kTables == Tables::kOne) table = Isa::load_table(a.tables + b.table * 256);
    std::uint8_t* y = a.y + b.at;
    // Where the block is the whole pixel, what is stored past it is overwritten by the next one;
    // not so the last pixels of the call.
    const bool may_pass = b.size == kWidth || a.y_pixel_bytes == b.size;
    const std::int64_t exact_from = b.size == kWidth ? end
                                    : may_pass       ? a.pixels - (kWidth - 1) / b.size
                                                     : 0;
    const auto take = [&](const Taken& t, std::int64_t p, std::ptrdiff_t second) {
      auto x = Isa::load_picks(t.in + p * t.step, second * t.step);
      if (kTables == Tables::kMixed && t.has_table) x = Isa::look_up(x, t.table);
      return Isa::pick(x, t.control);
    };
    const auto make = [&](std::int64_t p, std::ptrdiff_t second, std::int64_t size) {
      auto v = Isa::no_picks();
      if constexpr (kTerms > 0) {
#pragma GCC unroll 4
        for (int t = 0; t < kTerms; ++t)
          v = t == 0 ? take(taken[t], p, second) : Isa::join(v, take(taken[t], p, second));
      } else {
        for (int t = 0; t < b.count; ++t) {
          Taken any(a, terms[t]);
          if (any.has_table && kTables == Tables::kMixed)
            any.table = Isa::load_table(a.tables + terms[t].table * 256);
          v = Isa::join(v, take(any, p, second));
        }
      }
      if constexpr (kTables == Tables::kOne) v = Isa::look_up(v, table);
      Isa::store_picks(y + p * a.y_pixel_bytes, second * a.y_pixel_bytes, v, size);
    };
    std::int64_t p = begin;
    for (const std::int64_t last = std::min(end, exact_from); p + kPixels <= last; p += kPixels)
      make(p, 1, kWidth);
    for (; p < end; ++p) make(p, 0, b.size);
  }

  template <Tables kTables>
  static void run_block(const ChannelsU8Args& a, const Block& b, std::int64_t begin,
                        std::int64_t end) noexcept {
    switch (b.count) {
      case 1:
        return run_block<1, kTables>(a, b, begin, end);
      case 2:
        return run_block<2, kTables>(a, b, begin, end);
      case 3:
        return run_block<3, kTables>(a, b, begin, end);
      case 4:
        return run_block<4, kTables>(a, b, begin, end);
      default:
        return run_block<0, kTables>(a, b, begin, end);
    }
  }

  static void run(const ChannelsU8Args& a) {
    std::int64_t bytes = a.program->channels;
    for (const Term& t : a.program->terms)
      bytes = std::max<std::int64_t>(bytes, a.in_pixel_bytes[t.input]);
    const std::int64_t run = std::max<std::int64_t>(kPixels, kRunBytes / (2 * bytes));
    for (std::int64_t p = 0; p < a.pixels; p += run) {
      const std::int64_t end = std::min(a.pixels, p + run);
      for (const Block& b : a.program->blocks) {
        if (b.mixed)
          run_block<Tables::kMixed>(a, b, p, end);
        else if (b.table >= 0)
          run_block<Tables::kOne>(a, b, p, end);
        else
          run_block<Tables::kNone>(a, b, p, end);
      }
    }
  }
};

}  // namespace intact
