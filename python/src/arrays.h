// arrays.h: numpy's memory as tensors and tensors' memory as numpy's, without copies.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <string>

#include "intact/session.h"

namespace intact::python {

using DenseArray = nanobind::ndarray<nanobind::c_contig, nanobind::device::cpu>;

// A C-contiguous numpy array of numbers. Raises ValueError, naming the input, for other types.
DenseArray dense_array(nanobind::handle value, const std::string& name);

// The memory of such an array, which `held` keeps.
TensorView view_of(nanobind::handle value, const std::string& name, DenseArray& held);

// A numpy array over `t`, whose owner it keeps; a str for text.
nanobind::object to_numpy(const OwnedTensor& t);

}  // namespace intact::python
