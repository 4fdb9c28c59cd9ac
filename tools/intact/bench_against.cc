#include "bench_against.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "data/npz_writer.h"

namespace intact::cli {
namespace {

namespace fs = std::filesystem;

// A folder that goes away with its files.
struct TemporaryFolder {
  fs::path path;
  TemporaryFolder() {
    std::string name = fs::temp_directory_path() / "intact-bench-XXXXXX";
    if (mkdtemp(name.data()) != nullptr) path = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
};

// Runs a program found on the path; its messages go where ours go. Returns its exit status, 127
// when there is no such program.
int run_program(std::vector<std::string> words, const std::vector<int>& silenced) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int stream : silenced)
    posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return 127;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Result<Json> bench_against(const std::vector<std::string>& models, const std::string& engines,
                           std::span<const NamedTensor> inputs, int rounds, int threads,
                           bool quiet) {
  const char* chosen = std::getenv("INTACT_PYTHON");
  const std::string python = chosen != nullptr && *chosen != 0 ? chosen : "python3";
  if (run_program({python, "-c", "import intact.benchmark"}, {STDOUT_FILENO, STDERR_FILENO}) != 0)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("--against needs Python with intact and the engines in it, and '{}' is "
                            "none; pip install intact and {}, or set INTACT_PYTHON",
                            python, engines));
  const TemporaryFolder folder;
  if (folder.path.empty()) return fail(ErrorCode::kIo, "no temporary folder can be made");
  const std::string arrays = folder.path / "inputs.npz", rows = folder.path / "rows.json";
  INTACT_TRY(write_npz(arrays, inputs));
  std::vector<std::string> words{python, "-c", "from intact.benchmark import main; main()"};
  words.insert(words.end(), models.begin(), models.end());
  words.insert(words.end(),
               {"--inputs", arrays, "--against", engines, "--rounds", fmt::to_string(rounds),
                "--threads", fmt::to_string(threads), "--json", rows});
  if (run_program(words, quiet ? std::vector{STDOUT_FILENO} : std::vector<int>()) != 0)
    return fail(ErrorCode::kInvalidArgument, "the other engines could not be timed");
  std::ifstream file(rows);
  return Json::parse(file);
}

}  // namespace intact::cli
