// bind_quantize.cc: quantize, calibrate, merge and verify for Python.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind.h"
#include "intact/quantize.h"

namespace nb = nanobind;

namespace intact::python {
namespace {

// Samples from a Python callable that returns a fresh iterator of {name: array}.
class PythonSamples {
 public:
  explicit PythonSamples(nb::object make) : make_(std::move(make)) {}

  SampleSource source() {
    SampleSource s;
    s.restart = [this]() -> Status {
      const nb::gil_scoped_acquire acquire;
      return guarded([this]() -> Status {
        iterator_ = make_();
        return {};
      });
    };
    s.next = [this]() -> Result<std::optional<SampleInputs>> {
      const nb::gil_scoped_acquire acquire;
      return guarded([this]() -> Result<std::optional<SampleInputs>> {
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
        if (!iterator_.is_valid()) iterator_ = make_();
        nb::object item = nb::steal(PyIter_Next(iterator_.ptr()));
        if (!item.is_valid()) {
          if (PyErr_Occurred() != nullptr) throw nb::python_error();
          return std::optional<SampleInputs>();
        }
        SampleInputs inputs;
        for (auto [key, value] : nb::cast<nb::dict>(item)) {
          const auto array = nb::cast<nb::ndarray<nb::c_contig, nb::device::cpu>>(value);
          OwnedTensor t;
          t.dtype = dtype_name(value);
          for (std::size_t i = 0; i < array.ndim(); ++i)
            t.shape.push_back(static_cast<std::int64_t>(array.shape(i)));
          t.bytes = array.nbytes();
          // A copy: the sample may outlive the GIL.
          auto memory = std::make_shared<std::vector<std::byte>>(
              static_cast<const std::byte*>(array.data()),
              static_cast<const std::byte*>(array.data()) + t.bytes);
          t.data = memory->data();
          t.owner = memory;
          inputs[nb::cast<std::string>(key)] = std::move(t);
        }
        return std::optional(std::move(inputs));
      });
    };
    return s;
  }

  // Raises again what a callback raised.
  void rethrow() {
    if (raised_) std::rethrow_exception(raised_);
  }

 private:
  template <class Fn>
  auto guarded(Fn&& fn) -> decltype(fn()) {
    try {
      return fn();
    } catch (...) {
      raised_ = std::current_exception();
      return fail(ErrorCode::kInterrupted, "the samples raised an exception");
    }
  }

  nb::object make_;
  nb::object iterator_;
  std::exception_ptr raised_;
};

QuantizeOptions options_of(const nb::dict& given) {
  QuantizeOptions o;
  const auto get = [&](const char* key, auto& field) {
    if (given.contains(key)) field = nb::cast<std::decay_t<decltype(field)>>(given[key]);
  };
  get("target", o.target);
  get("range", o.range);
  get("weight_range", o.weight_range);
  get("effort", o.effort);
  get("threads", o.threads);
  get("keep_float", o.keep_float);
  get("require_int8", o.require_int8);
  get("calibration", o.calibration);
  return o;
}

nb::dict as_dict(const QuantizeResult& r) {
  nb::dict d;
  d["model"] = nb::bytes(r.model.data(), r.model.size());
  d["verdict"] = to_string(r.verdict);
  d["sqnr_db"] = r.sqnr_db;
  d["sqnr_interval_db"] = nb::make_tuple(r.sqnr_low_db, r.sqnr_high_db);
  nb::list noisiest;
  for (const auto& [i, share] : r.noisiest_samples) noisiest.append(nb::make_tuple(i, share));
  d["noisiest_samples"] = noisiest;
  d["agreement"] = r.agreement ? nb::object(nb::float_(*r.agreement)) : nb::none();
  d["agreement_interval"] = nb::make_tuple(r.agreement_low, r.agreement_high);
  d["integer_share"] = r.integer_share;
  d["float_bytes"] = r.float_bytes;
  d["quantized_bytes"] = r.quantized_bytes;
  d["calibration_samples"] = r.calibration_samples;
  d["held_back_samples"] = r.held_back_samples;
  d["fingerprint"] = r.fingerprint;
  d["worst_nodes"] = r.worst_nodes;
  d["notes"] = r.notes;
  nb::list nodes;
  for (const NodeReport& n : r.nodes) {
    nb::dict row;
    row["name"] = n.name;
    row["op"] = n.op;
    row["multiply_adds"] = n.multiply_adds;
    row["integer"] = n.integer;
    row["reason"] = n.reason;
    row["fit"] = n.fit;
    row["local_sqnr_db"] = n.local_sqnr_db;
    nodes.append(row);
  }
  d["nodes"] = nodes;
  return d;
}

template <class T, class Fn>
T call(PythonSamples& samples, const Fn& fn) {
  Result<T> result = fail(ErrorCode::kInterrupted, "");
  {
    const nb::gil_scoped_release release;
    result = fn(samples.source());
  }
  if (!result) samples.rethrow();
  return take(std::move(result));
}

}  // namespace

void bind_quantize(nb::module_& m) {
  m.def("quantize_path",
        [](const std::string& path, nb::object make_samples, const nb::dict& options) {
          PythonSamples samples(std::move(make_samples));
          const QuantizeOptions o = options_of(options);
          return as_dict(call<QuantizeResult>(
              samples, [&](const SampleSource& s) { return quantize(path, s, o); }));
        });
  m.def("quantize_bytes",
        [](const nb::bytes& model, nb::object make_samples, const nb::dict& options) {
          PythonSamples samples(std::move(make_samples));
          const QuantizeOptions o = options_of(options);
          const std::span bytes(reinterpret_cast<const std::byte*>(model.c_str()), model.size());
          return as_dict(call<QuantizeResult>(
              samples, [&](const SampleSource& s) { return quantize(bytes, "", s, o); }));
        });
  m.def("calibrate_path", [](const std::string& path, nb::object make_samples,
                             const nb::dict& options) {
    PythonSamples samples(std::move(make_samples));
    const QuantizeOptions o = options_of(options);
    return call<std::string>(samples, [&](const SampleSource& s) { return calibrate(path, s, o); });
  });
  m.def("merge_texts",
        [](const std::string& a, const std::string& b) { return take(merge(a, b)); });
  m.def("verify_path", [](const std::string& path, int threads) {
    Result<VerifyResult> result = fail(ErrorCode::kInterrupted, "");
    {
      const nb::gil_scoped_release release;
      result = verify(path, {.threads = threads});
    }
    const VerifyResult r = take(std::move(result));
    nb::dict d;
    d["same"] = r.same;
    d["expected"] = r.expected;
    d["actual"] = r.actual;
    d["first_node"] = r.first_node;
    return d;
  });
}

}  // namespace intact::python
