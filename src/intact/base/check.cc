#include "base/check.h"

#include <string_view>

namespace intact {

void throw_internal_error(const char* file, int line, const std::string& what) {
  std::string_view path = file;
  if (const auto at = path.rfind("src/intact/"); at != std::string_view::npos)
    path.remove_prefix(at);
  throw InternalError(fmt::format("internal error at {}:{}: {}", path, line, what));
}

}  // namespace intact
