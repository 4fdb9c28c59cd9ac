// sample_tensors.h: tensors and values as the public face hands them out.
#pragma once

#include <string>

#include "intact/session.h"
#include "ir/graph.h"

namespace intact {

// A tensor as the public face hands it out; shares its memory.
OwnedTensor owned(const Tensor& tensor);

// A graph input or output as the public face describes it.
ValueDescription describe_value(const Value& value);

}  // namespace intact
