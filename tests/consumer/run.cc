// run.cc MODEL: loads and runs a model, built from the installed headers and archives only.
#include <intact/session.h>
#include <intact/version.h>

#include <cmath>
#include <cstdio>

#include "affine_model.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto session = intact::Session::open(argv[1]);
  if (!session) {
    std::fprintf(stderr, "%s\n", session.error().text().c_str());
    return 1;
  }
  const std::vector<float> x = {1.0f, -2.0f, 0.5f, 0.0f, 3.0f, -1.25f};
  const auto outputs = session->run({{"x", {"float32", {2, kIn}, x.data()}}});
  if (!outputs) {
    std::fprintf(stderr, "%s\n", outputs.error().text().c_str());
    return 1;
  }
  const auto* y = static_cast<const float*>((*outputs)[0].data);
  const std::vector<double> expected = affine(x);
  for (std::size_t i = 0; i < expected.size(); ++i)
    // Four products and sums of magnitude below 8, each rounded to float once.
    if (std::abs(double(y[i]) - expected[i]) > 4 * 8 * 0x1p-24) {
      std::fprintf(stderr, "output %zu is %g; expected %g\n", i, double(y[i]), expected[i]);
      return 1;
    }
  // A run that does not fit the model is a value, not an end.
  const auto wrong = session->run({{"x", {"float32", {2, kIn + 1}, x.data()}}});
  if (wrong || wrong.error().code != intact::ErrorCode::kDataMismatch) return 1;
  std::printf("intact %.*s ran %s\n", int(intact::kVersion.size()), intact::kVersion.data(),
              argv[1]);
  return 0;
}
