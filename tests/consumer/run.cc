// run.cc: a program that loads and runs a model, built from the installed headers and archives
// only.
#include <intact/result.h>
#include <intact/version.h>

#include <cstdio>

int main() {
  const intact::Status status = intact::fail(intact::ErrorCode::kIo, "no model yet");
  std::printf("intact %.*s\n", static_cast<int>(intact::kVersion.size()), intact::kVersion.data());
  return status ? 1 : 0;
}
