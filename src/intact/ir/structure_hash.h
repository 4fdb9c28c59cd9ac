// structure_hash.h: one number for everything in a graph but the elements of large constants.
//
// It covers what a run and the packing of weights depend on: operator sets, values with types, maps
// and small constants, nodes with attributes and bodies, all in their order. It leaves out what
// they do not: documentation and metadata.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ir/graph.h"

namespace intact {

// Of constants of `large_bytes` and more only type and shape count.
std::uint64_t hash_structure(const Graph& graph, std::size_t large_bytes, std::uint64_t seed = 0);

}  // namespace intact
