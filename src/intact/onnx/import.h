// import.h: an ONNX file to a graph.
//
// What becomes what:
// - Initializers and Constant nodes become constants. An input with an initializer (its default in
//   files of IR version 3) becomes a constant and is no input any more.
// - Large raw_data of initializers and external data are mapped, not read (the files must not
//   shrink while the graph lives); other raw_data is taken over. Elements that lie misaligned are
//   copied when they are first read.
// - Nodes may be in any order and come out in execution order, stably.
// - Bodies of If, Loop, Scan become closed graphs (graph.h, Node::num_captured).
// - Calls of the model's own functions are replaced by their bodies.
// - Types from value_info are taken as stated; dimensions are numbers, symbols or nothing.
// - Kept for export: names, doc strings, metadata, producer, training_info (opaque).
//
// Refused as kUnsupported, naming node and tensor: sparse tensors; constants of strings, complex
// and 8-bit float types; inputs and outputs that are sequences, maps or optionals; attributes that
// hold types or lists of tensors or graphs.
// Refused as kInvalidModel: no ONNX at all, cut short, a name defined twice, read but not defined,
// a cycle, a dimension that is negative or makes more than 2^40 elements, data whose length is not
// that of the shape, an attribute that is not of its type.
// Names from the file appear in messages escaped (text.h).
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "intact/result.h"
#include "ir/graph.h"

namespace intact {

struct ImportOptions {
  // The folder that external data lies in; empty: a model with external data is refused. Paths that
  // are absolute, contain "..", or lead out of the folder through symbolic links are refused.
  std::string external_folder;
};

// Returns the graph of a file's bytes, which need not outlive the call.
// Errors: as above; kIo when external data cannot be read.
Result<Graph> import_onnx(std::span<const std::byte> file, const ImportOptions& options = {});

// The same for a file; external data is looked for beside it. Errors carry the path as context; kIo
// when it cannot be read.
Result<Graph> import_onnx_file(const std::string& path);

}  // namespace intact
