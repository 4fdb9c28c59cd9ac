// samples.h: samples that Python gives, and calls that Ctrl-C can end.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "arrays.h"
#include "bind.h"
#include "intact/quantize.h"

namespace intact::python {

// The tensor of a C-contiguous numpy array, or of a str: a copy, which may outlive the GIL. Raises
// as dense_array.
OwnedTensor from_numpy(nanobind::handle array, const std::string& name);

// Samples from a Python callable that returns a fresh iterator of {name: array}. It may be called
// from any thread without the GIL; what the iterator raises is kept, and raised again by rethrow().
class PythonSamples {
 public:
  explicit PythonSamples(nanobind::object make) : make_(std::move(make)) {}

  SampleSource source();
  void rethrow() const {
    if (raised_) std::rethrow_exception(raised_);
  }

  // Runs fn, which calls Python, with the GIL; keeps what it raises.
  template <class Fn>
  auto guarded(Fn&& fn) -> decltype(fn()) {
    const nanobind::gil_scoped_acquire acquire;
    try {
      return fn();
    } catch (...) {
      raised_ = std::current_exception();
      return fail(ErrorCode::kInterrupted, "Python code raised an exception");
    }
  }

 private:
  nanobind::object make_;
  nanobind::object iterator_;
  std::exception_ptr raised_;
};

// Runs work(cancel) on a thread of its own, without the GIL, while this one looks for signals: a
// KeyboardInterrupt sets the flag, and is raised when the work has ended.
void run_interruptibly(const std::function<void(const std::atomic<bool>& cancel)>& work);

// The same for work that gives a Result.
template <class T, class Fn>
T interruptible(PythonSamples* samples, const Fn& fn) {
  std::optional<Result<T>> result;
  run_interruptibly([&](const std::atomic<bool>& cancel) { result.emplace(fn(cancel)); });
  if (!*result && samples != nullptr) samples->rethrow();
  return take(std::move(*result));
}

// The same for work(source) on these samples; the interrupt sets options.cancel.
template <class T, class Options, class Fn>
T on_samples(PythonSamples& samples, Options& options, const Fn& work) {
  const SampleSource source = samples.source();
  return interruptible<T>(&samples, [&](const std::atomic<bool>& cancel) {
    options.cancel = &cancel;
    return work(source);
  });
}

}  // namespace intact::python
