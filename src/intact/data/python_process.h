// python_process.h: a Python beside us, for samples and metrics named FILE.py:NAME.
//
// It runs `python3`, or what INTACT_PYTHON names, with data/python_bridge.py, which also defines
// the frames. One request, one answer; the process ends with the object.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/sample.h"
#include "intact/result.h"

namespace intact {

// FILE.py:NAME in two; nothing when the text is not of that form.
struct PythonName {
  std::string file;
  std::string name;
};
std::optional<PythonName> parse_python_name(std::string_view text);

class PythonProcess {
 public:
  // Errors: kIo when there is no Python to run.
  static Result<std::unique_ptr<PythonProcess>> start(const PythonName& what);
  ~PythonProcess();
  PythonProcess(const PythonProcess&) = delete;
  PythonProcess& operator=(const PythonProcess&) = delete;

  // An array as it comes, with text apart.
  struct Array {
    std::string name;
    Tensor tensor;  // Undefined for text.
    std::optional<std::string> text;
  };

  // Errors of all calls: kDataMismatch with the sentence of the Python side; kIo when it has died;
  // kInterrupted when a signal came while it worked.

  // Begins again. Returns how many samples there are, or -1.
  Result<std::int64_t> begin();
  // The next sample, or nothing after the last.
  Result<std::optional<std::vector<Array>>> next();
  // score(outputs, target).
  Result<double> score(const std::vector<NamedTensor>& outputs, const Target& target);

 private:
  PythonProcess(std::string what, pid_t pid, int to, int from)
      : what_(std::move(what)), pid_(pid), to_(to), from_(from) {}
  Status send(const std::string& bytes);
  Result<std::string> take(std::uint64_t count);
  template <class T>
  Result<T> number();
  // Reads the kind of the answer, which must be one of `kinds`.
  Result<char> kind(std::string_view kinds);

  std::string what_;  // FILE.py:NAME, for messages.
  pid_t pid_;
  int to_;
  int from_;
};

}  // namespace intact
