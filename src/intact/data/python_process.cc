#include "data/python_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "data/npy.h"
#include "data/npz_reader.h"
#include "data/python_bridge_text.h"

namespace intact {
namespace {

constexpr std::uint64_t kMaxFrame = std::uint64_t{1} << 36;  // 64 GiB: more is a broken frame.

std::string interpreter() {
  const char* chosen = std::getenv("INTACT_PYTHON");
  return chosen != nullptr && *chosen != '\0' ? chosen : "python3";
}

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

Status append_array(std::string& out, const std::string& name, const Tensor& t) {
  if (!npy_has(t.dtype()))
    return fail(ErrorCode::kUnsupported,
                fmt::format("'{}' is {}, which numpy does not have", name, name_of(t.dtype())));
  const std::string header = format_npy_header(t.dtype(), t.shape());
  append(out, static_cast<std::uint32_t>(name.size()));
  out += name;
  append(out, static_cast<std::uint64_t>(header.size() + t.bytes()));
  out += header;
  if (t.bytes() > 0) out.append(reinterpret_cast<const char*>(t.raw()), t.bytes());
  return {};
}

// A pipe whose ends no other child inherits.
bool make_pipe(std::array<int, 2>& ends) { return pipe2(ends.data(), O_CLOEXEC) == 0; }

}  // namespace

std::optional<PythonName> parse_python_name(std::string_view text) {
  const auto at = text.rfind(".py:");
  if (at == std::string_view::npos || at == 0 || at + 4 == text.size()) return std::nullopt;
  return PythonName{std::string(text.substr(0, at + 3)), std::string(text.substr(at + 4))};
}

Result<std::unique_ptr<PythonProcess>> PythonProcess::start(const PythonName& what) {
  const std::string named = what.file + ":" + what.name;
  std::array<int, 2> requests{}, answers{};
  if (!make_pipe(requests))
    return fail(ErrorCode::kIo, fmt::format("{}: no pipe: {}", named, std::strerror(errno)));
  if (!make_pipe(answers)) {
    close(requests[0]);
    close(requests[1]);
    return fail(ErrorCode::kIo, fmt::format("{}: no pipe: {}", named, std::strerror(errno)));
  }
  const std::string python = interpreter();
  const std::array<const char*, 6> arguments{
      python.c_str(), "-c", kPythonBridge, what.file.c_str(), what.name.c_str(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, requests[0], 0);
  posix_spawn_file_actions_adddup2(&actions, answers[1], 1);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, python.c_str(), &actions, nullptr,
                                 const_cast<char* const*>(arguments.data()), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(requests[0]);
  close(answers[1]);
  if (error != 0) {
    close(requests[1]);
    close(answers[0]);
    return fail(
        ErrorCode::kIo,
        fmt::format("{} needs Python, and '{}' cannot be run ({}): install Python 3, or set "
                    "INTACT_PYTHON to one, or save the samples as .npz",
                    named, python, std::strerror(error)));
  }
  return std::unique_ptr<PythonProcess>(new PythonProcess(named, pid, requests[1], answers[0]));
}

PythonProcess::~PythonProcess() {
  close(to_);
  close(from_);
  kill(pid_, SIGTERM);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Status PythonProcess::send(const std::string& bytes) {
  // A Python that has died is an error, not the end of this program. Blocked in this thread only,
  // and only now: a library changes no signal of its program.
  sigset_t pipe_signal, before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  Status status;
  for (std::size_t done = 0; done < bytes.size() && status;) {
    const ssize_t n = write(to_, bytes.data() + done, bytes.size() - done);
    if (n >= 0) {
      done += static_cast<std::size_t>(n);
    } else if (errno == EINTR) {
      status = fail(ErrorCode::kInterrupted, "interrupted");
    } else if (errno == EPIPE) {
      const timespec now{0, 0};
      sigtimedwait(&pipe_signal, nullptr, &now);  // Takes the signal away again.
      break;                                      // Its last words may still be read.
    } else {
      status = fail(ErrorCode::kIo, fmt::format("{}: {}", what_, std::strerror(errno)));
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return status;
}

Result<std::string> PythonProcess::take(std::uint64_t count) {
  if (count > kMaxFrame)
    return fail(ErrorCode::kIo, fmt::format("{}: its answer cannot be read", what_));
  std::string bytes(count, '\0');
  for (std::uint64_t done = 0; done < count;) {
    const ssize_t n = read(from_, bytes.data() + done, count - done);
    if (n < 0 && errno == EINTR) return fail(ErrorCode::kInterrupted, "interrupted");
    if (n <= 0)
      return fail(ErrorCode::kIo, fmt::format("{}: Python ended before it had answered", what_));
    done += static_cast<std::uint64_t>(n);
  }
  return bytes;
}

template <class T>
Result<T> PythonProcess::number() {
  INTACT_ASSIGN(const std::string bytes, take(sizeof(T)));
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

Result<char> PythonProcess::kind(std::string_view kinds) {
  INTACT_ASSIGN(const std::string byte, take(1));
  if (byte[0] == 'X') {
    INTACT_ASSIGN(const auto length, number<std::uint32_t>());
    INTACT_ASSIGN(const std::string sentence, take(length));
    return fail(ErrorCode::kDataMismatch, fmt::format("{}: {}", what_, sentence));
  }
  if (kinds.find(byte[0]) == std::string_view::npos)
    return fail(ErrorCode::kIo, fmt::format("{}: its answer cannot be read", what_));
  return byte[0];
}

Result<std::int64_t> PythonProcess::begin() {
  INTACT_TRY(send("R"));
  INTACT_TRY(kind("L"));
  return number<std::int64_t>();
}

Result<std::optional<std::vector<PythonProcess::Array>>> PythonProcess::next() {
  INTACT_TRY(send("N"));
  INTACT_ASSIGN(const char answer, kind("SE"));
  if (answer == 'E') return std::nullopt;
  INTACT_ASSIGN(const auto count, number<std::uint32_t>());
  std::vector<Array> arrays;
  for (std::uint32_t i = 0; i < count; ++i) {
    Array array;
    INTACT_ASSIGN(const auto name_length, number<std::uint32_t>());
    INTACT_ASSIGN(array.name, take(name_length));
    INTACT_ASSIGN(const auto length, number<std::uint64_t>());
    INTACT_ASSIGN(const std::string file, take(length));
    auto reader = open_npy(std::as_bytes(std::span(file)));
    if (!reader) return fail(reader.error().with_context(fmt::format("'{}'", array.name)));
    if (reader->header().text_chars > 0) {
      if (num_elements(reader->header().shape) != 1) continue;
      INTACT_ASSIGN(array.text, reader->read_text(0));
    } else {
      INTACT_ASSIGN(array.tensor, reader->read_all());
    }
    arrays.push_back(std::move(array));
  }
  return std::optional(std::move(arrays));
}

Result<double> PythonProcess::score(const std::vector<NamedTensor>& outputs, const Target& target) {
  std::string frame = "M";
  append(frame, static_cast<std::uint32_t>(outputs.size()));
  for (const auto& [name, tensor] : outputs) INTACT_TRY(append_array(frame, name, tensor));
  std::vector<NamedTensor> targets = target.arrays;
  if (targets.empty() && target.label) targets.emplace_back("label", Tensor::scalar(*target.label));
  append(frame, static_cast<std::uint32_t>(targets.size()));
  for (const auto& [name, tensor] : targets) INTACT_TRY(append_array(frame, name, tensor));
  const std::string text = targets.empty() ? target.text.value_or("") : "";
  append(frame, static_cast<std::uint32_t>(text.size()));
  frame += text;
  INTACT_TRY(send(frame));
  INTACT_TRY(kind("V"));
  return number<double>();
}

}  // namespace intact
