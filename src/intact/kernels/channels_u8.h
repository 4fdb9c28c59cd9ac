// channels_u8.h: channels of pixels, picked from several images into one and requantized.
//
//   y[p, j] = table_j[x_j[p, c_j]]      for every pixel p; x_j one of the inputs, table_j may be
//   none
//
// Concat, Split, Slice and shuffles of channels, and whatever they compose to, are this. A pixel of
// y is made in blocks of `width` bytes, each from a few windows of `width` bytes of the inputs by
// byte permutation: a ChannelProgram says which. Inputs may be read up to 64 bytes past their last
// pixel; y is written exactly and must not overlap an input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/cpu_features.h"
#include "kernels/kernel_table.h"

namespace intact {

// Where one channel of y comes from.
struct ChannelPick {
  std::int32_t input = 0;
  std::int32_t channel = 0;
  std::int32_t table = -1;  // -1: the code as it is.
  bool operator==(const ChannelPick&) const = default;
};

struct ChannelProgram {
  // Bytes of a window of an input's pixel: lane l takes byte control[l], or none when it is 0x80.
  struct Term {
    std::int32_t input;
    std::int32_t offset;   // The window's first byte within the pixel.
    std::int32_t table;    // Applied to the window; -1: none.
    std::int32_t control;  // Where its lanes are in `controls`.
  };
  // Bytes [at, at + size) of y's pixel: the union of its terms. Blocks may overlap.
  struct Block {
    std::int32_t at;
    std::int32_t size;  // The width, or all of a narrower pixel.
    std::int32_t first;
    std::int32_t count;
    std::int32_t table;  // Applied to the union, when all its terms share one; -1: none.
    bool mixed;          // Terms have tables of their own.
  };
  std::vector<Block> blocks;
  std::vector<Term> terms;
  std::vector<std::uint8_t> controls;
  std::int64_t channels = 0;
};

// Returns the program of a pixel of picks.size() channels for kernels of this width.
ChannelProgram make_channel_program(std::span<const ChannelPick> picks, std::int32_t width);

struct ChannelsU8Args {
  const ChannelProgram* program = nullptr;  // For the row's width.
  const std::uint8_t* const* in = nullptr;  // Pixel 0 of each input.
  const std::ptrdiff_t* in_pixel_bytes = nullptr;
  const std::uint8_t* tables = nullptr;  // [..][256]
  std::uint8_t* y = nullptr;
  std::ptrdiff_t y_pixel_bytes = 0;
  std::int64_t pixels = 0;
};

struct ChannelsU8Kernel {
  std::string_view name;
  IsaLevel isa;
  std::int32_t width;
  void (*run)(const ChannelsU8Args& args);
};

template <>
std::span<const ChannelsU8Kernel* const> kernel_rows<ChannelsU8Kernel>() noexcept;

// The definition: y as the equation above says.
void channels_u8_ref(std::span<const ChannelPick> picks, const ChannelsU8Args& args);

}  // namespace intact
