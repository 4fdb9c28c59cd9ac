// lexer.h: .qir text as tokens that know their line and column.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "intact/result.h"

namespace intact {

struct Token {
  enum class Kind : std::uint8_t {
    kEnd,
    kWord,    // [A-Za-z_][A-Za-z0-9_.]*
    kNumber,  // Starts with a digit, '-' or '.': 1, -0.5, 1e-07, 0x7fc00001, -inf
    kString,  // "..." with escapes; `text` holds the bytes meant.
    kValue,   // %name; `text` holds the name.
    kNode,    // @name
    kPunct,   // One of ( ) { } [ ] < > , : = | ? *
  };
  Kind kind = Kind::kEnd;
  std::string text;
  std::size_t offset = 0;  // Of the first byte.
  int line = 1;            // Both from 1; columns count bytes.
  int column = 1;

  [[nodiscard]] bool is(Kind k, std::string_view t) const { return kind == k && text == t; }
  [[nodiscard]] bool is_punct(char c) const {
    return kind == Kind::kPunct && text.size() == 1 && text[0] == c;
  }
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  // Reads the next token. Errors: kInvalidArgument with "line L, column C" as context: a character
  // that starts no token, a string without end, an unknown escape.
  Result<Token> next();

  // The next character after blanks, without taking it; '\0' at the end.
  [[nodiscard]] char peek();

 private:
  void skip_blanks();
  Result<std::string> string_body(const Token& at);

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::size_t line_start_ = 0;
};

// An error at a token.
[[nodiscard]] tl::unexpected<Error> fail_at(const Token& token, std::string message);

// How a message names a token: `'Conv'`, `the end of the text`.
std::string describe(const Token& token);

}  // namespace intact
