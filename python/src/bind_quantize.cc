// bind_quantize.cc: quantize, calibrate, merge and verify for Python.

#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind.h"
#include "intact/quantize.h"
#include "samples.h"

namespace nb = nanobind;

namespace intact::python {
namespace {

QuantizeOptions options_of(const nb::dict& given) {
  QuantizeOptions o;
  const auto get = [&](const char* key, auto& field) {
    if (given.contains(key)) field = nb::cast<std::decay_t<decltype(field)>>(given[key]);
  };
  get("target", o.target);
  get("range", o.range);
  get("weight_range", o.weight_range);
  get("scales", o.scales);
  get("effort", o.effort);
  get("threads", o.threads);
  get("keep_float", o.keep_float);
  get("require_int8", o.require_int8);
  get("input_types", o.input_types);
  get("output_types", o.output_types);
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

}  // namespace

void bind_quantize(nb::module_& m) {
  m.def("quantize_path",
        [](const std::string& path, nb::object make_samples, const nb::dict& options) {
          PythonSamples samples(std::move(make_samples));
          QuantizeOptions o = options_of(options);
          return as_dict(on_samples<QuantizeResult>(
              samples, o, [&](const SampleSource& source) { return quantize(path, source, o); }));
        });
  m.def("quantize_bytes",
        [](const nb::bytes& model, nb::object make_samples, const nb::dict& options) {
          PythonSamples samples(std::move(make_samples));
          QuantizeOptions o = options_of(options);
          const std::span bytes(reinterpret_cast<const std::byte*>(model.c_str()), model.size());
          return as_dict(on_samples<QuantizeResult>(samples, o, [&](const SampleSource& source) {
            return quantize(bytes, "", source, o);
          }));
        });
  m.def("calibrate_path",
        [](const std::string& path, nb::object make_samples, const nb::dict& options) {
          PythonSamples samples(std::move(make_samples));
          QuantizeOptions o = options_of(options);
          return on_samples<std::string>(
              samples, o, [&](const SampleSource& source) { return calibrate(path, source, o); });
        });
  m.def("merge_texts",
        [](const std::string& a, const std::string& b) { return take(merge(a, b)); });
  m.def("input_type_of", [](const std::string& type, const std::string& images) {
    return take(input_type_of(type, images));
  });
  m.def("verify_path", [](const std::string& path, int threads) {
    const auto r = interruptible<VerifyResult>(nullptr, [&](const std::atomic<bool>& cancel) {
      return verify(path, {.threads = threads}, &cancel);
    });
    nb::dict d;
    d["same"] = r.same;
    d["expected"] = r.expected;
    d["actual"] = r.actual;
    d["first_node"] = r.first_node;
    return d;
  });
}

}  // namespace intact::python
