// Every row of the table against the definition: shuffles, joins, splits and picks at random, with
// and without tables, at widths around the vectors'.
#include "kernels/channels_u8.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/guarded_memory.h"

namespace intact {
namespace {

using Picks = std::vector<ChannelPick>;

// Runs the picks on every row, with a gap of `gap` bytes between the pixels of y.
void check(const Picks& picks, const std::vector<std::int32_t>& widths, std::int64_t pixels,
           std::int64_t gap = 0) {
  std::mt19937_64 rng(7);
  const auto random = [&](std::uint8_t* bytes, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) bytes[i] = static_cast<std::uint8_t>(rng());
  };
  std::vector<std::unique_ptr<Guarded<std::uint8_t>>> inputs;
  std::vector<const std::uint8_t*> in;
  std::vector<std::ptrdiff_t> strides;
  for (const std::int32_t width : widths) {
    inputs.push_back(std::make_unique<Guarded<std::uint8_t>>(pixels * width, 64));
    random(inputs.back()->data(), pixels * width);
    in.push_back(inputs.back()->data());
    strides.push_back(width);
  }
  std::vector<std::uint8_t> tables(3 * 256);
  random(tables.data(), 3 * 256);
  const auto channels = static_cast<std::int64_t>(picks.size());
  const std::int64_t bytes = pixels * (channels + gap) - gap;
  ChannelsU8Args args;
  args.in = in.data();
  args.in_pixel_bytes = strides.data();
  args.tables = tables.data();
  args.y_pixel_bytes = channels + gap;
  args.pixels = pixels;
  Guarded<std::uint8_t> want(bytes);
  args.y = want.data();
  channels_u8_ref(picks, args);
  for (const ChannelsU8Kernel* row : kernel_rows<ChannelsU8Kernel>()) {
    if (!isa_covers(detect_isa(), row->isa)) continue;
    SCOPED_TRACE(std::string(row->name));
    const ChannelProgram program = make_channel_program(picks, row->width);
    Guarded<std::uint8_t> got(bytes);
    args.y = got.data();
    args.program = &program;
    row->run(args);
    for (std::int64_t i = 0; i < bytes; ++i)
      ASSERT_EQ(int(got[i]), int(want[i])) << "byte " << i << " of " << picks.size() << " channels";
  }
}

constexpr std::int64_t kPixels[] = {1, 2, 3, 67};
constexpr std::int32_t kWidths[] = {1, 2, 15, 16, 17, 24, 31, 33, 58, 64, 65, 96, 130};

TEST(ChannelsU8, CopiesOneImage) {
  for (const std::int32_t n : kWidths)
    for (const std::int64_t pixels : kPixels)
      for (const std::int32_t table : {-1, 1}) {
        Picks picks;
        for (std::int32_t c = 0; c < n; ++c) picks.push_back({0, c, table});
        check(picks, {n}, pixels);
        check(picks, {n}, pixels, 5);
      }
}

TEST(ChannelsU8, JoinsImagesWithTablesOfTheirOwn) {
  for (const std::int32_t n : kWidths) {
    Picks picks;
    for (std::int32_t input = 0; input < 3; ++input)
      for (std::int32_t c = 0; c < n + input; ++c) picks.push_back({input, c, input - 1});
    check(picks, {n, n + 1, n + 2}, 19);
  }
}

TEST(ChannelsU8, ShufflesAndSplits) {
  for (const std::int32_t half : kWidths)
    for (const std::int32_t table : {-1, 0}) {
      // Two halves interleaved, and what leaves each third of that.
      Picks picks;
      for (std::int32_t c = 0; c < half; ++c) {
        picks.push_back({0, c, table});
        picks.push_back({1, c, -1});
      }
      check(picks, {half, half}, 11);
      Picks third;
      for (std::size_t c = 1; c < picks.size(); c += 3) third.push_back(picks[c]);
      if (!third.empty()) check(third, {half, half}, 11);
    }
}

TEST(ChannelsU8, PicksAnything) {
  std::mt19937_64 rng(3);
  for (int round = 0; round < 60; ++round) {
    const std::vector<std::int32_t> widths{1 + static_cast<std::int32_t>(rng() % 200),
                                           1 + static_cast<std::int32_t>(rng() % 20),
                                           1 + static_cast<std::int32_t>(rng() % 90)};
    Picks picks(1 + rng() % 150);
    for (ChannelPick& pick : picks) {
      pick.input = static_cast<std::int32_t>(rng() % 3);
      pick.channel = static_cast<std::int32_t>(
          rng() % static_cast<std::uint64_t>(widths[static_cast<std::size_t>(pick.input)]));
      pick.table = static_cast<std::int32_t>(rng() % 4) - 1;
    }
    check(picks, widths, 5, static_cast<std::int64_t>(rng() % 3));
  }
}

}  // namespace
}  // namespace intact
