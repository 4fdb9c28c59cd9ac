// libFuzzer: arbitrary bytes as .qir text. Whatever is accepted prints to a text that is its own
// fixed point.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace intact;
  const ParseOptions options{.max_constant_bytes = std::size_t{1} << 18};
  const auto graph =
      parse_graph(std::string_view(reinterpret_cast<const char*>(data), size), options);
  if (!graph) {
    INTACT_CHECK(graph.error().where.starts_with("line "), "an error without a place");
    return 0;
  }
  (void)verify(*graph);  // May refuse it, must not crash.
  (void)print_graph(*graph);
  const PrintOptions all{.inline_elements = kPrintAllElements};
  const std::string text = print_graph(*graph, all);
  const auto again = parse_graph(text);
  INTACT_CHECK(again, "printed, but {}", again.error().text());
  INTACT_CHECK(print_graph(*again, all) == text, "the text form does not round-trip");
  return 0;
}
