// result.h: a value, or the reason why there is none.
//
// Everything that the world can get wrong (a model, an option, a file, an operator that is not
// supported) travels as Result<T>. Exceptions are for our own bugs only (base/check.h).
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace intact {

enum class ErrorCode {
  kInvalidArgument,  // The caller's value is outside its limits.
  kInvalidModel,     // The model contradicts the ONNX specification or itself.
  kUnsupported,      // Legal, but not something that intact does.
  kIo,               // A file could not be read or written.
  kDataMismatch,     // A sample does not fit the model.
  kInterrupted,      // The caller asked to stop.
};

// What went wrong, as one sentence that names the thing, the limit and the remedy.
struct Error {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string message;
  std::string where;  // Context, outermost first, e.g. "model.onnx: node 'conv3'". May be empty.

  // Returns "where: message", or the message alone.
  [[nodiscard]] std::string text() const {
    return where.empty() ? message : where + ": " + message;
  }

  // Prepends one level of context.
  [[nodiscard]] Error with_context(std::string_view outer) const {
    Error e = *this;
    e.where = where.empty() ? std::string(outer) : std::string(outer) + ": " + where;
    return e;
  }
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message), {}});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace intact

// INTACT_TRY(expr): returns the error of a Result from the enclosing function.
#define INTACT_TRY(...)                                                       \
  do {                                                                        \
    if (auto intact_try_ = (__VA_ARGS__); !intact_try_)                       \
      return tl::unexpected<::intact::Error>(std::move(intact_try_).error()); \
  } while (false)

// INTACT_ASSIGN(const auto x, expr): declares x from a Result, or returns its error.
#define INTACT_CONCAT_INNER(a, b) a##b
#define INTACT_CONCAT(a, b) INTACT_CONCAT_INNER(a, b)
#define INTACT_ASSIGN(declaration, ...)                              \
  auto INTACT_CONCAT(intact_result_, __LINE__) = (__VA_ARGS__);      \
  if (!INTACT_CONCAT(intact_result_, __LINE__))                      \
    return tl::unexpected<::intact::Error>(                          \
        std::move(INTACT_CONCAT(intact_result_, __LINE__)).error()); \
  declaration = *std::move(INTACT_CONCAT(intact_result_, __LINE__))
