#include "base/page_vector.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>

#include "base/buffer.h"

namespace intact {
namespace {

// Whether there is memory at that address.
bool is_mapped(const void* at) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char state = 0;
  return mincore(reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(at) / page * page), 1,
                 &state) == 0;
}

TEST(PageVector, IsAlignedAndHoldsItsElementsAtEverySize) {
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{4096}, (std::size_t{128} << 10) - 1, std::size_t{128} << 10,
        (std::size_t{2} << 20) - 1, std::size_t{2} << 20, (std::size_t{5} << 20) + 4097}) {
    PageVector<std::uint8_t> x(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(x.data()) % kAlignBytes, 0u) << bytes;
    EXPECT_EQ(std::count(x.begin(), x.end(), 0), static_cast<std::ptrdiff_t>(bytes));
    std::iota(x.begin(), x.end(), std::uint8_t{1});
    const PageVector<std::uint8_t> copy = x;
    x.push_back(7);  // Moves it.
    EXPECT_TRUE(std::equal(copy.begin(), copy.end(), x.begin())) << bytes;
  }
}

TEST(PageVector, GivesLargeBlocksBack) {
  for (const std::size_t bytes : {std::size_t{128} << 10, (std::size_t{5} << 20) + 4097}) {
    auto x = std::make_unique<PageVector<std::byte>>(bytes);
    const std::byte* const first = x->data();
    const std::byte* const last = first + bytes - 1;
    EXPECT_TRUE(is_mapped(first) && is_mapped(last));
    x.reset();
    EXPECT_FALSE(is_mapped(first) || is_mapped(last)) << bytes;
  }
}

}  // namespace
}  // namespace intact
