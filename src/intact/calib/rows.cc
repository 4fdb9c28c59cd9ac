#include "calib/rows.h"

#include <algorithm>

namespace intact {
namespace {

constexpr std::size_t kRowsATap = 16;
constexpr std::size_t kLeastRows = 1024;
constexpr std::size_t kMostFloats = std::size_t{8} << 20;  // Of one site.

}  // namespace

Result<std::shared_ptr<RowStore>> RowStore::create(const Placement& placement,
                                                   const RowPlan& plan) {
  INTACT_ASSIGN(TempFile file, TempFile::create());
  auto store = std::shared_ptr<RowStore>(new RowStore(std::move(file), plan.samples));
  const auto n = static_cast<std::size_t>(plan.samples);
  std::int64_t end = 0;
  for (const GemmSite& site : placement.sites) {
    const std::size_t width = site.groups * site.taps;
    const std::size_t all = std::min(std::clamp(kRowsATap * site.taps, kLeastRows, plan.most),
                                     std::max<std::size_t>(1, kMostFloats / width));
    const std::size_t rows = (all + n - 1) / n;
    store->sites_.push_back({rows, width, end, std::vector<std::uint32_t>(n, 0)});
    end += static_cast<std::int64_t>(rows * n * width * sizeof(float));
  }
  return store;
}

std::int64_t RowStore::offset(std::size_t site, std::int64_t sample) const {
  const Site& s = sites_[site];
  return s.offset + sample * static_cast<std::int64_t>(s.rows * s.width * sizeof(float));
}

Status RowStore::put(std::size_t site, std::int64_t sample, const float* rows, std::size_t count) {
  Site& s = sites_[site];
  s.counts[static_cast<std::size_t>(sample)] = static_cast<std::uint32_t>(count);
  return file_.write(offset(site, sample), std::as_bytes(std::span(rows, count * s.width)));
}

std::size_t RowStore::count(std::size_t site, std::int64_t sample) const {
  return sites_[site].counts[static_cast<std::size_t>(sample)];
}

Status RowStore::get(std::size_t site, std::int64_t sample, float* rows) const {
  return file_.read(offset(site, sample),
                    std::as_writable_bytes(std::span(rows, count(site, sample) * width(site))));
}

}  // namespace intact
