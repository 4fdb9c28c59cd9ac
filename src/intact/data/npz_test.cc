#include <gmock/gmock.h>

#include <cstring>
#include <fstream>
#include <numeric>

#include "data/golden_files.h"
#include "data/npz_writer.h"

namespace intact {
namespace {

using testing::HasSubstr;

std::vector<std::byte> bytes_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string s((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::vector<std::byte> out(s.size());
  if (!s.empty()) std::memcpy(out.data(), s.data(), s.size());
  return out;
}

// numpy: (np.arange(30) % 100).reshape(5, 2, 3), bool: np.arange(30) % 3 == 0.
void expect_counting(const Tensor& t, std::int64_t first) {
  const auto values = to_float64(t);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto n = first + static_cast<std::int64_t>(i);
    EXPECT_EQ(values[i],
              t.dtype() == Dtype::kBool ? (n % 3 == 0 ? 1.0 : 0.0) : static_cast<double>(n));
  }
}

class NpzReaderOfNumpy : public testing::TestWithParam<const char*> {};

TEST_P(NpzReaderOfNumpy, ReadsEveryType) {
  const auto archive = NpzReader::open(golden(GetParam()));
  ASSERT_TRUE(archive) << archive.error().text();
  const std::vector<std::pair<std::string, Dtype>> kinds{
      {"f2", Dtype::kFloat16}, {"f4", Dtype::kFloat32}, {"f8", Dtype::kFloat64},
      {"i1", Dtype::kInt8},    {"i2", Dtype::kInt16},   {"i4", Dtype::kInt32},
      {"i8", Dtype::kInt64},   {"u1", Dtype::kUint8},   {"u2", Dtype::kUint16},
      {"u4", Dtype::kUint32},  {"u8", Dtype::kUint64},  {"b1", Dtype::kBool}};
  ASSERT_EQ(archive->names().size(), kinds.size());
  for (const auto& [name, dtype] : kinds) {
    auto array = archive->array(name);
    ASSERT_TRUE(array) << array.error().text();
    const auto all = array->read_all();
    ASSERT_TRUE(all) << all.error().text();
    EXPECT_EQ(all->dtype(), dtype);
    EXPECT_EQ(all->shape(), (Shape{5, 2, 3}));
    expect_counting(*all, 0);
  }
}

TEST_P(NpzReaderOfNumpy, ReadsRowsInAnyOrder) {
  const auto archive = NpzReader::open(golden(GetParam()));
  ASSERT_TRUE(archive);
  auto array = archive->array("f4");
  auto other = archive->array("i8");  // Open at the same time.
  ASSERT_TRUE(array);
  ASSERT_TRUE(other);
  for (const std::int64_t row : {0, 1, 4, 2, 2, 0, 3}) {
    const auto t = array->read_rows(row, 1);
    ASSERT_TRUE(t) << t.error().text();
    EXPECT_EQ(t->shape(), (Shape{1, 2, 3}));
    expect_counting(*t, 6 * row);
    const auto two = other->read_rows(row == 4 ? 3 : row, 2);
    ASSERT_TRUE(two);
    expect_counting(*two, 6 * (row == 4 ? 3 : row));
  }
}

INSTANTIATE_TEST_SUITE_P(Archives, NpzReaderOfNumpy, testing::Values("stored.npz", "deflated.npz"));

TEST(NpyReader, ReadsEveryVersionOfTheFormat) {
  for (const char* name : {"plain.npy", "version2.npy", "version3.npy"}) {
    auto array = open_npy(golden(name));
    ASSERT_TRUE(array) << array.error().text();
    const auto all = array->read_all();
    ASSERT_TRUE(all);
    expect_counting(*all, 0);
  }
}

TEST(NpyReader, RefusesWhatItDoesNotSupportWithTheRemedy) {
  const std::vector<std::pair<std::string, std::string>> cases{{"big_endian.npy", "newbyteorder"},
                                                               {"fortran.npy", "ascontiguousarray"},
                                                               {"structured.npy", "structured"},
                                                               {"complex.npy", "'<c8'"},
                                                               {"object.npy", "'|O'"}};
  for (const auto& [file, words] : cases) {
    const auto array = open_npy(golden(file));
    ASSERT_FALSE(array) << file;
    EXPECT_EQ(array.error().code, ErrorCode::kUnsupported);
    EXPECT_THAT(array.error().text(), HasSubstr(words));
    EXPECT_THAT(array.error().text(), HasSubstr(file));
  }
}

TEST(NpyReader, RefusesEveryTruncation) {
  const auto whole = bytes_of_file(golden("plain.npy"));
  ASSERT_TRUE(open_npy(whole));
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(open_npy(std::span(whole).first(n))) << n;
}

TEST(NpyReader, RefusesBadHeaders) {
  const auto header_error = [](const std::string& literal) {
    std::string file = "\x93NUMPY";
    file += std::string("\x01\x00", 2) + static_cast<char>(literal.size()) + '\0' + literal;
    std::vector<std::byte> bytes(file.size());
    std::memcpy(bytes.data(), file.data(), file.size());
    const auto header = parse_npy_header(bytes);
    return header ? std::string("accepted") : header.error().text();
  };
  EXPECT_EQ(header_error("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}"), "accepted");
  EXPECT_EQ(header_error("{'shape':(2,3,),'fortran_order':False,\"descr\":'<i4',}\n"), "accepted");
  const char* const bad[] = {
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (3}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (3 4)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': 3}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627777,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1048577,1048576)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (0,1048577,1048576)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
      "{'descr': '<f4', 'fortran_order': False, "
      "'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}",
      "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}",
      "{'descr': '<f4', 'shape': (3,)}",
      "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'evil': 1}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x",
      "{'descr': 'f4', 'fortran_order': False, 'shape': (3,)}",
      "{'descr': '<U0', 'fortran_order': False, 'shape': (3,)}",
      "{'descr': '<f4\\'', 'fortran_order': False, 'shape': (3,)}",
      "[]",
      ""};
  for (const char* literal : bad) EXPECT_NE(header_error(literal), "accepted") << literal;
}

TEST(NpzReader, RefusesEveryTruncation) {
  const auto whole = bytes_of_file(golden("labelled.npz"));
  ASSERT_TRUE(NpzReader::open(whole));
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(NpzReader::open(std::span(whole).first(n))) << n;
}

TEST(NpzReader, NoticesDamagedDeflatedValues) {
  auto bytes = bytes_of_file(golden("deflated.npz"));
  bytes[60] ^= std::byte{0x55};  // Inside of the first entry's deflated bytes.
  const auto archive = NpzReader::open(bytes);
  ASSERT_TRUE(archive);
  auto array = archive->array(archive->names()[0]);
  ASSERT_TRUE(!array || !array->read_all());
}

TEST(NpzReader, SaysWhatIsNotThere) {
  const auto missing = NpzReader::open("/nonexistent/x.npz");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kIo);
  const auto no_zip = NpzReader::open(golden("plain.npy"));
  ASSERT_FALSE(no_zip);
  EXPECT_THAT(no_zip.error().text(), HasSubstr("plain.npy"));
}

TEST(NpzReader, ReadsTextAsUtf8) {
  const auto archive = NpzReader::open(golden("labelled.npz"));
  ASSERT_TRUE(archive);
  auto text = archive->array("text");
  ASSERT_TRUE(text);
  const std::vector<std::string> want{"mot", "\xC3\xA9t\xC3\xA9", "", "\xE6\x97\xA5\xE6\x9C\xAC",
                                      "a b"};
  for (std::size_t i = 0; i < want.size(); ++i)
    EXPECT_EQ(*text->read_text(static_cast<std::int64_t>(i)), want[i]);
}

// numpy 2: numpy.lib.format.header_data_from_array_1_0 of the same arrays.
TEST(NpyHeader, IsWrittenAsNumpyWritesIt) {
  EXPECT_THAT(format_npy_header(Dtype::kFloat32, Shape{3, 4}),
              HasSubstr("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }"));
  EXPECT_THAT(format_npy_header(Dtype::kUint8, Shape{3}),
              HasSubstr("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }"));
  EXPECT_THAT(format_npy_header(Dtype::kBool, Shape{}),
              HasSubstr("{'descr': '|b1', 'fortran_order': False, 'shape': (), }"));
  EXPECT_EQ(format_npy_header(Dtype::kFloat32, Shape{3, 4}).size() % 64, 0u);
}

TEST(NpzWriter, StacksRowsOfSeveralArrays) {
  const TemporaryFolder folder;
  const std::string path = folder / "out.npz";
  auto writer = NpzWriter::create(path);
  ASSERT_TRUE(writer) << writer.error().text();
  for (int i = 0; i < 3; ++i) {
    const auto x = static_cast<float>(i);
    ASSERT_TRUE(writer->append("logits", Tensor::of<float>({1, 2}, {x, -x})));
    ASSERT_TRUE(writer->append("model/ids:0", Tensor::of<std::int64_t>({2}, {i, i + 10})));
    ASSERT_TRUE(writer->append("loss", Tensor::scalar(x)));
  }
  EXPECT_EQ(folder.files(), 0u) << "nothing may show before the end";
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(folder.files(), 1u);

  const auto archive = NpzReader::open(path);
  ASSERT_TRUE(archive) << archive.error().text();
  const auto read = [&](const std::string& name) { return *archive->array(name)->read_all(); };
  EXPECT_EQ(read("logits").shape(), (Shape{3, 2}));
  EXPECT_EQ(to_float64(read("logits")), (std::vector<double>{0, 0, 1, -1, 2, -2}));
  EXPECT_EQ(to_int64(read("model/ids:0")), (std::vector<std::int64_t>{0, 10, 1, 11, 2, 12}));
  EXPECT_EQ(read("loss").shape(), (Shape{3}));
}

TEST(NpzWriter, LeavesNothingWithoutFinish) {
  const TemporaryFolder folder;
  {
    auto writer = NpzWriter::create(folder / "out.npz");
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->append("x", Tensor::of<float>({1, 2}, {1, 2})));
  }
  EXPECT_EQ(folder.files(), 0u);
}

TEST(NpzWriter, RefusesRowsOfAnotherShapeAndTypesNumpyLacks) {
  const TemporaryFolder folder;
  auto writer = NpzWriter::create(folder / "out.npz");
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->append("x", Tensor::of<float>({1, 2}, {1, 2})));
  const auto shape = writer->append("x", Tensor::of<float>({1, 3}, {1, 2, 3}));
  ASSERT_FALSE(shape);
  EXPECT_THAT(shape.error().text(), HasSubstr("[1,3]"));
  EXPECT_FALSE(writer->append("x", Tensor::of<double>({1, 2}, {1, 2})));
  EXPECT_FALSE(writer->append("y", Tensor(Dtype::kBFloat16, {1})));
}

TEST(NpzWriter, SaysThatAFolderCannotBeWritten) {
  const auto writer = NpzWriter::create("/nonexistent/folder/out.npz");
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, ErrorCode::kIo);
  EXPECT_THAT(writer.error().text(), HasSubstr("/nonexistent/folder/out.npz"));
}

TEST(NpzWriter, GivesEqualBytesForEqualArrays) {
  const TemporaryFolder folder;
  const std::vector<NamedTensor> arrays{{"x", Tensor::of<float>({2, 2}, {1, 2, 3, 4})},
                                        {"n", Tensor::scalar<std::int64_t>(7)}};
  ASSERT_TRUE(write_npz(folder / "a.npz", arrays));
  ASSERT_TRUE(write_npz(folder / "b.npz", arrays));
  EXPECT_EQ(bytes_of_file(folder / "a.npz"), bytes_of_file(folder / "b.npz"));
  const auto archive = NpzReader::open(folder / "a.npz");
  ASSERT_TRUE(archive);
  EXPECT_EQ(archive->array("n")->header().shape, Shape{});
}

}  // namespace
}  // namespace intact
