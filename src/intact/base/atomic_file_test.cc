#include "base/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace intact {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class AtomicFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "intact-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string contents(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(AtomicFileTest, AppearsOnlyOnCommit) {
  const fs::path path = folder_ / "a";
  {
    auto file = AtomicFile::create(path.string());
    ASSERT_TRUE(file) << file.error().text();
    ASSERT_TRUE(file->write("one"));
    EXPECT_FALSE(fs::exists(path));
    ASSERT_TRUE(file->write("two"));
    ASSERT_TRUE(file->commit());
    EXPECT_EQ(contents(path), "onetwo");
  }
  EXPECT_EQ(files(), 1U);
}

TEST_F(AtomicFileTest, WithoutCommitNothingChanges) {
  const fs::path path = folder_ / "a";
  ASSERT_TRUE(write_file(path.string(), "old"));
  {
    auto file = AtomicFile::create(path.string());
    ASSERT_TRUE(file->write("new"));
  }
  EXPECT_EQ(contents(path), "old");
  EXPECT_EQ(files(), 1U);
}

TEST_F(AtomicFileTest, AKilledProcessChangesNothing) {
  const fs::path path = folder_ / "a";
  ASSERT_TRUE(write_file(path.string(), "old"));
  const pid_t child = fork();
  if (child == 0) {
    auto file = AtomicFile::create(path.string());
    if (file) (void)file->write("new");
    _exit(0);  // No destructor runs.
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(contents(path), "old");
}

TEST_F(AtomicFileTest, ReplacesTheFileBehindALinkAndKeepsItsMode) {
  const fs::path path = folder_ / "a";
  ASSERT_TRUE(write_file(path.string(), "old"));
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("a", folder_ / "link");
  ASSERT_TRUE(write_file((folder_ / "link").string(), "new"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(contents(path), "new");
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(AtomicFileTest, SaysWhatCannotBeWritten) {
  const auto text = [](const Status& s) { return s ? std::string("no error") : s.error().text(); };
  EXPECT_THAT(text(write_file((folder_ / "no/such/file").string(), "x")),
              HasSubstr("no/such/file: No such file or directory"));
  EXPECT_THAT(text(write_file(folder_.string(), "x")), HasSubstr("directory"));
  EXPECT_THAT(text(write_file("/dev/full", "x")), HasSubstr("/dev/full: the disk is full"));
  EXPECT_EQ(files(), 0U);
}

}  // namespace
}  // namespace intact
