// layer_shapes.h: for tests and benchmarks: the real problems in bench/shapes/*.txt (written by
// bench/shapes.py, which explains a line).
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/conv_rows.h"

namespace intact {

struct LayerShape {
  std::string op;    // "conv", "dwconv" or "gemm"
  std::string text;  // The line without its count.
  WindowGeometry window;
  std::int64_t c = 0, n = 0;  // Channels in and out.
  std::int64_t m = 0, k = 0;  // gemm
  [[nodiscard]] std::int64_t macs() const {
    if (op == "gemm") return m * k * n;
    return window.out_h * window.out_w * window.kernel_h * window.kernel_w * c *
           (op == "conv" ? n : 1);
  }
};

inline LayerShape parse_layer_shape(const std::string& line) {
  LayerShape s;
  s.text = line.substr(0, line.find(" count="));
  std::istringstream words(line);
  words >> s.op;
  WindowGeometry& g = s.window;
  for (std::string word; words >> word;) {
    const auto eq = word.find('=');
    const std::string name = word.substr(0, eq);
    const int x = std::stoi(word.substr(eq + 1));
    if (name == "h") g.in_h = x;
    if (name == "w") g.in_w = x;
    if (name == "oh") g.out_h = x;
    if (name == "ow") g.out_w = x;
    if (name == "kh") g.kernel_h = x;
    if (name == "kw") g.kernel_w = x;
    if (name == "sh") g.stride_h = x;
    if (name == "sw") g.stride_w = x;
    if (name == "dh") g.dilation_h = x;
    if (name == "dw") g.dilation_w = x;
    if (name == "pt") g.pad_top = x;
    if (name == "pl") g.pad_left = x;
    if (name == "c") s.c = x;
    if (name == "n") s.n = x;
    if (name == "m") s.m = x;
    if (name == "k") s.k = x;
  }
  if (s.op == "dwconv") s.n = s.c;
  return s;
}

// Every different problem, by file and line; empty when the folder is not there.
inline std::vector<LayerShape> read_layer_shapes(const std::string& folder = "bench/shapes") {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<LayerShape> shapes;
  std::set<std::string> seen;
  for (const auto& file : files) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);)
      if (const LayerShape s = parse_layer_shape(line); seen.insert(s.text).second)
        shapes.push_back(s);
  }
  return shapes;
}

}  // namespace intact
