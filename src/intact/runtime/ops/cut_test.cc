#include "runtime/ops/cut.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace intact {
namespace {

TEST(Cut, CoversEverythingInEvenPartsOfWholeUnits) {
  for (std::int64_t size = 0; size <= 60; ++size)
    for (const std::int64_t wanted : {1, 2, 3, 7, 64})
      for (const std::int64_t unit : {1, 4, 6}) {
        const Cut cut = Cut::of(size, wanted, unit);
        std::int64_t at = 0;
        std::int64_t least = size;
        for (std::int64_t part = 0; part < cut.parts; ++part) {
          ASSERT_EQ(cut.begin(part), at);
          ASSERT_TRUE(cut.end(part) > at || size == 0);
          ASSERT_TRUE(at % unit == 0);
          least = std::min(least, cut.end(part) - at);
          at = cut.end(part);
        }
        ASSERT_EQ(at, size);
        ASSERT_LE(cut.parts, wanted);
        // One unit more or less, and a last one that is not full.
        ASSERT_LT(cut.largest() - least, 2 * unit);
      }
}

TEST(ProductCut, CoversEveryTileOnce) {
  for (const std::int64_t rows : {1, 3, 49, 100, 196, 1000})
    for (const std::int64_t panels : {1, 3, 8, 128})
      for (const std::int64_t wanted : {1, 2, 8, 12}) {
        const ProductCut cut = ProductCut::of({rows, panels, 256, 256, wanted}, wanted, 6, 4);
        std::vector<int> hits(static_cast<std::size_t>(rows * panels), 0);
        for (std::int64_t t = 0; t < cut.tasks(); ++t)
          for (std::int64_t r = cut.rows.begin(cut.row_part(t)); r < cut.rows.end(cut.row_part(t));
               ++r)
            for (std::int64_t p = cut.panels.begin(cut.panel_part(t));
                 p < cut.panels.end(cut.panel_part(t)); ++p)
              ++hits[static_cast<std::size_t>(r * panels + p)];
        for (const int n : hits) ASSERT_EQ(n, 1);
        ASSERT_LE(cut.tasks(), wanted);
      }
}

TEST(ProductCut, ManyRowsAreCutByRowsAndFewByPanels) {
  EXPECT_EQ(ProductCut::of({784, 4, 256, 256, 2}, 2, 6, 4).panels.parts, 1);
  EXPECT_EQ(ProductCut::of({128, 96, 256, 256, 2}, 2, 6, 4).panels.parts, 1);
  EXPECT_EQ(ProductCut::of({49, 128, 256, 256, 2}, 2, 6, 4).panels.parts, 1);
  EXPECT_EQ(ProductCut::of({4, 128, 2048, 2048, 2}, 2, 6, 4).panels.parts, 2);
  EXPECT_EQ(ProductCut::of({1, 64, 256, 256, 4}, 4, 6, 4).panels.parts, 4);
  EXPECT_EQ(ProductCut::of({4, 128, 2048, 2048, 2}, 2, 6, 4, false).panels.parts, 1);
  // Windows that overlap bring fewer elements, and a thread's tasks of the same rows bring them
  // once.
  EXPECT_EQ(ProductCut::of({49, 32, 9 * 512, 512, 2}, 8, 8, 3).panels.parts, 8);
  EXPECT_EQ(ProductCut::of({3136, 4, 9 * 64, 64, 2}, 8, 8, 3).panels.parts, 1);
  // Results that stay where the next step wants them.
  EXPECT_EQ(ProductCut::of({9, 16, 128, 128, 2, 3}, 2, 6, 2).panels.parts, 1);
  EXPECT_EQ(ProductCut::of({9, 16, 128, 128, 2, 3, 4}, 2, 6, 2).panels.parts, 2);
  EXPECT_EQ(ProductCut::of({9, 17, 128, 128, 2, 3, 4}, 2, 6, 2).panels.unit, 4);
  EXPECT_EQ(ProductCut::of({196, 24, 64, 64, 2, 14, 4}, 2, 6, 4).panels.parts, 1);
}

}  // namespace
}  // namespace intact
