// rows.h: rows of the float network's products, kept in a temporary file while it is observed, for
// the fits that come after (lockstep.h): so the float network runs once.
//
// A site gets rows in proportion to its taps, up to some thousand, the same number from each of the
// first samples.
#pragma once

#include <memory>
#include <vector>

#include "calib/placement.h"
#include "calib/temp_file.h"

namespace intact {

struct RowPlan {
  std::int64_t samples = 0;
  std::size_t most = 0;  // Rows of a site, all samples together.
};

class RowStore {
 public:
  // Errors: those of TempFile.
  static Result<std::shared_ptr<RowStore>> create(const Placement& placement, const RowPlan& plan);

  [[nodiscard]] std::int64_t samples() const noexcept { return samples_; }
  // Rows that a sample may have, and their width.
  [[nodiscard]] std::size_t rows_a_sample(std::size_t site) const { return sites_[site].rows; }
  [[nodiscard]] std::size_t width(std::size_t site) const { return sites_[site].width; }

  // Keeps `count` rows of a sample. Samples may come from several threads. Errors: kIo.
  Status put(std::size_t site, std::int64_t sample, const float* rows, std::size_t count);
  // The number of rows kept.
  [[nodiscard]] std::size_t count(std::size_t site, std::int64_t sample) const;
  // Writes them. Errors: kIo.
  Status get(std::size_t site, std::int64_t sample, float* rows) const;

 private:
  struct Site {
    std::size_t rows, width;
    std::int64_t offset;                // Bytes.
    std::vector<std::uint32_t> counts;  // By sample.
  };
  RowStore(TempFile file, std::int64_t samples) : file_(std::move(file)), samples_(samples) {}
  [[nodiscard]] std::int64_t offset(std::size_t site, std::int64_t sample) const;

  TempFile file_;
  std::int64_t samples_;
  std::vector<Site> sites_;
};

}  // namespace intact
