// self_check.h: the integer products of this processor against scalar code, once a process.
//
// The bits of every row are tested where it can be executed (the kernels' own tests). A processor
// that nobody had at hand, a faulty one or an emulator that means other things by an instruction
// would go unnoticed there; a small problem of extreme codes at the first opening finds it.
#pragma once

#include "intact/result.h"
#include "kernels/cpu_features.h"

namespace intact {

// Runs the rows that a machine of level `isa` chooses; about a millisecond for each new level, then
// free. Errors: kUnsupported, naming the row and how to do without it.
Status self_check(IsaLevel isa);

}  // namespace intact
