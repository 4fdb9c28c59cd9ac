// libFuzzer: arbitrary bytes as an ONNX file. Whatever is accepted must be a graph that verify()
// accepts, that survives the way to text and back, and to ONNX and back.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/check.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "onnx/export.h"
#include "onnx/import.h"
#include "onnx/lift_payloads.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace intact;
  const auto bytes_in = std::as_bytes(std::span(data, size));
  static_cast<void>(lift_payloads(bytes_in));
  const auto graph = import_onnx(bytes_in);
  if (!graph) {
    INTACT_CHECK(!graph.error().text().empty(), "an error without words");
    return 0;
  }
  const Status ok = verify(*graph);
  INTACT_CHECK(ok, "imported, but {}", ok.error().text());

  const PrintOptions all{.inline_elements = kPrintAllElements};
  const std::string text = print_graph(*graph, all);
  const auto parsed = parse_graph(text);
  INTACT_CHECK(parsed, "printed, but {}", parsed.error().text());
  INTACT_CHECK(print_graph(*parsed, all) == text, "the text form does not round-trip");

  const auto bytes = export_onnx(*graph);
  if (!bytes) {
    INTACT_CHECK(bytes.error().code == ErrorCode::kUnsupported, "{}", bytes.error().text());
    return 0;
  }
  const auto again = import_onnx(std::as_bytes(std::span(bytes->data(), bytes->size())));
  INTACT_CHECK(again, "exported, but {}", again.error().text());
  return 0;
}
