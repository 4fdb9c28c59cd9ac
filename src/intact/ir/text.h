// text.h: how names, strings and numbers are spelled in .qir text and in messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/tensor.h"

namespace intact {

// Returns the text in double quotes. Valid UTF-8 stays; quotes, backslashes, control characters and
// bytes that are not UTF-8 become \" \\ \n \t \xNN, so the result is always printable.
std::string quoted(std::string_view text);

// Returns the text with the same escapes and without quotes, cut after `limit` bytes with "...".
// For names inside messages, which may come from hostile files.
std::string printable(std::string_view text, std::size_t limit = 200);

// True when a name may stand without quotes after % or @: letters, digits and _ . / $ - only.
bool is_bare_name(std::string_view name) noexcept;
// True for [A-Za-z_][A-Za-z0-9_]* with dots inside: a symbol, an operator, a domain, a key.
bool is_identifier(std::string_view text) noexcept;

// Returns the shortest text that reads back to the same number; NaNs other than the usual one as
// their bits (0x7f800001).
std::string number_text(float x);
std::string number_text(double x);

// Returns element i. Requires a defined tensor of a fixed-width type.
std::string element_text(const Tensor& t, std::int64_t i);

// Reads what element_text wrote into element i. Returns false when the text is not a number of the
// tensor's type or out of its range.
bool store_element(Tensor& t, std::int64_t i, std::string_view text);

// FNV-1a, 64 bits: equal bytes, equal hash, on every machine. Not for adversaries.
std::uint64_t hash_of(std::span<const std::byte> bytes) noexcept;

}  // namespace intact
