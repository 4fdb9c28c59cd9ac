#include "samples.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <cstring>

namespace nb = nanobind;

namespace intact::python {
namespace {

constexpr std::chrono::milliseconds kLookForSignals{50};

}  // namespace

OwnedTensor from_numpy(nb::handle value, const std::string& name) {
  OwnedTensor t;
  if (nb::isinstance<nb::str>(value)) {
    auto text = std::make_shared<std::string>(nb::cast<std::string>(value));
    t.dtype = "utf8";
    t.shape = {static_cast<std::int64_t>(text->size())};
    t.bytes = text->size();
    t.data = text->data();
    t.owner = text;
    return t;
  }
  const DenseArray array = dense_array(value, name);
  t.dtype = dtype_name(value);
  for (std::size_t i = 0; i < array.ndim(); ++i)
    t.shape.push_back(static_cast<std::int64_t>(array.shape(i)));
  t.bytes = array.nbytes();
  const auto* from = static_cast<const std::byte*>(array.data());
  auto memory = std::make_shared<std::vector<std::byte>>(from, from + t.bytes);
  t.data = memory->data();
  t.owner = memory;
  return t;
}

SampleSource PythonSamples::source() {
  SampleSource s;
  s.restart = [this]() -> Status {
    return guarded([this]() -> Status {
      iterator_ = make_();
      return {};
    });
  };
  s.next = [this]() -> Result<std::optional<SampleInputs>> {
    return guarded([this]() -> Result<std::optional<SampleInputs>> {
      if (!iterator_.is_valid()) iterator_ = make_();
      const nb::object item = nb::steal(PyIter_Next(iterator_.ptr()));
      if (!item.is_valid()) {
        if (PyErr_Occurred() != nullptr) throw nb::python_error();
        return std::optional<SampleInputs>();
      }
      SampleInputs inputs;
      for (auto [key, value] : nb::cast<nb::dict>(item)) {
        const auto name = nb::cast<std::string>(key);
        inputs[name] = from_numpy(value, name);
      }
      return std::optional(std::move(inputs));
    });
  };
  return s;
}

void run_interruptibly(const std::function<void(const std::atomic<bool>& cancel)>& work) {
  std::atomic<bool> cancel{false};
  std::mutex mutex;
  std::condition_variable ended;
  bool done = false;
  std::exception_ptr thrown;
  std::exception_ptr signal;
  {
    const nb::gil_scoped_release release;
    std::thread worker([&] {
      try {
        work(cancel);
      } catch (...) {
        thrown = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      done = true;
      ended.notify_all();
    });
    std::unique_lock lock(mutex);
    while (!ended.wait_for(lock, kLookForSignals, [&] { return done; })) {
      if (signal) continue;
      lock.unlock();
      {
        const nb::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) {
          signal = std::make_exception_ptr(nb::python_error());
          cancel = true;
        }
      }
      lock.lock();
    }
    lock.unlock();
    worker.join();
  }
  if (signal) std::rethrow_exception(signal);
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace intact::python
