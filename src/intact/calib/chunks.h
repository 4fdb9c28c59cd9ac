// chunks.h: the graph in pieces that the lockstep runs one after the other.
//
// A piece begins at a product that is quantized and ends before the next one, or behind a node that
// makes a tensor which becomes codes. Shape arithmetic (nodes with integer or boolean results, and
// whatever follows from shapes alone) is not handed from piece to piece but repeated in each that
// needs it: so every piece can be planned.
#pragma once

#include "calib/placement.h"
#include "calib/run_graph.h"

namespace intact {

struct Chunk {
  Piece piece;
  int site = -1;  // Of the product it begins with, into Placement::sites; or none.
  std::vector<ValueId> becomes_codes;  // What it makes that is in Placement::tensors.
  std::vector<ValueId> last_read;      // Values that no later chunk reads.
};

// For a chunk with a site, piece.inputs[0] is the site's input; when other nodes of the chunk read
// that value too, it is among the further inputs again.
std::vector<Chunk> make_chunks(const Graph& graph, const Placement& placement);

}  // namespace intact
