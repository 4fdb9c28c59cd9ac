// bind_core.cc: the Python module intact._core: sessions. Thin; Python code gives it its shapes.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "arrays.h"
#include "bind.h"
#include "intact/internal_error.h"
#include "intact/session.h"
#include "interrupt.h"
#include "samples.h"

namespace nb = nanobind;

namespace intact::python {
namespace {

nb::object unsupported_error;
nb::object internal_error;

}  // namespace

void raise(const Error& error) {
  PyObject* type = PyExc_ValueError;
  if (error.code == ErrorCode::kIo) type = PyExc_OSError;
  if (error.code == ErrorCode::kUnsupported) type = unsupported_error.ptr();
  if (error.code == ErrorCode::kInterrupted) type = PyExc_KeyboardInterrupt;
  PyErr_SetString(type, error.text().c_str());
  throw nb::python_error();
}

std::string dtype_name(nb::handle array) {
  return nb::cast<std::string>(nb::str(array.attr("dtype").attr("name")));
}

namespace {

// A session, and which of its runs are over before a Ctrl-C matters.
struct PySession : intact::Session {
  explicit PySession(intact::Session&& s) : intact::Session(std::move(s)) {}
  mutable BriefRuns brief;
};

// Runs a session on a dict of C-contiguous arrays by name.
nb::list run(const PySession& s, const nb::dict& feeds) {
  const auto& inputs = s.inputs();
  std::size_t bytes = 0;
  std::vector<intact::TensorView> views;
  std::vector<nb::ndarray<nb::c_contig, nb::device::cpu>> held(inputs.size());
  views.reserve(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    PyObject* value = PyDict_GetItemString(feeds.ptr(), inputs[i].name.c_str());
    if (value == nullptr)
      raise({intact::ErrorCode::kDataMismatch, "input '" + inputs[i].name + "' is missing", ""});
    views.push_back(view_of(value, inputs[i].name, held[i]));
    bytes += held[i].nbytes();
  }
  if (feeds.size() != inputs.size())
    for (auto [key, value] : feeds) {
      const auto name = nb::cast<std::string>(key);
      if (std::none_of(inputs.begin(), inputs.end(), [&](const auto& i) { return i.name == name; }))
        raise({intact::ErrorCode::kDataMismatch, "the model has no input '" + name + "'", ""});
    }
  intact::Result<std::vector<intact::OwnedTensor>> result = tl::unexpected<Error>(Error{});
  for (;;) {
    {
      const InterruptWatch watch(!s.brief.covers(bytes));
      const nb::gil_scoped_release release;
      const auto start = std::chrono::steady_clock::now();
      result = s.run_ordered(views, {}, watch.flag());
      s.brief.note(bytes, std::chrono::steady_clock::now() - start);
    }
    if (result || result.error().code != ErrorCode::kInterrupted) break;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    // A handler of the program's own that goes on: so does the run, from its beginning.
  }
  nb::list list;
  for (const auto& t : take(std::move(result))) list.append(to_numpy(t));
  return list;
}

}  // namespace

nb::list describe(const std::vector<intact::ValueDescription>& values) {
  nb::list out;
  for (const auto& v : values) {
    nb::list shape;
    for (std::size_t i = 0; i < v.shape.size(); ++i) {
      if (v.shape[i] >= 0)
        shape.append(v.shape[i]);
      else if (!v.symbols[i].empty())
        shape.append(v.symbols[i]);
      else
        shape.append(nb::none());
    }
    out.append(nb::make_tuple(v.name, v.dtype, shape));
  }
  return out;
}

}  // namespace intact::python

NB_MODULE(_core, m) {
  using namespace intact::python;
  using intact::Error;

  unsupported_error = nb::exception<std::runtime_error>(m, "UnsupportedError", PyExc_ValueError);
  internal_error = nb::exception<intact::InternalError>(m, "InternalError", PyExc_RuntimeError);

  nb::class_<intact::Session>(m, "AnySession");  // What other bindings take.
  nb::class_<PySession, intact::Session>(m, "Session")
      .def_static(
          "open_path",
          [](const std::string& path, int threads, const std::string& cache_dir, bool fast_float) {
            nb::gil_scoped_release release;
            auto session = intact::Session::open(path, {threads, cache_dir, fast_float});
            nb::gil_scoped_acquire acquire;
            return PySession(take(std::move(session)));
          })
      .def_static(
          "open_bytes",
          [](const nb::bytes& model, const std::string& folder, int threads,
             const std::string& cache_dir, bool fast_float) {
            const std::span bytes(reinterpret_cast<const std::byte*>(model.c_str()), model.size());
            nb::gil_scoped_release release;
            auto session = intact::Session::open(bytes, folder, {threads, cache_dir, fast_float});
            nb::gil_scoped_acquire acquire;
            return PySession(take(std::move(session)));
          })
      .def("inputs", [](const intact::Session& s) { return describe(s.inputs()); })
      .def("outputs", [](const intact::Session& s) { return describe(s.outputs()); })
      .def("metadata", [](const intact::Session& s) { return s.metadata(); })
      .def("producer", [](const intact::Session& s) { return s.producer(); })
      .def("fast_nodes", [](const intact::Session& s) { return s.fast_nodes(); })
      .def("graph_name", [](const intact::Session& s) { return s.graph_name(); })
      // feeds: name -> C-contiguous numpy array.
      .def("run", &run);

  bind_quantize(m);
  bind_reports(m);
}
