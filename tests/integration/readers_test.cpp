// Compressed files of the whole system, as other programs read them: the same whether or not the writer found a plugin
// for filter 32008 on its machine. scripts/setup fetches the plugins that the readers need into a folder of its own
// (cmake puts it into PEAKNET_HDF5_PLUGINS), so that here they are installed or not as a test wants it; where the
// folder is absent, the tests are skipped by name.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

namespace fs = std::filesystem;

std::string plugins(const std::string& part) {
  const char* folder = std::getenv("PEAKNET_HDF5_PLUGINS");
  const std::string path = folder == nullptr ? "" : std::string(folder) + "/" + part;
  return fs::exists(path) ? path : "";
}

class Readers : public ::testing::Test {
 protected:
  // The file of the same frames each time: two panels, with images and masks.
  fs::path written(const std::string& compression, const std::string& plugin_path) {
    const auto before = system_.files();
    system_.start_writer({"output.compression=" + compression, "output.segmentation=true"},
                         {"HDF5_PLUGIN_PATH=" + plugin_path});
    if (!before.empty()) {  // the first run began by itself
      EXPECT_EQ(system_.ctl({"start"}).wait(), Exit::code(0));
    }
    auto feed = system_.feed({"simulate", "--frames", "6", "--hit-fraction", "1", "--seed", "17"});
    EXPECT_EQ(feed.wait(), Exit::code(0)) << feed.err();
    EXPECT_EQ(system_.ctl({"stop"}).wait(), Exit::code(0));
    system_.writer().signal(SIGTERM);
    EXPECT_EQ(system_.writer().wait(), Exit::code(0)) << system_.writer().err();
    for (const auto& file : system_.files()) {
      if (std::find(before.begin(), before.end(), file) == before.end()) return file;
    }
    ADD_FAILURE() << "no file was written";
    return {};
  }

  void SetUp() override {
    fs::create_directories(nothing_);
    system_.start_daemon();
  }

  // What read_compressed.py says of the files.
  void expect_equal(const std::string& reader, const std::vector<fs::path>& files,
                    std::vector<std::string> environment) {
    std::vector<std::string> command{"/usr/bin/python3", source_dir() + "/tests/integration/read_compressed.py",
                                     reader};
    for (const auto& file : files) command.push_back(file.string());
    auto read = Child::start(command, {std::move(environment), {}});
    const Exit exit = read.wait();
    if (exit == Exit::code(77)) GTEST_SKIP() << read.out();
    EXPECT_EQ(exit, Exit::code(0)) << read.out() << read.err();
  }

  System system_{{.model = "builtin:threshold=150", .shape = "[2,128,160]"}};
  fs::path nothing_ = system_.folder() / "no_plugins";
};

TEST_F(Readers, H5pyWithHdf5pluginReadsTheSameWhetherOrNotTheWriterHadThePlugin) {
  const auto python = plugins("python");
  if (python.empty()) GTEST_SKIP() << "hdf5plugin is not here: scripts/setup fetches it";
  const std::string with = python + "/hdf5plugin/plugins";
  ASSERT_TRUE(fs::exists(with + "/libh5bshuf.so"));
  const std::vector<fs::path> files = {written("none", nothing_), written("bitshuffle-lz4", nothing_),
                                       written("bitshuffle-lz4", with)};
  expect_equal("h5py", files, {"PYTHONPATH=" + python});
}

TEST_F(Readers, H5dumpWithDebiansPluginReadsTheSameWhetherOrNotTheWriterHadThePlugin) {
  const auto with = plugins("debian");
  if (with.empty()) GTEST_SKIP() << "Debian's bitshuffle plugin is not here: scripts/setup fetches it";
  ASSERT_TRUE(fs::exists(with + "/libh5bshuf.so"));
  const std::vector<fs::path> files = {written("none", nothing_), written("bitshuffle-lz4", nothing_),
                                       written("bitshuffle-lz4", with)};
  expect_equal("h5dump", files, {"HDF5_PLUGIN_PATH=" + with});
  // That it was the plugin which read them: without it nothing can.
  auto without = Child::start({"/usr/bin/h5dump", "-d", "/entry_1/data_1/data", "-o", "/dev/null", files[1]},
                              {{"HDF5_PLUGIN_PATH=" + nothing_.string()}, {}});
  EXPECT_FALSE(without.wait() == Exit::code(0));
}

}  // namespace
}  // namespace peaknet::test
