#include "interrupt.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

namespace intact::python {
namespace {

std::atomic<bool> seen{false};
struct sigaction before;  // Of the main thread's watch.

void on_interrupt(int signal, siginfo_t* info, void* context) {
  seen = true;
  if ((before.sa_flags & SA_SIGINFO) != 0)
    before.sa_sigaction(signal, info, context);
  else
    before.sa_handler(signal);
}

bool is_main_thread() { return syscall(SYS_gettid) == getpid(); }

}  // namespace

InterruptWatch::InterruptWatch(bool wanted) {
  if (!wanted || !is_main_thread() || sigaction(SIGINT, nullptr, &before) != 0) return;
  if ((before.sa_flags & SA_SIGINFO) == 0 &&
      (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN))
    return;
  seen = false;
  struct sigaction action = before;
  action.sa_flags |= SA_SIGINFO;
  action.sa_sigaction = on_interrupt;
  watching_ = sigaction(SIGINT, &action, nullptr) == 0;
}

InterruptWatch::~InterruptWatch() {
  if (watching_) sigaction(SIGINT, &before, nullptr);
}

const std::atomic<bool>* InterruptWatch::flag() const { return watching_ ? &seen : nullptr; }

}  // namespace intact::python
