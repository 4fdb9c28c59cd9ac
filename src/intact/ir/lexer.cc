#include "ir/lexer.h"

#include <fmt/format.h>

#include "ir/text.h"

namespace intact {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word(char c) { return is_letter(c) || is_digit(c) || c == '.'; }
bool is_name(char c) { return is_word(c) || c == '/' || c == '$' || c == '-'; }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

tl::unexpected<Error> fail_at(const Token& token, std::string message) {
  return fail(Error{ErrorCode::kInvalidArgument, std::move(message),
                    fmt::format("line {}, column {}", token.line, token.column)});
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case Token::Kind::kEnd:
      return "the end of the text";
    case Token::Kind::kString:
      return fmt::format("the string \"{}\"", printable(token.text, 40));
    case Token::Kind::kValue:
      return fmt::format("'%{}'", printable(token.text, 40));
    case Token::Kind::kNode:
      return fmt::format("'@{}'", printable(token.text, 40));
    default:
      return fmt::format("'{}'", printable(token.text, 40));
  }
}

void Lexer::skip_blanks() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '/' && text_.substr(at_).starts_with("//")) {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    } else if (is_blank(c)) {
      ++at_;
      if (c == '\n') {
        ++line_;
        line_start_ = at_;
      }
    } else {
      return;
    }
  }
}

char Lexer::peek() {
  skip_blanks();
  return at_ < text_.size() ? text_[at_] : '\0';
}

Result<std::string> Lexer::string_body(const Token& at) {
  std::string out;
  for (++at_; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '"') {
      ++at_;
      return out;
    }
    if (c == '\n') break;
    if (c != '\\') {
      out += c;
      continue;
    }
    const char escape = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (escape == 'x' && at_ + 3 < text_.size()) {
      const int high = hex_value(text_[at_ + 2]);
      const int low = hex_value(text_[at_ + 3]);
      if (high < 0 || low < 0) return fail_at(at, "\\x in a string needs two hexadecimal digits");
      out += static_cast<char>(high * 16 + low);
      at_ += 3;
      continue;
    }
    if (escape == 'n') {
      out += '\n';
    } else if (escape == 't') {
      out += '\t';
    } else if (escape == '"' || escape == '\\') {
      out += escape;
    } else {
      return fail_at(at, "a string has an escape other than \\\" \\\\ \\n \\t \\xNN");
    }
    ++at_;
  }
  return fail_at(at, "a string without its closing quote on the same line");
}

Result<Token> Lexer::next() {
  skip_blanks();
  Token token;
  token.offset = at_;
  token.line = line_;
  token.column = static_cast<int>(at_ - line_start_) + 1;
  if (at_ >= text_.size()) return token;
  const char c = text_[at_];
  const auto take_while = [&](bool (*wanted)(char)) {
    const std::size_t start = at_;
    while (at_ < text_.size() && wanted(text_[at_])) ++at_;
    return std::string(text_.substr(start, at_ - start));
  };
  if (c == '"') {
    token.kind = Token::Kind::kString;
    INTACT_ASSIGN(token.text, string_body(token));
    return token;
  }
  if (c == '%' || c == '@') {
    token.kind = c == '%' ? Token::Kind::kValue : Token::Kind::kNode;
    ++at_;
    if (at_ < text_.size() && text_[at_] == '"') {
      INTACT_ASSIGN(token.text, string_body(token));
    } else {
      token.text = take_while(is_name);
      if (token.text.empty()) return fail_at(token, fmt::format("'{}' without a name", c));
    }
    return token;
  }
  if (is_letter(c)) {
    token.kind = Token::Kind::kWord;
    token.text = take_while(is_word);
    return token;
  }
  if (is_digit(c) || c == '-' || c == '.') {
    token.kind = Token::Kind::kNumber;
    const std::size_t start = at_++;
    while (at_ < text_.size()) {
      const bool hex = text_.substr(start).starts_with("0x");
      const char before = text_[at_ - 1];
      const bool sign =
          (text_[at_] == '-' || text_[at_] == '+') && !hex && (before == 'e' || before == 'E');
      if (!is_word(text_[at_]) && !sign) break;
      ++at_;
    }
    token.text = std::string(text_.substr(start, at_ - start));
    return token;
  }
  if (std::string_view("(){}[]<>,:=|?*").find(c) != std::string_view::npos) {
    token.kind = Token::Kind::kPunct;
    token.text = c;
    ++at_;
    return token;
  }
  return fail_at(token, fmt::format("unexpected character '{}'", printable(text_.substr(at_, 1))));
}

}  // namespace intact
