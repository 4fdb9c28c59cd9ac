// gemm_pack.inl.h: where gemm_u8s8.inl.h finds things, and B in the order in which it reads.
//
// B lies in panels of 16 columns, each one stream [K / kStepK][16][kStepK]. Few columns (up to 8,
// up to 24 of a long K) are slim where the vocabulary can: a panel is two streams [K / 8][8][8]
// then, the halves of its columns. 24 columns by 8 k are three vectors, where panels have four; and
// a register of A, the same for all of them, is 8 k long instead of 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/gemm_u8s8.h"

namespace intact {

// Where things are, as functions of the shape alone.
template <class Isa>
struct GemmLayout {
  static constexpr std::int64_t kStepBytes = std::int64_t{kPanelCols} * Isa::kStepK;
  static constexpr std::int32_t kBlockUnit = Isa::kMaxPanels > 1 ? 24 : Isa::kTileM[1];
  static constexpr std::int64_t kBlockMax = 96;  // Rows of A worked on together: a multiple of
                                                 // every tile height,
  static constexpr std::int64_t kBlockRest = 6;  // and up to that many more than one block has.
  static constexpr std::int64_t kBlockBytes = 24 << 10;   // Of A a block, about: stays in L1.
  static constexpr std::int64_t kChunkBytes = 448 << 10;  // Of B worked on together: stays in L2.
  static constexpr bool kCanSlim = requires { typename Isa::Eights; };
  static constexpr int kSlimCols = 8, kSlimK = 8;
  static constexpr std::int64_t kMostSlimCols = 24;
  static constexpr std::int64_t kLongK =
      128;  // Of 9 columns or more: worth sums of lanes at the end.

  bool strip;
  bool slim;
  std::int64_t taps;       // Of the K loop: 1 with a strip.
  std::int64_t tap_k;      // Elements per tap of the K loop.
  std::int64_t tap_steps;  // kStepK (kSlimK) steps per tap of the K loop.

  explicit GemmLayout(const GemmShape& s) noexcept
      : strip(Isa::kAlwaysStrip ||
              (s.taps > 1 && 3 * ((s.k_per_tap + 3) / 4 * 4) > 4 * s.k_per_tap)),
        slim(kCanSlim && (s.n <= kSlimCols || (s.n <= kMostSlimCols && s.k() >= kLongK))),
        taps(strip ? 1 : s.taps),
        tap_k(strip ? s.k() : s.k_per_tap),
        tap_steps((tap_k + step_k() - 1) / step_k()) {}

  [[nodiscard]] int step_k() const noexcept { return slim ? kSlimK : Isa::kStepK; }
  [[nodiscard]] std::int64_t tap_bytes() const noexcept {
    return tap_steps * step_k() * Isa::kElemBytes;
  }
  // Bytes from one stream to the next. Streams are one step apart in the cache's sets: equal
  // strides of 4 KiB would collide.
  [[nodiscard]] std::int64_t stream_bytes() const noexcept {
    const std::int64_t bytes = taps * tap_steps * kStepBytes;
    return bytes % 512 == 0 ? bytes + 64 : (bytes + 63) / 64 * 64;
  }
  [[nodiscard]] std::int64_t panel_bytes() const noexcept {
    return slim ? 2 * stream_bytes() : stream_bytes();
  }
  // Bytes from one strip row to the next: what may be written too far, and an odd number of lines.
  [[nodiscard]] std::int64_t strip_pitch() const noexcept {
    return ((tap_bytes() + 2 * 64 + 63) / 64 * 64) | 64;
  }
  // Rows worked on together. They all share one pass over a chunk of B.
  [[nodiscard]] std::int64_t block_rows() const noexcept {
    constexpr std::int64_t kUnit = kBlockUnit;
    const std::int64_t row_bytes = strip ? strip_pitch() : taps * tap_bytes();
    const std::int64_t fit = kBlockBytes / (row_bytes > 0 ? row_bytes : 1) / kUnit * kUnit;
    return fit < kUnit ? kUnit : fit > kBlockMax ? kBlockMax / kUnit * kUnit : fit;
  }
  [[nodiscard]] std::int64_t chunk_panels() const noexcept {
    const std::int64_t fit = kChunkBytes / (panel_bytes() > 0 ? panel_bytes() : 1);
    return fit < Isa::kMaxPanels ? Isa::kMaxPanels : fit / Isa::kMaxPanels * Isa::kMaxPanels;
  }

  static constexpr int kHeldRows = 24;  // Of accumulators: at least one tile.

  // Scratch: row pointers, row sums, held accumulators, the strip.
  static constexpr std::int64_t kBlockRoom = (kBlockMax + kBlockRest + 15) / 16 * 16;
  static constexpr std::size_t kSumsAt = kBlockRoom * sizeof(void*);
  static constexpr std::size_t kAccAt = kSumsAt + kBlockRoom * 4;
  static constexpr std::size_t kStripAt = kAccAt + std::size_t{kHeldRows} * 4 * kPanelCols * 4;
  [[nodiscard]] std::size_t scratch_bytes() const noexcept {
    return kStripAt + (strip ? std::size_t((block_rows() + kBlockRest) * strip_pitch()) : 0);
  }
};

// B in that order, and what packing says about it.
template <class Isa>
struct GemmPack {
  using Layout = GemmLayout<Isa>;

  static std::size_t packed_bytes(const GemmShape& s) {
    return static_cast<std::size_t>(panels_of(s.n) * Layout(s).panel_bytes());
  }

  static void pack_b(const GemmShape& s, const GemmBSource& src, std::int64_t panel_begin,
                     std::int64_t panel_end, std::int8_t* packed, const GemmBStats& stats) {
    const Layout l(s);
    for (std::int64_t p = panel_begin; p < panel_end; ++p) {
      std::int8_t* panel = packed + p * l.panel_bytes();
      const std::int64_t n = p * kPanelCols;
      if constexpr (Layout::kCanSlim) {
        if (l.slim) {
          using Slim = Stream<Layout::kSlimCols, Layout::kSlimK>;
          Slim::pack(s, l, src, n, panel, stats);
          Slim::pack(s, l, src, n + Slim::kCols, panel + l.stream_bytes(), stats);
          continue;
        }
      }
      Stream<kPanelCols, Isa::kStepK>::pack(s, l, src, n, panel, stats);
    }
  }

  // One stream: steps of kCols columns by kK consecutive k.
  template <int kC, int kK>
  struct Stream {
    static constexpr int kCols = kC;
    static constexpr int kStepBytes = kCols * kK;
    using Word = std::conditional_t<(kK > 4), std::uint64_t, std::uint32_t>;

    // Packs the stream that begins with column n0.
    static void pack(const GemmShape& s, const Layout& l, const GemmBSource& src, std::int64_t n0,
                     std::int8_t* to, const GemmBStats& stats) noexcept {
      const std::int64_t left = s.n - n0;
      const int cols = static_cast<int>(left < 0 ? 0 : left < kCols ? left : kCols);
      const auto* b = static_cast<const std::uint8_t*>(src.b) + n0 * src.n_bytes;
      if (s.taps == 1 || !l.strip || s.k_per_tap % kK == 0)
        pack_steps(s, l, src, b, cols, to);
      else
        pack_bytes(s, l, src, b, cols, to);
      if (src.is_unsigned) flip(l, cols, to);
      count(s, l, src, n0, cols, to, stats);
    }

    // Whole steps: the kK bytes of a column are gathered and stored at once.
    static void pack_steps(const GemmShape& s, const Layout& l, const GemmBSource& src,
                           const std::uint8_t* b, int cols, std::int8_t* to) noexcept {
      const std::int64_t steps = (s.k_per_tap + kK - 1) / kK;
      std::int8_t* out = to;
      for (std::int64_t tap = 0; tap < s.taps; ++tap) {
        const std::uint8_t* from = b + tap * src.tap_bytes;
        for (std::int64_t i = 0; i < steps; ++i, out += kStepBytes) {
          const std::int64_t k = i * kK;
          const std::uint8_t* at = from + k * src.k_bytes;
          if (s.k_per_tap - k < kK)
            pack_step(at, src, static_cast<int>(s.k_per_tap - k), cols, out);
          else if (src.n_bytes == 1 && cols == kCols)
            pack_rows(at, src.k_bytes, out);
          else if (src.k_bytes == 1)
            for (int col = 0; col < cols; ++col)
              std::memcpy(out + col * kK, at + col * src.n_bytes, kK);
          else
            pack_step(at, src, kK, cols, out);
          if (cols < kCols)
            std::memset(out + cols * kK, 0, static_cast<std::size_t>(kCols - cols) * kK);
        }
      }
      std::memset(out, 0, static_cast<std::size_t>(l.stream_bytes() - (out - to)));
    }
    // `count` <= kK consecutive k of each column; the rest of the step is 0.
    static void pack_step(const std::uint8_t* at, const GemmBSource& src, int count, int cols,
                          std::int8_t* out) noexcept {
      for (int col = 0; col < cols; ++col) {
        std::uint8_t step[kK] = {};
        for (int i = 0; i < count; ++i) step[i] = at[i * src.k_bytes + col * src.n_bytes];
        std::memcpy(out + col * kK, step, kK);
      }
    }
    // The columns of a step lie side by side: interleaves kK rows.
    static void pack_rows(const std::uint8_t* at, std::ptrdiff_t k_bytes,
                          std::int8_t* out) noexcept {
      Word words[kCols] = {};
      for (int i = 0; i < kK; ++i)
        for (int col = 0; col < kCols; ++col)
          words[col] |= static_cast<Word>(at[i * k_bytes + col]) << (8 * i);
      for (int col = 0; col < kCols; ++col) {
        if constexpr (kK == sizeof(Word))
          std::memcpy(out + kK * col, &words[col], kK);
        else
          for (int i = 0; i < kK; ++i)
            out[col * kK + i] = static_cast<std::int8_t>(words[col] >> (8 * i));
      }
    }
    // Taps that are not whole steps follow each other without padding.
    static void pack_bytes(const GemmShape& s, const Layout& l, const GemmBSource& src,
                           const std::uint8_t* b, int cols, std::int8_t* to) noexcept {
      std::memset(to, 0, static_cast<std::size_t>(l.stream_bytes()));
      for (int col = 0; col < cols; ++col)
        for (std::int64_t i = 0; i < s.k(); ++i) {
          const std::uint8_t code = b[i / s.k_per_tap * src.tap_bytes +
                                      i % s.k_per_tap * src.k_bytes + col * src.n_bytes];
          to[i / kK * kStepBytes + col * kK + i % kK] = static_cast<std::int8_t>(code);
        }
    }
    // u8 to s8: subtracts 128 from what is not padding.
    static void flip(const Layout& l, int cols, std::int8_t* to) noexcept {
      for (std::int64_t tap = 0; tap < l.taps; ++tap)
        for (std::int64_t step = 0; step < l.tap_steps; ++step) {
          std::int8_t* p = to + (tap * l.tap_steps + step) * kStepBytes;
          const std::int64_t left = l.tap_k - step * kK;
          if (left >= kK) {
            for (int i = 0; i < cols * kK; ++i) p[i] = static_cast<std::int8_t>(p[i] ^ -128);
          } else {
            for (int i = 0; i < cols * kK; ++i)
              if (i % kK < left) p[i] = static_cast<std::int8_t>(p[i] ^ -128);
          }
        }
    }
    // The statistics of a packed stream.
    static void count(const GemmShape& s, const Layout& l, const GemmBSource& src, std::int64_t n0,
                      int cols, const std::int8_t* packed, const GemmBStats& stats) noexcept {
      const std::int32_t shift = src.is_unsigned ? 128 : 0;
      std::int32_t zb[kStepBytes] = {};
      for (int i = 0; i < cols * kK; ++i)
        zb[i] = (src.zb != nullptr ? src.zb[n0 + i / kK] : src.zb_all) - shift;
      std::int32_t sum[kStepBytes] = {};
      std::int32_t sum_abs[kStepBytes] = {};
      const std::int64_t steps = l.taps * l.tap_steps;
      for (std::int64_t step = 0; step < steps; ++step, packed += kStepBytes) {
        if (stats.sum_abs != nullptr)
          for (int i = 0; i < kStepBytes; ++i) {
            const std::int32_t d = packed[i] - zb[i];
            sum_abs[i] += d < 0 ? -d : d;
          }
        for (int i = 0; i < kStepBytes; ++i) sum[i] += packed[i];
      }
      // Padding steps are 0: they count in neither sum of codes, but as |zb| in the other.
      const auto k = static_cast<std::int32_t>(s.k());
      const auto padding = static_cast<std::int32_t>(steps * kK) - k;
      for (int col = 0; col < kCols; ++col) {
        const std::int32_t z = zb[col * kK];
        std::int32_t total = -k * z;
        std::int32_t total_abs = -padding * (z < 0 ? -z : z);
        for (int i = col * kK; i < (col + 1) * kK; ++i) {
          total += sum[i];
          total_abs += sum_abs[i];
        }
        stats.colsum[n0 + col] = total;
        if (stats.sum_abs != nullptr) stats.sum_abs[n0 + col] = total_abs;
        if (stats.zb != nullptr) stats.zb[n0 + col] = z;
      }
    }
  };

  static void make_init(const GemmShape& s, const std::int32_t* bias, std::int32_t za,
                        const std::int32_t* colsum, std::int32_t* init) {
    const std::int64_t padded = padded_n(s.n);
    const auto z = static_cast<std::uint32_t>(za - Isa::kAOffset);
    for (std::int64_t n = 0; n < padded; ++n)
      init[n] = static_cast<std::int32_t>(0u - z * static_cast<std::uint32_t>(colsum[n]));
    if (bias == nullptr) return;
    for (std::int64_t n = 0; n < s.n; ++n)
      init[n] = static_cast<std::int32_t>(static_cast<std::uint32_t>(init[n]) +
                                          static_cast<std::uint32_t>(bias[n]));
  }
};

}  // namespace intact
