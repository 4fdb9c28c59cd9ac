#include "runtime/pack_cache.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "ir/parse.h"
#include "kernels/gemm_f32.h"
#include "runtime/engine.h"

namespace intact {
namespace {

namespace fs = std::filesystem;

struct Weights {
  const GemmF32Kernel* kernel = nullptr;
  std::vector<float> bias;
  PackedArray<std::int32_t> sums;
  std::shared_ptr<Buffer> packed;
  bool flag = false;

  auto fields() { return std::tie(kernel, bias, sums, packed, flag); }
};

Graph graph_of(const std::string& text) {
  auto graph = parse_graph(text);
  EXPECT_TRUE(graph.has_value());
  return std::move(*graph);
}

std::string linear(int seed) {
  return "graph \"g\" {\n  opset 17\n  opset intact 1\n  input %x: float32[3,64]\n"
         "  const %w: float32[64,48] = random(" +
         std::to_string(seed) + ")\n  %y = intact.Linear(%x, %w)\n  output %y\n}";
}

class PackCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "packs-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern + "/made/when/missing";
    root_ = pattern;
  }
  void TearDown() override { fs::remove_all(root_); }

  [[nodiscard]] std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    if (fs::exists(folder_))
      for (const auto& entry : fs::directory_iterator(folder_)) found.push_back(entry.path());
    return found;
  }

  // Puts weights that hold `value`, and saves them.
  static bool fill(PackCache& cache, float value) {
    auto w = std::make_shared<Weights>();
    w->kernel = kernel_rows<GemmF32Kernel>().back();
    w->bias = {value, 2, 3};
    w->sums = std::vector<std::int32_t>{5, -6};
    w->packed = Buffer::allocate(100);
    w->packed->data()[99] = std::byte{7};
    w->flag = true;
    cache.put<Weights>("key", w, {});
    return cache.save();
  }

  fs::path root_;
  std::string folder_;
};

TEST_F(PackCacheTest, ComesBackFromItsFile) {
  const Graph graph = graph_of(linear(1));
  PackCache first(folder_, graph);
  EXPECT_EQ(first.find<Weights>("key", {}), nullptr);
  EXPECT_TRUE(fill(first, 1));
  EXPECT_FALSE(first.save());  // Nothing new.
  PackCache second(folder_, graph);
  for (PackCache* cache : {&first, &second}) {
    const auto w = cache->find<Weights>("key", {});
    ASSERT_NE(w, nullptr);
    EXPECT_EQ(w->kernel, kernel_rows<GemmF32Kernel>().back());
    EXPECT_EQ(w->bias, (std::vector<float>{1, 2, 3}));
    ASSERT_EQ(w->sums.size(), 2U);
    EXPECT_EQ(w->sums.data()[1], -6);
    EXPECT_TRUE(w->flag);
    EXPECT_EQ(w->packed->bytes(), 100U);
    EXPECT_EQ(w->packed->data()[99], std::byte{7});
    EXPECT_FALSE(w->packed->has_slack());  // It is the file's memory.
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(w->packed->data()) % kAlignBytes, 0U);
  }
  // What was not asked for stays in the file when more is added.
  PackCache third(folder_, graph);
  third.put<Weights>("other", std::make_shared<Weights>(*second.find<Weights>("key", {})), {});
  EXPECT_TRUE(third.save());
  EXPECT_NE(PackCache(folder_, graph).find<Weights>("key", {}), nullptr);
  EXPECT_NE(PackCache(folder_, graph).find<Weights>("other", {}), nullptr);
}

TEST_F(PackCacheTest, AnotherModelHasAnotherFile) {
  const Graph first = graph_of(linear(1));
  const Graph second = graph_of(linear(2));
  PackCache one(folder_, first);
  PackCache two(folder_, second);
  EXPECT_TRUE(fill(one, 1));
  EXPECT_TRUE(fill(two, 2));
  EXPECT_EQ(files().size(), 2U);
  EXPECT_EQ(one.find<Weights>("key", {})->bias[0], 1);
  EXPECT_EQ(two.find<Weights>("key", {})->bias[0], 2);
}

TEST_F(PackCacheTest, DamagedAndForeignFilesAreReplaced) {
  const Graph graph = graph_of(linear(1));
  const Graph another = graph_of(linear(2));
  PackCache other(folder_, another);
  EXPECT_TRUE(fill(other, 2));
  const fs::path foreign = files().at(0);
  PackCache first(folder_, graph);
  EXPECT_TRUE(fill(first, 1));
  fs::path path;
  for (const auto& file : files())
    if (file != foreign) path = file;
  const auto size = static_cast<std::streamoff>(fs::file_size(path));
  const auto with_file = [&](const auto& change) {
    change();
    PackCache cache(folder_, graph);
    EXPECT_EQ(cache.find<Weights>("key", {}), nullptr);
    EXPECT_TRUE(fill(cache, 1));
    EXPECT_NE(PackCache(folder_, graph).find<Weights>("key", {}), nullptr);
  };
  for (std::streamoff at = 0; at < size; at += 13)
    with_file([&] {
      // A new file: the old one is mapped.
      const fs::path copy = path.string() + ".copy";
      fs::copy_file(path, copy);
      std::fstream file(copy, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(at);
      const char c = static_cast<char>(file.get() ^ 0x10);
      file.seekp(at);
      file.put(c);
      file.close();
      fs::rename(copy, path);
    });
  for (const std::uintmax_t cut : {std::uintmax_t{0}, std::uintmax_t{63}, fs::file_size(path) - 1})
    with_file([&] {
      const fs::path copy = path.string() + ".copy";
      fs::copy_file(path, copy);
      fs::resize_file(copy, cut);
      fs::rename(copy, path);
    });
  with_file([&] {
    const fs::path copy = path.string() + ".copy";
    fs::copy_file(foreign, copy);
    fs::rename(copy, path);
  });
}

TEST_F(PackCacheTest, WithoutAFolderNothingIsWritten) {
  const Graph graph = graph_of(linear(1));
  PackCache none("", graph);
  EXPECT_FALSE(fill(none, 1));
  EXPECT_NE(none.find<Weights>("key", {}), nullptr);
  PackCache unwritable("/proc/no/such/folder", graph);
  EXPECT_FALSE(fill(unwritable, 1));
  EXPECT_NE(unwritable.find<Weights>("key", {}), nullptr);
}

TEST_F(PackCacheTest, EnginesAnswerTheSame) {
  std::vector<float> x(3 * 64);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) - 8;
  const std::vector<Tensor> inputs{Tensor::of<float>({3, 64}, std::span<const float>(x))};
  const auto run = [&](Engine& engine) {
    const auto y = engine.run(inputs);
    EXPECT_TRUE(y.has_value());
    const auto v = (*y)[0].values<float>();
    return std::vector<float>(v.begin(), v.end());
  };
  Engine plain(graph_of(linear(1)), {.threads = 1});
  const std::vector<float> expected = run(plain);
  EXPECT_TRUE(files().empty());
  for (int round = 0; round < 3; ++round) {
    Engine engine(graph_of(linear(1)), {.threads = 1, .cache_dir = folder_});
    if (round != 1) {
      EXPECT_TRUE(engine.warm_up().has_value());
    }
    EXPECT_EQ(run(engine), expected);
    EXPECT_EQ(files().size(), 1U);
  }
}

// A model written in another's place, which the name of the file does not tell from it.
TEST_F(PackCacheTest, WeightsOfAnotherModelAreNotTaken) {
  std::vector<float> x(3 * 64, 1.0f);
  const std::vector<Tensor> inputs{Tensor::of<float>({3, 64}, std::span<const float>(x))};
  const auto run = [&](float first_weight, const std::string& folder) {
    Graph graph = graph_of(linear(1));
    Tensor& w = *graph.value(*graph.find_value("w")).constant;
    w.mutable_values<float>()[0] = first_weight;
    Engine engine(std::move(graph), {.threads = 1, .cache_dir = folder});
    const auto y = engine.run(inputs);
    EXPECT_TRUE(y.has_value());
    const auto v = (*y)[0].values<float>();
    return std::vector<float>(v.begin(), v.end());
  };
  for (const float first_weight : {1.0f, 2.0f, 2.0f, 1.0f}) {
    EXPECT_EQ(run(first_weight, folder_), run(first_weight, ""));
    EXPECT_EQ(files().size(), 1U);
  }
}

TEST_F(PackCacheTest, ConstantsThatAProcessHasAloneComeFromTheFileToo) {
  const std::string text =
      "graph \"g\" {\n  opset 17\n  opset intact 1\n  input %i: int64[3]\n"
      "  const %table: float32[40,64] = random(3)\n  const %w: float32[64,48] = random(4)\n"
      "  %x = Gather(%table, %i)\n  %y = intact.Linear(%x, %w)\n  output %y\n}";
  const std::vector<Tensor> rows{Tensor::of<std::int64_t>({3}, {39, 0, 7})};
  std::vector<std::vector<float>> answers;
  for (const std::string& folder : {std::string(), folder_, folder_}) {
    Engine engine(graph_of(text), {.threads = 1, .cache_dir = folder});
    const auto is_mapped = [&](std::string_view name) {
      return engine.graph()
          .value(*engine.graph().find_value(name))
          .constant->buffer()
          ->is_mapping();
    };
    const auto y = engine.run(rows);
    ASSERT_TRUE(y.has_value());
    EXPECT_EQ(is_mapped("table"), answers.size() == 2);
    EXPECT_EQ(is_mapped("w"), answers.size() == 2);
    const auto v = (*y)[0].values<float>();
    answers.emplace_back(v.begin(), v.end());
    EXPECT_EQ(answers.back(), answers.front());
  }
  EXPECT_EQ(files().size(), 1U);
}

// Weights that lie where floats may not: what is only packed is never copied for good; what a run
// reads comes from the file.
TEST_F(PackCacheTest, MisalignedConstantsAreCopiedWhereARunReadsThem) {
  const std::string text =
      "graph \"g\" {\n  opset 17\n  opset intact 1\n  input %i: int64[3]\n"
      "  const %table: float32[40,64] = random(3)\n  const %w: float32[64,48] = random(4)\n"
      "  %x = Gather(%table, %i)\n  %y = intact.Linear(%x, %w)\n  output %y\n}";
  const std::vector<Tensor> rows{Tensor::of<std::int64_t>({3}, {39, 0, 7})};
  Graph aligned = graph_of(text);
  Engine plain(std::move(aligned), {.threads = 1});
  const auto expected = plain.run(rows);
  ASSERT_TRUE(expected.has_value());
  for (int opening = 0; opening < 3; ++opening) {
    Graph graph = graph_of(text);
    std::vector<std::vector<std::byte>> memory;
    for (Value& value : graph.values) {
      if (!value.constant) continue;
      const auto bytes = value.constant->stored();
      auto& shifted = memory.emplace_back(bytes.size() + 1);
      std::copy(bytes.begin(), bytes.end(), shifted.begin() + 1);
      value.constant =
          Tensor(value.constant->dtype(), value.constant->shape(),
                 Buffer::wrap_misaligned(Buffer::wrap(std::span(shifted).subspan(1), nullptr)));
    }
    Engine engine(std::move(graph), {.threads = 1, .cache_dir = opening == 0 ? "" : folder_});
    ASSERT_TRUE(engine.warm_up().has_value());
    const auto y = engine.run(rows);
    ASSERT_TRUE(y.has_value());
    EXPECT_TRUE(std::ranges::equal((*y)[0].values<float>(), (*expected)[0].values<float>()));
    const auto buffer = [&](std::string_view name) {
      return engine.graph().value(*engine.graph().find_value(name)).constant->buffer();
    };
    EXPECT_FALSE(buffer("w")->is_copied());
    EXPECT_EQ(buffer("table")->is_copied(), opening < 2);
    EXPECT_EQ(buffer("table")->is_mapping(), opening == 2);
  }
}

}  // namespace
}  // namespace intact
