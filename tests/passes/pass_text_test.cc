// Runs the text tests of the passes: pass_text_test [--update] FILE.qir...
//
// A file is a list of cases:
//
//   === What the case shows
//   run: fold_pad eliminate_dead_code
//   graph "g" { ... }
//   --- becomes
//   graph "g" { ... }              exactly what print_graph gives
//
// Lines before the first case are a comment. A case whose graph must not change says "--- stays"
// and nothing behind it: the printed text before and after the passes must be the same. --update
// rewrites the expected texts in place; the reviewer reads the diff.
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "ir/parse.h"
#include "ir/print.h"
#include "passes/pass.h"
#include "tiny_evaluator.h"

namespace {

using namespace intact;

struct Case {
  std::string title;
  std::vector<std::string> passes;
  std::string input;
  std::string expected;
  bool stays = false;
};

struct File {
  std::string comment;
  std::vector<Case> cases;
};

File read(const std::string& path) {
  std::ifstream stream(path);
  File file;
  bool in_expected = false;
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("=== ")) {
      file.cases.push_back({line.substr(4), {}, {}, {}});
      in_expected = false;
    } else if (file.cases.empty()) {
      file.comment += line + "\n";
    } else if (line.starts_with("run:")) {
      std::istringstream names(line.substr(4));
      for (std::string name; names >> name;) file.cases.back().passes.push_back(name);
    } else if (line == "--- becomes" || line == "--- stays") {
      in_expected = true;
      file.cases.back().stays = line == "--- stays";
    } else {
      (in_expected ? file.cases.back().expected : file.cases.back().input) += line + "\n";
    }
  }
  return file;
}

std::string trimmed(std::string s) {
  while (!s.empty() && (s.back() == '\n' || s.back() == ' ')) s.pop_back();
  return s;
}

void write(const std::string& path, const File& file) {
  std::ofstream stream(path);
  stream << file.comment;
  for (std::size_t i = 0; i < file.cases.size(); ++i) {
    const Case& c = file.cases[i];
    stream << (i == 0 ? "" : "\n") << "=== " << c.title << "\nrun:";
    for (const auto& name : c.passes) stream << ' ' << name;
    stream << '\n' << trimmed(c.input) << (c.stays ? "\n--- stays\n" : "\n--- becomes\n");
    if (!c.stays) stream << trimmed(c.expected) << '\n';
  }
}

// The printed graph after the passes, or the error.
std::string after_passes(const Case& c, std::string& before) {
  auto graph = parse_graph(c.input);
  if (!graph) return "error: " + graph.error().text();
  if (const auto sorted = graph->sort(); !sorted) return "error: " + sorted.error().text();
  before = trimmed(print_graph(*graph));
  PassContext context;
  context.evaluate = &evaluate_tiny;
  const std::vector<std::string_view> names(c.passes.begin(), c.passes.end());
  if (const auto status = run_passes(*graph, names, context); !status)
    return "error: " + status.error().text();
  return trimmed(print_graph(*graph));
}

}  // namespace

int main(int argc, char** argv) {
  bool update = false;
  int failures = 0;
  int count = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string path = argv[i];
    if (path == "--update") {
      update = true;
      continue;
    }
    File file = read(path);
    if (file.cases.empty()) {
      std::printf("%s: no cases\n", path.c_str());
      ++failures;
    }
    for (Case& c : file.cases) {
      ++count;
      std::string before;
      const std::string actual = after_passes(c, before);
      if (update && !c.stays && !actual.starts_with("error: ")) c.expected = actual;
      const std::string expected = c.stays ? before : trimmed(c.expected);
      if (actual == expected) continue;
      ++failures;
      std::printf("%s: %s\n--- expected\n%s\n--- actual\n%s\n", path.c_str(), c.title.c_str(),
                  expected.c_str(), actual.c_str());
    }
    if (update) write(path, file);
  }
  std::printf("%d cases, %d failures\n", count, failures);
  return failures == 0 && count > 0 ? 0 : 1;
}
