// quantize.cc MODEL: quantizes a model and runs the result, from the installed library only.
#include <intact/quantize.h>
#include <intact/session.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <span>

#include "affine_model.h"

namespace {

std::vector<float> sample(int i) {
  std::vector<float> x;
  for (std::size_t k = 0; k < kIn; ++k) x.push_back(std::sin(float(i) * 0.7f + float(k) * 2.1f));
  return x;
}

intact::SampleSource samples(int count) {
  auto at = std::make_shared<int>(0);
  intact::SampleSource source;
  source.restart = [at] {
    *at = 0;
    return intact::Status{};
  };
  source.next = [at, count]() -> intact::Result<std::optional<intact::SampleInputs>> {
    if (*at == count) return std::nullopt;
    const auto memory = std::make_shared<std::vector<float>>(sample((*at)++));
    intact::OwnedTensor tensor;
    tensor.dtype = "float32";
    tensor.shape = {1, kIn};
    tensor.data = memory->data();
    tensor.bytes = memory->size() * sizeof(float);
    tensor.owner = memory;
    return intact::SampleInputs{{"x", tensor}};
  };
  return source;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto result = intact::quantize(argv[1], samples(64));
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().text().c_str());
    return 1;
  }
  auto session = intact::Session::open(std::as_bytes(std::span(result->model)));
  if (!session) {
    std::fprintf(stderr, "%s\n", session.error().text().c_str());
    return 1;
  }
  double signal = 0;
  double noise = 0;
  for (int i = 0; i < 64; ++i) {
    const std::vector<float> x = sample(i);
    const auto outputs = session->run({{"x", {"float32", {1, kIn}, x.data()}}});
    if (!outputs) {
      std::fprintf(stderr, "%s\n", outputs.error().text().c_str());
      return 1;
    }
    const auto* y = static_cast<const float*>((*outputs)[0].data);
    const std::vector<double> expected = affine(x);
    for (std::size_t n = 0; n < kOut; ++n) {
      signal += expected[n] * expected[n];
      noise += (double(y[n]) - expected[n]) * (double(y[n]) - expected[n]);
    }
  }
  // Three 8-bit roundings (input, weights, output), each about 40 dB below signals of this kind.
  const double sqnr_db = 10 * std::log10(signal / std::max(noise, 1e-30));
  std::printf("%s: %.1f dB, %.0f %% of the multiply-adds integer\n",
              intact::to_string(result->verdict).c_str(), sqnr_db, 100 * result->integer_share);
  return sqnr_db > 30 && result->integer_share == 1.0 ? 0 : 1;
}
