// data.h: DATA of the command line (docs/guides/data.md) as a source of samples.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "intact/quantize.h"
#include "intact/result.h"
#include "intact/session.h"

namespace intact {

struct DataOptions {
  std::string images;                  // 'resize=256 crop=224 ...' or the path of a prep.json.
  std::vector<std::string> constants;  // 'NAME=VALUE' for inputs without samples.
  bool check_finite = true;            // NaN or infinity in a float input is an error.
  // Inputs that the data may hold as image bytes or as the reals of them, whichever the model takes
  // (QuantizeOptions::input_types). Those in a quantized file's metadata are known anyway.
  std::map<std::string, std::string> input_types{};
};

// Opens an archive, a folder, pictures or FILE.py:NAME for the inputs of a model. Samples hold
// what the data has beyond the inputs as well: targets, by their own names; a class label as
// "label" (int64) and a text as "text" (type "utf8") where they have no array.
// Errors: kIo, kInvalidArgument (options), kDataMismatch (a sample that does not fit; there are no
// samples), kUnsupported.
Result<SampleSource> open_data(const std::string& path, const Session& session,
                               const DataOptions& options = {});

}  // namespace intact
