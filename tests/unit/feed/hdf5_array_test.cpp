// What a file shows and does not have is never played; what a filter does not give whole is damaged.
#include "feed/hdf5_array.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "feed/decoders/bitshuffle.hpp"
#include "feed/hdf5_source.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/packing.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

namespace fs = std::filesystem;
using test::counting;
using test::FileWriter;
using test::fill;
using test::fill_error;
using test::must;
using test::temporary_file;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr shm::Geometry kImage{8, 1, 20, 30, PixelType::uint16};
constexpr std::size_t kPixels = std::size_t{20} * 30;
using Frame = std::vector<std::uint16_t>;

Frame frame(std::uint16_t value) { return Frame(kPixels, value); }
Frame stack(std::uint16_t first, std::size_t count) {
  Frame all;
  for (std::size_t i = 0; i < count; ++i) {
    const Frame one = frame(static_cast<std::uint16_t>(first + i));
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

Result<std::unique_ptr<Hdf5Source>> try_open(const std::string& path, bool skip_bad = false,
                                             const shm::Geometry& geometry = kImage) {
  return Hdf5Source::open(path, "", geometry, Narrowing::refuse, {.skip_bad = skip_bad});
}
Error open_error(const std::string& path, const shm::Geometry& geometry = kImage) {
  auto opened = try_open(path, false, geometry);
  if (opened.ok()) throw std::runtime_error("the file was not refused");
  return opened.error();
}

// A part of a virtual dataset: where it is shown, and of which file.
struct Part {
  std::vector<hsize_t> start, count, stride;
  std::string file;
  std::vector<hsize_t> source;
};
void add_virtual(FileWriter& writer, const std::vector<hsize_t>& dims, const std::vector<Part>& parts,
                 const char* name = "/data") {
  const Hdf5Handle space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose);
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  for (const Part& part : parts) {
    const Hdf5Handle here(H5Scopy(space.get()), H5Sclose);
    H5Sselect_hyperslab(here.get(), H5S_SELECT_SET, part.start.data(),
                        part.stride.empty() ? nullptr : part.stride.data(), part.count.data(), nullptr);
    const Hdf5Handle there(H5Screate_simple(static_cast<int>(part.source.size()), part.source.data(), nullptr),
                           H5Sclose);
    H5Pset_virtual(creation.get(), here.get(), part.file.c_str(), "/data", there.get());
  }
  const Hdf5Handle made(
      H5Dcreate2(writer.file(), name, H5T_STD_U16LE, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), H5Dclose);
  ASSERT_TRUE(made);
}
std::string part_file(const std::string& name, std::uint16_t first, std::size_t count) {
  FileWriter(temporary_file(name)).add("/data", {count, 20, 30}, stack(first, count)).path();
  return fs::path(temporary_file(name)).filename().string();
}
std::string two_parts(const std::string& name, const std::string& a, const std::string& b) {
  FileWriter writer(temporary_file(name));
  add_virtual(writer, {4, 20, 30},
              {{{0, 0, 0}, {2, 20, 30}, {}, a, {2, 20, 30}}, {{2, 0, 0}, {2, 20, 30}, {}, b, {2, 20, 30}}});
  return writer.path();
}

TEST(DiskArray, AVirtualDatasetIsReadPartByPart) {
  const auto path = two_parts("whole.h5", part_file("a.h5", 10, 2), part_file("b.h5", 20, 2));
  const auto source = must(try_open(path));
  ASSERT_EQ(source->size(), 4U);
  EXPECT_EQ(fill(*source, 1).pixels<std::uint16_t>(), frame(11));
  EXPECT_EQ(fill(*source, 2).pixels<std::uint16_t>(), frame(20));
}

TEST(DiskArray, AMissingSourceIsNamedBeforeTheFirstFrame) {
  const auto path = two_parts("gone.h5", part_file("here.h5", 10, 2), "moved_away.h5");
  const Error error = open_error(path);
  EXPECT_EQ(error.id, "file.incomplete");
  EXPECT_THAT(error.text(), AllOf(HasSubstr("gone.h5"), HasSubstr("moved_away.h5"), HasSubstr("--skip-bad")));
  // What is there can be had; what is not is one frame each.
  const auto source = must(try_open(path, true));
  EXPECT_EQ(fill(*source, 0).pixels<std::uint16_t>(), frame(10));
  EXPECT_EQ(fill_error(*source, 2).id, "frame.absent");
  EXPECT_THAT(fill_error(*source, 3).text(), AllOf(HasSubstr("frame 3"), HasSubstr("moved_away.h5")));
}

TEST(DiskArray, ASourceWithoutTheDatasetOrShorterThanShownIsNamed) {
  FileWriter(temporary_file("other.h5")).add("/elsewhere", {2, 20, 30}, stack(1, 2)).path();
  EXPECT_THAT(open_error(two_parts("nodataset.h5", part_file("c.h5", 1, 2), "other.h5")).text(), HasSubstr("other.h5"));
  EXPECT_THAT(open_error(two_parts("short.h5", part_file("c.h5", 1, 2), part_file("one.h5", 1, 1))).text(),
              HasSubstr("one.h5"));
  std::ofstream(temporary_file("nonsense.h5")) << "no HDF5 file";
  EXPECT_THAT(open_error(two_parts("damaged_part.h5", part_file("c.h5", 1, 2), "nonsense.h5")).text(),
              HasSubstr("file signature not found"));
}

TEST(DiskArray, AFileThatGoesAwayDuringAReplayCostsItsFrames) {
  const auto path = two_parts("going.h5", part_file("stays.h5", 10, 2), part_file("goes.h5", 20, 2));
  const Hdf5Reading reading{.files = std::make_shared<ArrayFiles>(1)};
  const auto source = must(Hdf5Source::open(path, "", kImage, Narrowing::refuse, reading));
  fs::remove(temporary_file("goes.h5"));
  EXPECT_EQ(fill(*source, 0).pixels<std::uint16_t>(), frame(10));
  EXPECT_EQ(fill_error(*source, 2).id, "frame.absent");
}

TEST(DiskArray, ASourceOfAnotherShapeThanIsShownIsNeverReadAsIfItFitted) {
  const auto narrow = part_file("narrow.h5", 20, 2);
  const auto path = two_parts("reshaped.h5", part_file("a.h5", 10, 2), narrow);
  FileWriter(temporary_file("narrow.h5")).add("/data", {40, 30}, stack(20, 2)).path();
  const auto source = must(try_open(path, true));
  EXPECT_EQ(fill(*source, 1).pixels<std::uint16_t>(), frame(11));
  EXPECT_EQ(fill_error(*source, 2).id, "frame.absent");
}

TEST(DiskArray, AModuleThatIsMissingInSomeFramesMakesThemAbsent) {
  constexpr shm::Geometry kPanels{8, 2, 20, 30, PixelType::uint16};
  FileWriter writer(temporary_file("modules.h5"));
  add_virtual(writer, {3, 2, 20, 30},
              {{{0, 0, 0, 0}, {3, 1, 20, 30}, {}, part_file("m0.h5", 10, 3), {3, 20, 30}},
               {{0, 1, 0, 0}, {2, 1, 20, 30}, {}, part_file("m1.h5", 20, 2), {2, 20, 30}}});
  const auto source = must(try_open(writer.path(), false, kPanels));
  const auto pixels = fill(*source, 1).pixels<std::uint16_t>();
  EXPECT_EQ(pixels.front(), 11);
  EXPECT_EQ(pixels.back(), 21);
  EXPECT_EQ(fill_error(*source, 2).id, "frame.absent");
}

TEST(DiskArray, WhatNoFileShowsInAnyFrameIsCounted) {
  const auto upper =
      FileWriter(temporary_file("upper.h5")).add("/data", {3, 8, 30}, counting<std::uint16_t>(720)).path();
  FileWriter writer(temporary_file("half_shown.h5"));
  add_virtual(writer, {3, 20, 30}, {{{0, 0, 0}, {3, 8, 30}, {}, fs::path(upper).filename().string(), {3, 8, 30}}});
  EXPECT_EQ(must(DiskArray::open(writer.path(), "/data"))->never_shown(), 12U * 30);
  const auto whole = two_parts("all_shown.h5", part_file("a.h5", 10, 2), part_file("b.h5", 20, 2));
  EXPECT_EQ(must(DiskArray::open(whole, "/data"))->never_shown(), 0U);
}

TEST(DiskArray, RowsThatAreShownInTurnsAreReadFromTheirFiles) {
  FileWriter writer(temporary_file("turns.h5"));
  add_virtual(writer, {6, 20, 30},
              {{{0, 0, 0}, {3, 20, 30}, {2, 1, 1}, part_file("even.h5", 10, 3), {3, 20, 30}},
               {{1, 0, 0}, {3, 20, 30}, {2, 1, 1}, part_file("odd.h5", 20, 3), {3, 20, 30}}});
  const auto source = must(try_open(writer.path()));
  EXPECT_EQ(fill(*source, 3).pixels<std::uint16_t>(), frame(21));
  EXPECT_EQ(fill(*source, 4).pixels<std::uint16_t>(), frame(12));
}

TEST(DiskArray, MoreFilesThanDescriptorsAreOpenInTurns) {
  FileWriter writer(temporary_file("many.h5"));
  std::vector<Part> parts;
  for (std::uint16_t i = 0; i < 80; ++i)
    parts.push_back({{i, 0, 0}, {1, 20, 30}, {}, part_file("many_" + std::to_string(i) + ".h5", i, 1), {1, 20, 30}});
  add_virtual(writer, {80, 20, 30}, parts);
  const std::string path = writer.path();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const Hdf5Reading reading{.files = std::make_shared<ArrayFiles>(16)};
  {
    const auto source = must(Hdf5Source::open(path, "", kImage, Narrowing::refuse, reading));
    for (std::uint16_t i = 0; i < 80; ++i) EXPECT_EQ(fill(*source, i).pixels<std::uint16_t>(), frame(i));
  }
  // All at once they cannot be open: that is said, and no zeros are played.
  const Hdf5Reading greedy{.files = std::make_shared<ArrayFiles>(1000)};
  const auto refused = Hdf5Source::open(path, "", kImage, Narrowing::refuse, greedy);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().text(), HasSubstr("may open no more files"));
}

TEST(DiskArray, ChunksThatWereNeverWrittenAreAbsentFrames) {
  for (const int gzip : {0, 4}) {
    FileWriter writer(temporary_file("holes.h5"));
    const hsize_t dims[] = {3, 20, 30}, chunk[] = {1, 20, 30}, start[] = {1, 0, 0};
    const Hdf5Handle space(H5Screate_simple(3, dims, nullptr), H5Sclose);
    const Hdf5Handle memory(H5Screate_simple(3, chunk, nullptr), H5Sclose);
    const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_chunk(creation.get(), 3, chunk);
    if (gzip > 0) H5Pset_deflate(creation.get(), static_cast<unsigned>(gzip));
    {
      const Hdf5Handle made(
          H5Dcreate2(writer.file(), "data", H5T_STD_U16LE, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
          H5Dclose);
      H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, chunk, nullptr);
      ASSERT_GE(H5Dwrite(made.get(), H5T_NATIVE_UINT16, memory.get(), space.get(), H5P_DEFAULT, frame(7).data()), 0);
    }
    const auto source = must(try_open(writer.path()));
    EXPECT_EQ(fill(*source, 1).pixels<std::uint16_t>(), frame(7));
    EXPECT_THAT(fill_error(*source, 0).text(),
                AllOf(HasSubstr("frame 0"), HasSubstr("never written"), HasSubstr("frame.absent")));
    EXPECT_EQ(fill_error(*source, 2).id, "frame.absent");
  }
}

TEST(DiskArray, StorageThatWasNeverWrittenIsRefused) {
  for (const bool chunked : {false, true}) {
    FileWriter writer(temporary_file("unwritten.h5"));
    const hsize_t dims[] = {3, 20, 30}, chunk[] = {1, 20, 30};
    const Hdf5Handle space(H5Screate_simple(3, dims, nullptr), H5Sclose);
    const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    if (chunked) H5Pset_chunk(creation.get(), 3, chunk);
    H5Dclose(H5Dcreate2(writer.file(), "data", H5T_STD_U16LE, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT));
    EXPECT_EQ(open_error(writer.path()).id, "file.incomplete") << chunked;
  }
}

TEST(DiskArray, RawFilesAreLookedForBesideTheFileAndMustBeLongEnough) {
  const auto make = [](const char* name, const char* raw) {
    FileWriter writer(temporary_file(name));
    const hsize_t dims[] = {2, 20, 30};
    const Hdf5Handle space(H5Screate_simple(3, dims, nullptr), H5Sclose);
    const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_external(creation.get(), raw, 0, H5F_UNLIMITED);
    H5Dclose(H5Dcreate2(writer.file(), "data", H5T_STD_U16LE, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT));
    return writer.path();
  };
  const auto write_raw = [](const std::string& name, const Frame& values) {
    std::ofstream(temporary_file(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * 2));
    return fs::path(temporary_file(name)).filename().string();
  };
  const auto whole = must(try_open(make("raw.h5", write_raw("whole.raw", stack(30, 2)).c_str())));
  EXPECT_EQ(fill(*whole, 1).pixels<std::uint16_t>(), frame(31));
  const Error error = open_error(make("short_raw.h5", write_raw("short.raw", frame(1)).c_str()));
  EXPECT_EQ(error.id, "file.incomplete");
  EXPECT_THAT(error.text(), AllOf(HasSubstr("short.raw"), HasSubstr("1200 bytes of the 2400")));
  EXPECT_THAT(open_error(make("no_raw.h5", "nowhere.raw")).text(), HasSubstr("nowhere.raw"));
}

// A filter plugin that is older than the data: it says that it has unpacked a chunk, and gives a part of it.
std::size_t lie(unsigned flags, std::size_t, const unsigned[], std::size_t bytes, std::size_t*, void**) {
  return (flags & H5Z_FLAG_REVERSE) != 0 ? bytes - 100 : bytes;
}

TEST(DiskArray, AFilterThatGivesLessThanAChunkIsNotBelieved) {
  constexpr H5Z_filter_t kLiar = 300;
  const H5Z_class2_t about = {H5Z_CLASS_T_VERS, kLiar, 1, 1, "liar", nullptr, nullptr, lie};
  const Hdf5Guard guard;
  ASSERT_GE(H5Zregister(&about), 0);
  FileWriter writer(temporary_file("lies.h5"));
  const Frame values = stack(5, 1);
  const auto bytes = std::as_bytes(std::span(values));
  const std::vector<std::byte> chunk(bytes.begin(), bytes.end());
  writer.add_packed("/data", {1, 20, 30}, H5T_STD_U16LE, kLiar, {}, chunk);
  const auto source = must(try_open(writer.path()));
  const Error error = fill_error(*source, 0);
  EXPECT_EQ(error.id, "file.unreadable");
  EXPECT_THAT(error.text(), HasSubstr("another size than a chunk has"));
  H5Zunregister(kLiar);
}

// One that is not there where the file is read is refused by name; those that we know need no plugin.
TEST(DiskArray, BitshuffleIsUnpackedWithoutAPluginAndShortChunksAreDamaged) {
  const Frame values = stack(100, 1);
  const auto bytes = std::as_bytes(std::span(values));
  const std::vector<std::byte> raw(bytes.begin(), bytes.end());
  for (const unsigned packing : {2U, 3U}) {
    auto chunk = test::pack_bitshuffle_chunk(raw, 2, 4096, packing == 3U ? BlockCodec::zstd : BlockCodec::lz4);
    const std::vector<unsigned> filter = {0, 3, 2, 0, packing};
    FileWriter good(temporary_file("bits.h5"));
    good.add_packed("/data", {1, 20, 30}, H5T_STD_U16LE, 32008, filter, chunk);
    EXPECT_EQ(fill(*must(try_open(good.path())), 0).pixels<std::uint16_t>(), values) << packing;
    chunk.resize(chunk.size() - 3);
    FileWriter cut(temporary_file("cut_bits.h5"));
    cut.add_packed("/data", {1, 20, 30}, H5T_STD_U16LE, 32008, filter, chunk);
    EXPECT_EQ(fill_error(*must(try_open(cut.path())), 0).id, "file.unreadable") << packing;
  }
}

// What is in the header of a file, changed as damage would.
template <class Number>
void change(const std::string& path, const std::vector<Number>& from, const std::vector<Number>& to) {
  auto bytes = test::read_file(path);
  const auto old = test::bytes_of(from), now = test::bytes_of(to);
  const auto at = std::search(bytes.begin(), bytes.end(), old.begin(), old.end());
  ASSERT_NE(at, bytes.end());
  std::copy(now.begin(), now.end(), at);
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
}

TEST(DiskArray, AChunkThatIsShorterThanItsArrayIsDamaged) {
  const std::vector<std::byte> chunk(100, std::byte{7});
  const auto path = FileWriter(temporary_file("short_chunk.h5"))
                        .add_packed("/data", {1, 20, 30}, H5T_STD_U16LE, H5Z_FILTER_DEFLATE, {1}, chunk)
                        .path();
  // The message of the filters in the header of the dataset becomes one that says nothing.
  change<std::uint8_t>(path, {11, 0, 32, 0, 1, 0, 0, 0, 1, 1}, {0, 0, 32, 0, 1, 0, 0, 0, 1, 1});
  EXPECT_EQ(fill_error(*must(try_open(path)), 0).id, "file.unreadable");
}

TEST(DiskArray, AFilterOfTheLibraryIsGivenNoChunkBehindWhoseEndItWouldRead) {
  std::vector<std::byte> chunk(60);
  chunk[0] = std::byte{16};  // bits of each of 600 elements
  const auto path = FileWriter(temporary_file("short_scaleoffset.h5"))
                        .add_packed("/data", {1, 20, 30}, H5T_STD_U16LE, H5Z_FILTER_SCALEOFFSET, {H5Z_SO_INT, 0}, chunk)
                        .path();
  EXPECT_EQ(fill_error(*must(try_open(path)), 0).id, "file.unreadable");
}

TEST(DiskArray, AHeaderWithFewerPixelsThanItsShapeHasAbsentFrames) {
  const auto path =
      FileWriter(temporary_file("short_header.h5")).add("/data", {2, 20, 30}, stack(5, 2), {.compact = true}).path();
  change<std::uint64_t>(path, {2, 20, 30}, {40, 20, 30});
  const auto source = must(try_open(path));
  EXPECT_EQ(source->size(), 40U);
  EXPECT_EQ(fill(*source, 1).pixels<std::uint16_t>(), frame(6));
  EXPECT_EQ(fill_error(*source, 2).id, "frame.absent");
}

TEST(DiskArray, BigEndianNumbersComeOutAsNumbers) {
  const auto values = counting<std::uint16_t>(2 * kPixels, 60000);
  for (const test::Storage& storage : {test::Storage{}, test::Storage{.chunk = {1, 20, 30}, .gzip = 1},
                                       test::Storage{.chunk = {2, 8, 7}, .shuffle = true, .fletcher32 = true}}) {
    FileWriter writer(temporary_file("big.h5"));
    writer.add_as("/data", {2, 20, 30}, H5T_STD_U16BE, values, storage);
    const auto pixels = fill(*must(try_open(writer.path())), 1).pixels<std::uint16_t>();
    EXPECT_TRUE(std::equal(pixels.begin(), pixels.end(), values.begin() + kPixels));
  }
}

TEST(Hdf5Source, WhatCannotBeOpenedIsNotAsIfItWereNotThere) {
  const Frame mask = frame(1);
  FileWriter external(temporary_file("dead_external.h5"));
  external.add("/entry/data/mask", {20, 30}, mask).add_external_link("/entry/data/data", "run12.h5", "/images");
  EXPECT_THAT(open_error(external.path()).text(),
              AllOf(HasSubstr("/images of run12.h5"), HasSubstr("unable to open external file")));
  FileWriter soft(temporary_file("dead_soft.h5"));
  soft.add("/entry/data/mask", {20, 30}, mask);
  H5Lcreate_soft("/gone", soft.file(), "/entry/data/data", H5P_DEFAULT, H5P_DEFAULT);
  EXPECT_THAT(open_error(soft.path()).text(), HasSubstr("/gone"));
}

TEST(Hdf5Source, AMaskAFlatFieldOrAMapIsNeverTheImageByItself) {
  for (const char* name : {"/entry/mask", "/entry/instrument/detector/pixel_mask", "/flatfield", "/entry/pedestals",
                           "/lookup_map", "/bad_pixels"}) {
    const auto path = FileWriter(temporary_file("only_mask.h5")).add(name, {20, 30}, frame(1)).path();
    EXPECT_EQ(open_error(path).id, "file.no-images") << name;
  }
}

TEST(Hdf5Source, DectrisDataFilesArePlayedInOrderAndAMissingOneIsNamed) {
  const auto master = [](const std::string& name, std::initializer_list<int> numbers) {
    FileWriter writer(temporary_file(name));
    writer.add("/entry/instrument/detector/pixel_mask", {20, 30}, frame(1)).add("/entry/data/notes", {1}, frame(1));
    for (const int n : numbers) {
      const std::string file = "lyso_" + std::to_string(n) + ".h5";
      if (n != 4 && !fs::exists(temporary_file(file)))
        FileWriter(temporary_file(file)).add("/data", {2, 20, 30}, stack(static_cast<std::uint16_t>(10 * n), 2)).path();
      writer.add_external_link("/entry/data/data_00000" + std::to_string(n), fs::path(temporary_file(file)).filename(),
                               "/data");
    }
    return writer.path();
  };
  const auto source = must(try_open(master("master.h5", {2, 1, 3})));
  ASSERT_EQ(source->size(), 6U);
  EXPECT_EQ(fill(*source, 0).pixels<std::uint16_t>(), frame(10));
  EXPECT_EQ(fill(*source, 5).pixels<std::uint16_t>(), frame(31));
  EXPECT_THAT(open_error(master("gap.h5", {1, 3})).text(), HasSubstr("none of the number 2"));
  const auto dead = master("dead.h5", {1, 2, 3, 4});
  EXPECT_THAT(open_error(dead).text(), HasSubstr("lyso_4.h5"));
  EXPECT_EQ(must(try_open(dead, true))->size(), 6U);
}

// A process that writes two frames with this library's newest format, and ends as it is told.
class OtherWriter {
 public:
  enum class Mode { plain, swmr };
  OtherWriter(const std::string& path, Mode mode) {
    int ready[2];
    if (pipe(ready) != 0) throw std::runtime_error("pipe");
    pid_ = fork();
    if (pid_ == 0) write(path, mode, ready[1]);
    char done = 0;
    close(ready[1]);
    if (::read(ready[0], &done, 1) != 1) throw std::runtime_error("the writer has failed");
    close(ready[0]);
  }
  OtherWriter(const OtherWriter&) = delete;
  OtherWriter& operator=(const OtherWriter&) = delete;
  ~OtherWriter() { end(); }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, 0), nullptr, 0);
  }

 private:
  [[noreturn]] static void write(const std::string& path, Mode mode, int ready) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    const hsize_t dims[] = {2, 20, 30}, most[] = {H5S_UNLIMITED, 20, 30}, chunk[] = {1, 20, 30};
    H5Pset_chunk(creation, 3, chunk);
    const hid_t space = H5Screate_simple(3, dims, most);
    const hid_t dataset = H5Dcreate2(file, "data", H5T_STD_U16LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    bool good = dataset >= 0 && (mode == Mode::plain || H5Fstart_swmr_write(file) >= 0);
    const Frame frames = stack(5, 2);
    good = good && H5Dwrite(dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, frames.data()) >= 0;
    good = good && H5Dflush(dataset) >= 0 && H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0;
    if (good && ::write(ready, "", 1) == 1) pause();
    _exit(1);
  }
  pid_t pid_ = 0;
};

TEST(Hdf5Source, WhatASwmrWriterHasOpenIsReadAsItIsAlsoWhenItWasKilled) {
  const auto path = temporary_file("swmr.h5");
  OtherWriter writer(path, OtherWriter::Mode::swmr);
  EXPECT_EQ(fill(*must(try_open(path)), 1).pixels<std::uint16_t>(), frame(6));
  writer.end();
  EXPECT_EQ(fill(*must(try_open(path)), 1).pixels<std::uint16_t>(), frame(6));
}

TEST(Hdf5Source, AFileOfALivingOrKilledWriterGetsTheRemedyThatWorks) {
  const auto path = temporary_file("written.h5");
  OtherWriter writer(path, OtherWriter::Mode::plain);
  const Error living = open_error(path);
  EXPECT_EQ(living.id, "file.unreadable");
  EXPECT_THAT(living.remedy, AllOf(HasSubstr("another program has it open"), HasSubstr("HDF5_USE_FILE_LOCKING")));
  writer.end();
  EXPECT_THAT(open_error(path).remedy, HasSubstr("h5clear -s " + path));
  if (std::system(("h5clear -s " + path).c_str()) != 0) GTEST_SKIP() << "no h5clear";
  EXPECT_EQ(fill(*must(try_open(path)), 1).pixels<std::uint16_t>(), frame(6));
}

TEST(Hdf5Source, LocksThatAFileSystemRefusesAreLeftOutWhereTheEnvironmentSaysSo) {
  const auto path = part_file("locked.h5", 5, 2);
  const auto whole = fs::path(temporary_file("locked.h5")).string();
  const int held = ::open(whole.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(held, LOCK_EX | LOCK_NB), 0);
  // The library looks at its environment once, when it is loaded: in a process of its own.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
  EXPECT_EXIT(std::exit(try_open(whole).ok() ? 0 : 1), testing::ExitedWithCode(0), "");
  unsetenv("HDF5_USE_FILE_LOCKING");
  EXPECT_THAT(open_error(whole).remedy, HasSubstr("HDF5_USE_FILE_LOCKING=FALSE"));
  close(held);
}

TEST(DiskArray, HalfFloatsComeOutAsNumbersHoweverTheyAreStored) {
  const Hdf5Guard guard;
  const Hdf5Handle half(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  H5Tset_fields(half.get(), 15, 10, 5, 0, 10);
  H5Tset_size(half.get(), 2);
  H5Tset_ebias(half.get(), 15);
  const Frame both = stack(40, 2);
  const std::vector<float> values(both.begin(), both.end());
  for (const H5T_order_t order : {H5T_ORDER_LE, H5T_ORDER_BE}) {
    H5Tset_order(half.get(), order);
    for (const test::Storage& storage :
         {test::Storage{}, test::Storage{.chunk = {1, 20, 30}, .shuffle = true, .gzip = 1},
          test::Storage{.chunk = {2, 7, 9}}}) {
      const auto path =
          FileWriter(temporary_file("half.h5")).add_as("/data", {2, 20, 30}, half.get(), values, storage).path();
      EXPECT_EQ(fill(*must(try_open(path)), 1).pixels<std::uint16_t>(), frame(41));
    }
  }
}

TEST(Hdf5Source, ThresholdsAreNotPanels) {
  constexpr shm::Geometry kPanels{8, 2, 20, 30, PixelType::uint16};
  const auto path =
      FileWriter(temporary_file("thresholds.h5")).add("/entry/data/data_000001", {3, 2, 20, 30}, stack(0, 6)).path();
  EXPECT_THAT(open_error(path, kPanels).text(), HasSubstr("thresholds"));
}

TEST(Hdf5Source, TheUnitsOfAnEnergyDecide) {
  struct Case {
    const char *place, *units;
    double value, expected;
  };
  for (const auto& [place, units, value, expected] :
       {Case{"/entry_1/instrument_1/source_1/energy", "eV", 9500.0, 9500.0},
        Case{"/entry_1/instrument_1/source_1/energy", "keV", 9.5, 9500.0},
        Case{"/LCLS/photon_energy_eV", "J", 1.52206780223e-15, 9500.0},
        Case{"/entry/instrument/beam/incident_wavelength", "angstrom", 1.3051, 9499.98},
        Case{"/entry/instrument/beam/incident_wavelength", "nm", 0.13051, 9499.98},
        Case{"/entry/instrument/beam/incident_energy", "eV", 9500.0, 9500.0},
        Case{"/LCLS/photon_energy_eV", "", 1.52e-15, NAN}, Case{"/LCLS/photon_energy_eV", "", -999.0, NAN},
        Case{"/LCLS/photon_energy_eV", "furlong", 9500.0, NAN},
        Case{"/entry/instrument/source/energy", "GeV", 3.0, NAN}}) {
    FileWriter writer(temporary_file("units.h5"));
    writer.add("/data", {2, 20, 30}, stack(0, 2)).add(place, {}, std::vector<double>{value});
    if (*units != '\0') writer.add_units(place, units);
    const double energy = fill(*must(try_open(writer.path())), 1).info.photon_energy_ev;
    if (std::isnan(expected))
      EXPECT_TRUE(std::isnan(energy)) << place << units << energy;
    else
      EXPECT_NEAR(energy, expected, 0.02) << place << units;
  }
}

TEST(Hdf5Source, TimesOfAnyFormAreUsed) {
  const auto time_of = [](auto add) {
    FileWriter writer(temporary_file("times.h5"));
    writer.add("/data", {2, 20, 30}, stack(0, 2));
    add(writer);
    return fill(*must(try_open(writer.path())), 1).info.timestamp;
  };
  const char* const place = "/LCLS/detector_1/timestamp";
  EXPECT_EQ(time_of([&](auto& w) {
              w.add(place, {2}, std::vector<double>{1.7e9, 1.7e9 + 0.5});
            }),
            1'700'000'000ULL << 32 | 500'000'000U);
  EXPECT_EQ(time_of([&](auto& w) {
              w.add_texts(place, {"1700000000.5", "1700000001.7"});
            }),
            1'700'000'001ULL << 32 | 7U);
  EXPECT_EQ(time_of([&](auto& w) { w.add(place, {}, std::vector<std::uint64_t>{1'700'000'000ULL << 32}); }),
            1'700'000'000ULL << 32);
  EXPECT_EQ(time_of([&](auto& w) { w.add(place, {2}, std::vector<std::uint64_t>(2, 1'141'171'200ULL << 32)); }),
            1'772'323'200ULL << 32);
  EXPECT_EQ(time_of([&](auto& w) { w.add(place, {2}, std::vector<std::uint64_t>(2, 1'772'366'400'500'000'000ULL)); }),
            1'772'366'400ULL << 32 | 500'000'000U);
}

}  // namespace
}  // namespace peaknet::feed
