// contact_sheet.h: the pictures that a model receives, small and side by side, as a PNG.
//
// Values are shown as the model gets them: the smallest of the sheet is black and the largest
// white, in the order of the channels. A swapped channel, a wrong mean or a missing scale shows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "intact/result.h"

namespace intact {

// Where the channels of a picture-like tensor are.
struct PictureLayout {
  std::int64_t height = 0, width = 0, channels = 0;
  bool channels_last = false;
};
// A tensor [1, C, H, W] or [1, H, W, C] with 1, 3 or 4 channels; nothing for others. The first axis
// may hold more: the first picture counts.
std::optional<PictureLayout> picture_layout(std::span<const std::int64_t> shape);

class ContactSheet {
 public:
  static constexpr std::size_t kMaxPictures = 64;

  // Adds a picture, scaled down to a thumbnail. False when the sheet is full or `picture` is none.
  bool add(const Tensor& picture, const std::string& label);

  [[nodiscard]] bool empty() const noexcept { return thumbs_.empty(); }

  // Returns the bytes of the PNG. Requires at least one picture.
  [[nodiscard]] Result<std::string> png() const;

 private:
  struct Thumb {
    std::int64_t height = 0, width = 0;
    std::vector<float> rgb;
    std::string label;
  };
  std::vector<Thumb> thumbs_;
};

}  // namespace intact
