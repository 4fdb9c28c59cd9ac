#include "kernels/channels_u8.h"

#include <algorithm>

namespace intact {
namespace {

constexpr std::uint8_t kNone = 0x80;

// The terms of lanes [at, at + size): each takes the first lane left and all that its window
// reaches.
void add_block(std::span<const ChannelPick> picks, std::int32_t at, std::int32_t size,
               std::int32_t width, ChannelProgram& program) {
  ChannelProgram::Block block{at, size, static_cast<std::int32_t>(program.terms.size()),
                              0,  -1,   false};
  std::vector<const ChannelPick*> left;
  for (const ChannelPick& pick :
       picks.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(size)))
    left.push_back(&pick);
  const auto taken = [](const ChannelPick* pick) { return pick == nullptr; };
  while (!std::all_of(left.begin(), left.end(), taken)) {
    const ChannelPick& lead = **std::find_if_not(left.begin(), left.end(), taken);
    const auto same_window = [&](const ChannelPick* pick) {
      return pick != nullptr && pick->input == lead.input && pick->table == lead.table;
    };
    std::int32_t offset = lead.channel;
    for (const ChannelPick* pick : left)
      if (same_window(pick)) offset = std::min(offset, pick->channel);
    program.terms.push_back(
        {lead.input, offset, lead.table, static_cast<std::int32_t>(program.controls.size())});
    for (std::int32_t lane = 0; lane < width; ++lane) {
      std::uint8_t control = kNone;
      if (lane < size) {
        const ChannelPick*& pick = left[static_cast<std::size_t>(lane)];
        if (same_window(pick) && pick->channel < offset + width) {
          control = static_cast<std::uint8_t>(pick->channel - offset);
          pick = nullptr;
        }
      }
      program.controls.push_back(control);
    }
    ++block.count;
  }
  const auto terms = std::span(program.terms).subspan(static_cast<std::size_t>(block.first));
  const std::int32_t table = terms[0].table;
  block.mixed = std::any_of(terms.begin(), terms.end(),
                            [&](const ChannelProgram::Term& t) { return t.table != table; });
  if (!block.mixed) block.table = table;
  program.blocks.push_back(block);
}

}  // namespace

ChannelProgram make_channel_program(std::span<const ChannelPick> picks, std::int32_t width) {
  ChannelProgram program;
  const auto channels = static_cast<std::int32_t>(picks.size());
  program.channels = channels;
  // The last block ends with the pixel and overlaps the one before.
  for (std::int32_t at = 0; at < channels; at += width) {
    const std::int32_t size = std::min(width, channels);
    add_block(picks, std::min(at, channels - size), size, width, program);
  }
  return program;
}

void channels_u8_ref(std::span<const ChannelPick> picks, const ChannelsU8Args& args) {
  for (std::int64_t p = 0; p < args.pixels; ++p)
    for (std::size_t j = 0; j < picks.size(); ++j) {
      const ChannelPick& pick = picks[j];
      const std::uint8_t code =
          args.in[pick.input][p * args.in_pixel_bytes[pick.input] + pick.channel];
      args.y[p * args.y_pixel_bytes + static_cast<std::ptrdiff_t>(j)] =
          pick.table < 0 ? code : args.tables[pick.table * 256 + code];
    }
}

}  // namespace intact
