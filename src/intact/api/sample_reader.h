// sample_reader.h: samples of the public face as the tensors that a graph takes.
#pragma once

#include <string>
#include <vector>

#include "api/byte_words.h"
#include "intact/quantize.h"
#include "ir/graph.h"

namespace intact {

class SampleReader {
 public:
  // `maps`: of inputs that samples may hold as bytes or as reals, whichever the graph takes; those
  // of the graph's own metadata are known anyway.
  explicit SampleReader(const Graph& graph, ByteMaps maps = {});

  // One tensor a graph input, in order, in the sample's own memory where it is of the graph's type.
  // Errors: kDataMismatch naming an input that is missing or has another type.
  Result<std::vector<Tensor>> read(const SampleInputs& sample) const;

 private:
  struct Input {
    std::string name;
    Dtype dtype;
  };
  std::vector<Input> inputs_;
  ByteMaps maps_;
};

}  // namespace intact
