// interrupt.h: Ctrl-C in a call that Python's main thread makes itself.
//
// Python learns of a signal when it runs again; the engine looks between steps. While a watch lives
// on the main thread, SIGINT raises a flag for the engine, and then does what it did before.
#pragma once

#include <atomic>

namespace intact::python {

class InterruptWatch {
 public:
  InterruptWatch();
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  // Null where nothing is watched: on other threads, and where SIGINT is not Python's.
  [[nodiscard]] const std::atomic<bool>* flag() const;

 private:
  bool watching_ = false;
};

}  // namespace intact::python
