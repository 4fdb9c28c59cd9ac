// engine_test_util.h: for tests: an engine from a graph's text, and what it answers.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "ir/parse.h"
#include "runtime/engine.h"

namespace intact {

inline std::unique_ptr<Engine> engine_of(const char* text, const EngineOptions& options) {
  auto graph = parse_graph(text);
  EXPECT_TRUE(graph.has_value()) << (graph ? "" : graph.error().text());
  return std::make_unique<Engine>(std::move(*graph), options);
}
inline std::unique_ptr<Engine> engine_of(const char* text, int threads = 1) {
  return engine_of(text, EngineOptions{.threads = threads});
}

inline std::vector<float> floats(const Tensor& t) {
  const auto v = t.values<float>();
  return {v.begin(), v.end()};
}

}  // namespace intact
