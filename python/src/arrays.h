// arrays.h: numpy's memory as tensors and tensors' memory as numpy's, without copies.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "intact/session.h"

namespace intact::python {

// The memory of a C-contiguous numpy array, which `held` keeps.
TensorView view_of(nanobind::handle value,
                   nanobind::ndarray<nanobind::c_contig, nanobind::device::cpu>& held);

// A numpy array over `t`, whose owner it keeps; a str for text.
nanobind::object to_numpy(const OwnedTensor& t);

}  // namespace intact::python
