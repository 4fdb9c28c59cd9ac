// bind_reports.cc: DATA, evaluate, compare and inspect for Python.

#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind.h"
#include "intact/compare.h"
#include "intact/data.h"
#include "intact/evaluate.h"
#include "intact/inspect.h"
#include "samples.h"

namespace nb = nanobind;

namespace intact::python {
namespace {

// DATA of the command line as an iterator that can begin again.
class Data {
 public:
  explicit Data(SampleSource source) : source_(std::move(source)) {}
  void restart() {
    const nb::gil_scoped_release release;
    auto status = source_.restart();
    const nb::gil_scoped_acquire acquire;
    if (!status) raise(status.error());
  }
  nb::object next() {
    Result<std::optional<SampleInputs>> sample = std::optional<SampleInputs>();
    {
      const nb::gil_scoped_release release;
      sample = source_.next();
    }
    const auto taken = take(std::move(sample));
    if (!taken) return nb::none();
    nb::dict out;
    for (const auto& [name, tensor] : *taken) out[name.c_str()] = to_numpy(tensor);
    return out;
  }

 private:
  SampleSource source_;
};

nb::dict figures(const ValueFigures& v) {
  nb::dict d;
  d["min"] = v.min;
  d["mean"] = v.mean;
  d["max"] = v.max;
  d["std"] = v.std;
  return d;
}

nb::dict as_dict(const Inspection& r) {
  nb::dict d;
  d["opset"] = r.opset;
  d["producer"] = r.producer;
  d["nodes"] = r.nodes;
  d["parameters"] = r.parameters;
  d["constant_bytes"] = r.constant_bytes;
  d["operators"] = r.operators;
  d["inputs"] = describe(r.inputs);
  d["outputs"] = describe(r.outputs);
  d["metadata"] = r.metadata;
  d["quantized"] = r.quantized;
  nb::list products;
  for (const NodeReport& p : r.products) {
    nb::dict row;
    row["name"] = p.name;
    row["op"] = p.op;
    row["integer"] = p.integer;
    row["reason"] = p.reason;
    products.append(row);
  }
  d["products"] = products;
  d["problem"] = r.problem;
  return d;
}

nb::list as_list(const DataInspection& r) {
  nb::list inputs;
  for (const InputData& in : r.inputs) {
    nb::dict row;
    row["name"] = in.name;
    row["dtype"] = in.dtype;
    row["shapes"] = in.shapes;
    row["all"] = figures(in.all);
    nb::list channels;
    for (const ValueFigures& c : in.channels) channels.append(figures(c));
    row["channels"] = channels;
    inputs.append(row);
  }
  return inputs;
}

nb::dict as_dict(const CompareResult& r) {
  nb::list layers;
  for (const LayerComparison& l : r.layers) {
    nb::dict row;
    row["node"] = l.node;
    row["op"] = l.op;
    row["value"] = l.value;
    row["local_sqnr_db"] = l.local_sqnr_db;
    row["cumulative_sqnr_db"] = l.cumulative_sqnr_db;
    row["weight_sqnr_db"] = l.weight_sqnr_db;
    nb::list inputs;
    for (const InputFigures& x : l.inputs) {
      nb::dict in;
      in["name"] = x.name;
      in["sqnr_db"] = x.sqnr_db;
      in["effective_bits"] = x.effective_bits;
      in["clipped_error"] = x.clipped_error;
      in["clipped_values"] = x.clipped_values;
      in["peak_to_rms"] = x.peak_to_rms;
      in["range_error"] = x.range_error;
      in["parts_ratio"] = x.parts_ratio;
      inputs.append(in);
    }
    row["inputs"] = inputs;
    row["cause"] = l.cause;
    row["fix"] = l.fix;
    layers.append(row);
  }
  nb::dict outputs;
  for (const OutputComparison& o : r.outputs) outputs[o.name.c_str()] = o.sqnr_db;
  nb::dict d;
  d["samples"] = r.samples;
  d["layers"] = layers;
  d["outputs"] = outputs;
  return d;
}

nb::dict as_dict(const Evaluation& e) {
  nb::dict d;
  d["value"] = e.value;
  d["unit"] = e.unit;
  d["samples"] = e.samples;
  d["difference"] = e.difference;
  d["difference_interval"] = nb::make_tuple(e.difference_low, e.difference_high);
  d["method"] = e.method;
  d["worse"] = e.worse;
  d["better"] = e.better;
  return d;
}

nb::dict dict_of(const std::map<std::string, OwnedTensor>& tensors) {
  nb::dict d;
  for (const auto& [name, tensor] : tensors) d[name.c_str()] = to_numpy(tensor);
  return d;
}

// The metric of this name, or a Python score, whose exceptions go the way of the samples'.
EvaluateOptions judging(PythonSamples& samples, const std::string& metric, nb::object score) {
  EvaluateOptions o;
  o.metric = metric;
  if (!score.is_none())
    o.score = [&samples, score](const auto& outputs, const SampleInputs& targets) {
      return samples.guarded([&]() -> Result<double> {
        return nb::cast<double>(score(dict_of(outputs), dict_of(targets)));
      });
    };
  return o;
}

}  // namespace

void bind_reports(nb::module_& m) {
  nb::class_<Data>(m, "Data")
      .def("__init__",
           [](Data* self, const std::string& path, const Session& session,
              const std::string& images, const std::vector<std::string>& constants) {
             const DataOptions options{images, constants, true};
             Result<SampleSource> source = SampleSource();
             {
               const nb::gil_scoped_release release;
               source = open_data(path, session, options);
             }
             new (self) Data(take(std::move(source)));
           })
      .def("restart", &Data::restart)
      .def("next", &Data::next);

  m.def(
      "evaluate_sessions",
      [](const std::vector<Session>& models, nb::object make_samples, const std::string& metric,
         nb::object score, const std::string& output, const std::string& target) {
        PythonSamples samples(std::move(make_samples));
        EvaluateOptions o = judging(samples, metric, score);
        o.output = output;
        o.target = target;
        nb::list rows;
        for (const Evaluation& e : on_samples<std::vector<Evaluation>>(
                 samples, o,
                 [&](const SampleSource& source) { return evaluate(models, source, o); }))
          rows.append(as_dict(e));
        return rows;
      },
      nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg());
  m.def("check_max_drop", [](const std::string& max_drop) {
    if (const Status status = check_max_drop(max_drop); !status) raise(status.error());
  });
  m.def(
      "measure_drop",
      [](const Session& before, const Session& after, nb::object make_samples,
         const std::string& max_drop, const std::string& metric, nb::object score) {
        PythonSamples samples(std::move(make_samples));
        EvaluateOptions o = judging(samples, metric, score);
        const auto r = on_samples<MetricDrop>(samples, o, [&](const SampleSource& source) {
          return measure_drop(before, after, source, max_drop, o);
        });
        nb::dict d;
        d["before"] = as_dict(r.before);
        d["after"] = as_dict(r.after);
        d["drop"] = r.drop;
        d["limit"] = r.limit;
        return d;
      },
      nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none());
  m.def("compare_paths", [](const std::string& float_model, const std::string& quantized,
                            nb::object make_samples, int threads) {
    PythonSamples samples(std::move(make_samples));
    CompareOptions o;
    o.threads = threads;
    return as_dict(on_samples<CompareResult>(samples, o, [&](const SampleSource& source) {
      return compare(float_model, quantized, source, o);
    }));
  });
  m.def("inspect_path", [](const std::string& path, const std::string& target) {
    InspectOptions o;
    o.target = target;
    return as_dict(interruptible<Inspection>(
        nullptr, [&](const std::atomic<bool>&) { return inspect(path, o); }));
  });
  m.def("inspect_data",
        [](const Session& session, nb::object make_samples, const std::string& contact_sheet) {
          PythonSamples samples(std::move(make_samples));
          InspectDataOptions o;
          o.contact_sheet = contact_sheet;
          const auto r = on_samples<DataInspection>(samples, o, [&](const SampleSource& source) {
            return inspect_data(session, source, o);
          });
          return nb::make_tuple(r.samples, as_list(r));
        });
}

}  // namespace intact::python
