#include "command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>

#include "base/atomic_file.h"
#include "intact/data.h"

namespace intact::cli {
namespace {

std::atomic<bool> interrupt_flag{false};

void on_interrupt(int) {
  // A second interrupt ends the program at once.
  if (interrupt_flag.exchange(true)) _exit(kInterrupted);
}

}  // namespace

const std::atomic<bool>& interrupted() { return interrupt_flag; }

void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A file that may not grow is an error of writing, with a sentence; not the end.
  action.sa_handler = SIG_IGN;
  sigaction(SIGXFSZ, &action, nullptr);
}

int refuse(const Error& error) {
  fmt::print(stderr, "intact: {}\n", error.text());
  return error.code == ErrorCode::kInterrupted ? kInterrupted : kBadInput;
}

void Common::add_to(CLI::App& app) {
  app.add_option("--json", json, "Also write the result as JSON; - is stdout")->type_name("FILE");
  app.add_option("--threads", threads, "Threads; 0: as many as this process may use")
      ->check(CLI::Range(0, 1024))
      ->type_name("N");
}

void Common::add_session_to(CLI::App& app) {
  app.add_option("--cache-dir", cache_dir,
                 "Keep packed weights in this folder: later openings pack nothing")
      ->type_name("DIR");
  app.add_flag("--fast-float", fast_float,
               "Float products in BF16 where the processor has it: other bytes than elsewhere");
}

Json Common::report_fast(const std::string& model, const Session& session) const {
  const std::vector<std::string> nodes = session.fast_nodes();
  if (nodes.empty())
    fmt::print(stderr,
               "intact: note: --fast-float changes nothing for {}: this processor has no BF16 "
               "products, or the model no float product with constant weights for them\n",
               model);
  else if (!quiet())
    fmt::print("fast float  {} products of {} in BF16; their bytes may differ elsewhere\n",
               nodes.size(), model);
  return nodes;
}

Status Common::write(const std::string& verb, Json object) const {
  if (json.empty()) return {};
  Json whole;
  whole["schema"] = fmt::format("intact.{}/1", verb);
  whole.update(object);
  const std::string text = whole.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  if (quiet()) {
    std::fputs(text.c_str(), stdout);
    return {};
  }
  return write_file(json, text);
}

void DataFlags::add_to(CLI::App& app, bool required) {
  auto* data =
      app.add_option("--data", path,
                     "Samples: .npz, .npy, a folder of .npz, .npy, JPEG or PNG, or FILE.py:NAME")
          ->type_name("DATA");
  if (required) data->required();
  app.add_option(
         "--images", options.images,
         "How pictures become inputs, e.g. 'resize=256 crop=224 scale=1/255 mean=... std=...'")
      ->type_name("RECIPE");
  app.add_option("--const", options.constants, "NAME=VALUE for an input without samples")
      ->type_name("NAME=VALUE");
}

std::vector<InputSpec> specs_of(const Session& session) {
  std::vector<InputSpec> specs;
  for (const ValueDescription& input : session.inputs())
    specs.push_back({input.name, dtype_from_name(input.dtype).value_or(Dtype::kFloat32),
                     input.shape, input.has_shape});
  return specs;
}

Result<std::unique_ptr<Dataset>> DataFlags::open(const Session& session) const {
  return open_dataset(path, options, specs_of(session));
}

Result<SampleSource> DataFlags::samples(const Session& session) const {
  INTACT_ASSIGN(SampleSource source, open_data(path, session, options));
  for (const std::string& note : source.notes) fmt::print(stderr, "intact: note: {}\n", note);
  return source;
}

Result<std::pair<std::string, Shape>> parse_shape(const std::string& text) {
  const auto bad = [&] {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("--shape '{}' is not NAME=1x3x224x224", text));
  };
  const auto eq = text.rfind('=');
  if (eq == std::string::npos || eq == 0) return bad();
  std::pair<std::string, Shape> out{text.substr(0, eq), {}};
  const char* at = text.data() + eq + 1;
  const char* end = text.data() + text.size();
  while (at < end) {
    std::int64_t n = 0;
    const auto [next, error] = std::from_chars(at, end, n);
    if (error != std::errc() || n < 0) return bad();
    out.second.push_back(n);
    if (next == end) break;
    if (*next != 'x') return bad();
    at = next + 1;
  }
  INTACT_TRY(check_shape(out.second));
  return out;
}

Result<std::vector<Tensor>> seeded_inputs(const Session& session,
                                          const std::vector<std::string>& shapes) {
  std::map<std::string, Shape> given;
  for (const std::string& text : shapes) {
    INTACT_ASSIGN(auto shape, parse_shape(text));
    given.insert(std::move(shape));
  }
  std::vector<Tensor> inputs;
  std::uint64_t state = 0x9E3779B97F4A7C15u;
  for (const InputSpec& spec : specs_of(session)) {
    Shape shape;
    if (const auto it = given.find(spec.name); it != given.end()) {
      shape = it->second;
      given.erase(it);
    } else {
      for (const std::int64_t d : spec.dims) shape.push_back(d < 0 ? 1 : d);
    }
    INTACT_TRY(check_shape(shape));
    std::vector<double> values;
    for (std::int64_t i = 0; i < num_elements(shape); ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const double unit = static_cast<double>(state >> 40) / static_cast<double>(1 << 24);
      values.push_back(is_float(spec.dtype) ? unit : std::floor(unit * 2));
    }
    inputs.push_back(from_float64(spec.dtype, shape, values));
  }
  if (!given.empty())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("--shape names '{}', which is no input", given.begin()->first));
  return inputs;
}

Progress::Progress(std::string what)
    : what_(std::move(what)),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()),
      shown_(start_ - std::chrono::seconds(1)) {}

Progress::~Progress() {
  if (terminal_) std::fputs("\r\033[K", stderr);
}

void Progress::update(double done, const std::string& stage) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now - shown_ < std::chrono::milliseconds(100)) return;
  shown_ = now;
  const double part = std::clamp(done, 0.0, 1.0);
  if (part < part_) start_ = now;  // The next stage begins.
  part_ = part;
  const double spent = std::chrono::duration<double>(now - start_).count();
  const auto width = static_cast<std::size_t>(part * 24);
  const std::string left =
      part > 0.02 ? fmt::format("{:.0f} s left", spent * (1 - part) / part) : std::string();
  fmt::print(stderr, "\r\033[K{} [{}{}] {:3.0f} % {} {}", what_, std::string(width, '#'),
             std::string(24 - width, '.'), part * 100, stage, left);
  std::fflush(stderr);
}

double part_of(std::int64_t done, std::optional<std::int64_t> all) {
  return all && *all > 0 ? static_cast<double>(done) / static_cast<double>(*all) : 0;
}

std::string human_bytes(double bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit < 4) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, units[unit]);
}

}  // namespace intact::cli
