// command.h: what the verbs of the command line share.
//
// Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 2 bad input or usage,
// 3 an accuracy limit was missed, 4 a speed limit was missed, 70 our own bug, 130 interrupted.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "intact/quantize.h"
#include "intact/result.h"
#include "intact/session.h"

namespace intact::cli {

inline constexpr int kDone = 0;
inline constexpr int kBadInput = 2;
inline constexpr int kAccuracyMissed = 3;
inline constexpr int kInternal = 70;
inline constexpr int kInterrupted = 130;

using Json = nlohmann::ordered_json;

// A verb adds its options to `app` and returns what runs it: an exit code.
struct Verb {
  const char* name;
  const char* summary;
  const char* example;  // One real command, shown at the end of --help.
  std::function<int()> (*declare)(CLI::App& app);
};

std::function<int()> declare_bench(CLI::App& app);
std::function<int()> declare_calibrate(CLI::App& app);
std::function<int()> declare_compare(CLI::App& app);
std::function<int()> declare_eval(CLI::App& app);
std::function<int()> declare_host(CLI::App& app);
std::function<int()> declare_inspect(CLI::App& app);
std::function<int()> declare_merge(CLI::App& app);
std::function<int()> declare_quantize(CLI::App& app);
std::function<int()> declare_run(CLI::App& app);
std::function<int()> declare_verify(CLI::App& app);

// Set by SIGINT; long work checks it.
const std::atomic<bool>& interrupted();
void watch_interrupts();

// Prints the error as one sentence and returns its exit code.
int refuse(const Error& error);

// --json FILE and --threads N, which every verb has.
struct Common {
  std::string json;
  int threads = 0;
  std::string cache_dir{};
  bool fast_float = false;
  void add_to(CLI::App& app);
  // --cache-dir and --fast-float, for verbs that open a model to run it.
  void add_session_to(CLI::App& app);
  [[nodiscard]] SessionOptions session() const { return {threads, cache_dir, fast_float}; }
  // What a session computes in BF16 because of --fast-float, also in a line on stdout or, where
  // that is nothing, on stderr.
  [[nodiscard]] Json report_fast(const std::string& model, const Session& session) const;
  // Writes `object` with "schema": "intact.VERB/1" where --json says; nothing without it.
  [[nodiscard]] Status write(const std::string& verb, Json object) const;
  // True when the object goes to stdout: then tables do not.
  [[nodiscard]] bool quiet() const { return json == "-"; }
};

// --data and what belongs to it.
struct DataFlags {
  std::string path;
  DataOptions options;
  void add_to(CLI::App& app, bool required);
  Result<std::unique_ptr<Dataset>> open(const Session& session) const;
  // The same as the library takes it. Tells the notes of the data.
  Result<SampleSource> samples(const Session& session) const;
};

// The inputs of a model as the data room wants them.
std::vector<InputSpec> specs_of(const Session& session);

// Parses NAME=1x3x640x640. Errors: kInvalidArgument.
Result<std::pair<std::string, Shape>> parse_shape(const std::string& text);

// Inputs for a model without data: seeded uniform numbers in [0, 1), small integers for integer
// inputs. Unknown dimensions come from `shapes`, else 1. Only for timing, never for calibration.
Result<std::vector<Tensor>> seeded_inputs(const Session& session,
                                          const std::vector<std::string>& shapes);

// A bar with rate and time left, on a terminal only.
class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  void update(double done, const std::string& stage = "");

 private:
  std::string what_;
  bool terminal_;
  double part_ = 0;
  std::chrono::steady_clock::time_point start_;  // Of what is now going on.
  std::chrono::steady_clock::time_point shown_;
};

// done of all as a share; 0 when nobody knows how many there are.
double part_of(std::int64_t done, std::optional<std::int64_t> all);

// "1.2 MiB".
std::string human_bytes(double bytes);

}  // namespace intact::cli
