#include "data/sample.h"

#include <fmt/format.h>

#include <cmath>

#include "base/half.h"

namespace intact {
namespace {

std::string dims_text(const InputSpec& spec) {
  if (!spec.ranked) return "of any shape";
  std::string out = "[";
  for (const std::int64_t d : spec.dims) {
    if (out.size() > 1) out += ',';
    out += d < 0 ? "?" : std::to_string(d);
  }
  return out + "]";
}

auto mismatch(std::string message) { return fail(ErrorCode::kDataMismatch, std::move(message)); }

std::string numpy_name(Dtype dtype) {
  return dtype == Dtype::kBool ? "bool" : fmt::format("numpy.{}", name_of(dtype));
}

// Returns the flat index of the first value that is not finite, or -1.
std::int64_t first_not_finite(const Tensor& t) {
  const auto find = [n = static_cast<std::size_t>(t.size())](auto is_bad) {
    bool any = false;  // Without leaving the loop, which then runs in vectors.
    for (std::size_t i = 0; i < n; ++i) any |= is_bad(i);
    for (std::size_t i = 0; any && i < n; ++i)
      if (is_bad(i)) return static_cast<std::int64_t>(i);
    return std::int64_t{-1};
  };
  switch (t.dtype()) {
    case Dtype::kFloat32: {
      const auto v = t.values<float>();
      return find([&](std::size_t i) { return !std::isfinite(v[i]); });
    }
    case Dtype::kFloat64: {
      const auto v = t.values<double>();
      return find([&](std::size_t i) { return !std::isfinite(v[i]); });
    }
    case Dtype::kFloat16:
    case Dtype::kBFloat16: {
      const auto* bits = reinterpret_cast<const std::uint16_t*>(t.raw());
      const unsigned exponent = t.dtype() == Dtype::kFloat16 ? 0x7C00 : 0x7F80;
      return find([&](std::size_t i) { return (bits[i] & exponent) == exponent; });
    }
    default:
      return -1;
  }
}

double value_at(const Tensor& t, std::size_t i) {
  const auto bits = [&] { return reinterpret_cast<const std::uint16_t*>(t.raw())[i]; };
  switch (t.dtype()) {
    case Dtype::kFloat32:
      return static_cast<double>(t.values<float>()[i]);
    case Dtype::kFloat16:
      return static_cast<double>(float_from_half(bits()));
    case Dtype::kBFloat16:
      return static_cast<double>(float_from_bfloat16(bits()));
    default:
      return t.values<double>()[i];
  }
}

}  // namespace

std::string to_string(const InputSpec& spec) {
  return fmt::format("{} {}", name_of(spec.dtype), dims_text(spec));
}

const Tensor* Sample::find(std::string_view input) const noexcept {
  for (const auto& [key, tensor] : inputs)
    if (key == input) return &tensor;
  return nullptr;
}

Result<Shape> fit_shape(const InputSpec& spec, Dtype dtype, std::span<const std::int64_t> shape) {
  const std::string got = fmt::format("{} {}", name_of(dtype), to_string(shape));
  if (dtype != spec.dtype)
    return mismatch(fmt::format("input '{}' expects {}, the sample is {}: save it with .astype({})",
                                spec.name, to_string(spec), got, numpy_name(spec.dtype)));
  Shape full(shape.begin(), shape.end());
  if (!spec.ranked) return full;
  if (full.size() + 1 == spec.dims.size()) full.insert(full.begin(), 1);
  if (full.size() != spec.dims.size())
    return mismatch(fmt::format(
        "input '{}' expects {}, the sample is {}: give it {} dimensions, or {} without the batch",
        spec.name, to_string(spec), got, spec.dims.size(),
        spec.dims.empty() ? 0 : spec.dims.size() - 1));
  for (std::size_t axis = 0; axis < full.size(); ++axis)
    if (spec.dims[axis] >= 0 && spec.dims[axis] != full[axis])
      return mismatch(fmt::format(
          "input '{}' expects {}, the sample is {}: axis {} must be {}, not {}; prepare the "
          "samples as for the float model",
          spec.name, to_string(spec), got, axis, spec.dims[axis], full[axis]));
  return full;
}

Result<Tensor> fit_input(const InputSpec& spec, const Tensor& value) {
  if (!value.defined())
    return mismatch(
        fmt::format("input '{}' expects {} and has no value; give it one in the data "
                    "or with --const {}=VALUE",
                    spec.name, to_string(spec), spec.name));
  INTACT_ASSIGN(Shape shape, fit_shape(spec, value.dtype(), value.shape()));
  return value.reshaped(std::move(shape));
}

Result<std::vector<NamedTensor>> fit_sample(std::span<const InputSpec> specs,
                                            std::span<const NamedTensor> values) {
  std::vector<NamedTensor> out;
  out.reserve(specs.size());
  for (const InputSpec& spec : specs) {
    const Tensor* found = nullptr;
    for (const auto& [name, tensor] : values)
      if (name == spec.name) found = &tensor;
    if (found == nullptr) {
      std::string names;
      for (const auto& [name, tensor] : values)
        names += fmt::format("{}'{}'", names.empty() ? "" : ", ", name);
      return mismatch(
          fmt::format("there is no array for input '{}' ({}); the sample has {}: rename an array, "
                      "or give the input one value with --const {}=VALUE",
                      spec.name, to_string(spec), names.empty() ? "none" : names, spec.name));
    }
    INTACT_ASSIGN(Tensor fitted, fit_input(spec, *found));
    out.emplace_back(spec.name, std::move(fitted));
  }
  return out;
}

Status check_finite(const Sample& sample) {
  for (const auto& [name, t] : sample.inputs) {
    if (!t.defined()) continue;
    std::int64_t flat = first_not_finite(t);
    if (flat < 0) continue;
    const double value = value_at(t, static_cast<std::size_t>(flat));
    Shape position(t.rank());
    for (std::size_t axis = t.rank(); axis-- > 0;) {
      position[axis] = flat % t.shape()[axis];
      flat /= t.shape()[axis];
    }
    return mismatch(
        fmt::format("{}: input '{}' is {} at {}; remove the sample, or check how it was prepared",
                    sample.name, name,
                    std::isnan(value) ? "NaN"
                    : value > 0       ? "infinite"
                                      : "-infinite",
                    to_string(position)));
  }
  return {};
}

}  // namespace intact
