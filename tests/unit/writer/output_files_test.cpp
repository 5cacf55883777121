#include "writer/output_files.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <set>
#include <thread>

#include "cxi/file_name.hpp"
#include "cxi/recovery.hpp"
#include "cxi/run_tables.hpp"
#include "hits/event_builder.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/writer/stage.hpp"

namespace peaknet::writer {
namespace {

using shm::SlotState;
using test::must;

class OutputTest : public ::testing::Test {
 protected:
  OutputTest() {
    settings_ = stage_.settings(folder_.path());
    settings_.output.sums = false;  // files alone
  }

  OutputFiles& output() {
    if (!output_) output_ = std::make_unique<OutputFiles>(settings_, *consumer_, names_);
    return *output_;
  }
  // Takes everything in Q2 and writes it.
  void write_all() {
    EventBuilder examiner(settings_.peaks);
    for (auto& frame : consumer_->take(64).frames) {
      auto verdict = examiner.examine(frame);
      ASSERT_TRUE(output().write(frame, std::move(verdict.event)));
    }
  }
  void feed(std::uint64_t count, std::optional<double> energy = 9500.0) {
    for (std::uint64_t i = 0; i < count; ++i) stage_.feed({.number = next_++, .photon_energy_ev = energy});
  }
  std::size_t files(const std::string& suffix) const {
    std::size_t count = 0;
    for (const auto& name : folder_.names()) count += name.ends_with(suffix) ? 1 : 0;
    return count;
  }

  test::Stage stage_;
  test::TempFolder folder_;
  config::Config settings_;
  std::unique_ptr<shm::Consumer> consumer_ = stage_.instance().consumer(shm::Queue::q2);
  FileNames names_{folder_.path(), config::Config::Output{}};
  std::unique_ptr<OutputFiles> output_;
  std::uint64_t next_ = 0;
};

TEST_F(OutputTest, AFileIsSeenUnderItsNameOnlyWhenItIsWhole) {
  feed(3);
  write_all();
  EXPECT_EQ(files(".cxi"), 0U);
  EXPECT_EQ(files(".cxi.part"), 1U);
  EXPECT_EQ(files(".cxi.ledger"), 1U);
  EXPECT_TRUE(output().make_durable());
  EXPECT_EQ(files(".cxi"), 0U);
  EXPECT_TRUE(output().finish());
  EXPECT_EQ(files(".cxi"), 1U);
  EXPECT_EQ(folder_.names().size(), 1U);
  EXPECT_EQ(test::events_in(folder_.path(), stage_.geometry()).size(), 3U);
}

TEST_F(OutputTest, ASlotIsFreeOnlyAfterItsEventIsInTheLedger) {
  feed(3);
  write_all();
  EXPECT_EQ(stage_.instance().slots_in(SlotState::writing), 3U);
  EXPECT_EQ(output().unreleased(), 3U);
  EXPECT_EQ(stage_.instance().total(shm::Counter::written), 0U);
  EXPECT_TRUE(output().make_durable());
  EXPECT_EQ(stage_.instance().slots_in(SlotState::writing), 0U);
  EXPECT_EQ(stage_.instance().total(shm::Counter::written), 3U);
  EXPECT_EQ(stage_.instance().total(shm::Counter::peaks), 36U);
  for (const auto& name : folder_.names()) {
    if (!name.ends_with(".ledger")) continue;
    EXPECT_EQ(must(read_ledger(must(PosixFile::open(folder_.path() / name, O_RDONLY)))).events.size(), 3U);
  }
  EXPECT_BALANCED(stage_.instance());
}

// Bytes of the file in the kernel's page cache.
std::size_t cached_bytes(const std::filesystem::path& path) {
  const auto file = must(PosixFile::open(path, O_RDWR));
  const auto size = static_cast<std::size_t>(must(file.size()));
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd(), 0);
  EXPECT_NE(mapped, MAP_FAILED);
  std::vector<unsigned char> in_core((size + page - 1) / page);
  EXPECT_EQ(::mincore(mapped, size, in_core.data()), 0);
  ::munmap(mapped, size);
  return page * static_cast<std::size_t>(std::ranges::count_if(in_core, [](unsigned char c) { return (c & 1) != 0; }));
}

bool is_in_memory_alone(const std::filesystem::path& folder) {
  struct statfs info {};
  return ::statfs(folder.c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC;
}

TEST_F(OutputTest, WhatIsDurableTakesNoMemoryOfTheMachineUnlessItIsWantedThere) {
  if (is_in_memory_alone(folder_.path())) GTEST_SKIP() << "the folder for temporary files is memory";
  constexpr std::size_t kEvents = 8;  // fewer than fill a file
  const std::size_t images = kEvents * stage_.geometry().image_bytes();
  for (const bool wanted : {false, true}) {
    output_.reset();
    settings_.output.keep_cached = wanted;
    feed(kEvents);
    write_all();
    std::filesystem::path part;
    for (const auto& name : folder_.names())
      if (name.ends_with(".part")) part = folder_.path() / name;
    EXPECT_GE(cached_bytes(part), images);
    EXPECT_TRUE(output().make_durable());
    if (wanted)
      EXPECT_GE(cached_bytes(part), images);
    else
      EXPECT_LT(cached_bytes(part), images / 4);
    EXPECT_TRUE(output().finish());
  }
  EXPECT_EQ(test::events_in(folder_.path(), stage_.geometry()).size(), 2 * kEvents);
}

TEST_F(OutputTest, WithoutAnEventThereIsNoFile) {
  EXPECT_TRUE(output().make_durable());
  EXPECT_TRUE(output().finish());
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(OutputTest, AFullFileIsFinishedByItself) {
  settings_.output.events_per_file = 4;
  feed(10);
  write_all();
  EXPECT_EQ(stage_.instance().total(shm::Counter::written), 8U) << "durable at once, whenever the file has its name";
  EXPECT_TRUE(test::eventually([&] { return output().finish_old() && files(".cxi") == 2; }));
  EXPECT_TRUE(output().finish());
  EXPECT_EQ(files(".cxi"), 3U);
  EXPECT_EQ(files(".ledger"), 0U);
  EXPECT_EQ(stage_.instance().total(shm::Counter::files), 3U);
  EXPECT_EQ(stage_.instance().total(shm::Counter::written), 10U);
}

TEST_F(OutputTest, AnOldFileIsFinishedEvenIfItIsNotFull) {
  settings_.output.max_seconds = 0.05;
  feed(1);
  write_all();
  EXPECT_TRUE(output().finish_old());
  EXPECT_EQ(files(".cxi"), 0U);
  ASSERT_TRUE(output().next_due());
  std::this_thread::sleep_until(*output().next_due() + std::chrono::milliseconds(60));
  EXPECT_TRUE(test::eventually([&] { return output().finish_old() && files(".cxi") == 1; }));
}

// A full file is finished by another thread; what is wrong with it is heard of later, and loses nothing.
TEST_F(OutputTest, AFullFileThatCannotBeFinishedIsTroubleOfItsOwnAndItsEventsAreRecovered) {
  settings_.output.events_per_file = 4;
  feed(3);
  write_all();
  std::string name;
  for (const auto& found : folder_.names()) {
    if (found.ends_with(".cxi.part")) name = found.substr(0, found.size() - 5);
  }
  test::write_all(folder_.path() / name, std::vector<std::byte>(1));  // somebody has taken the name
  feed(3);
  write_all();
  std::optional<Error> trouble;
  EXPECT_TRUE(test::eventually([&] {
    output().finish_old();
    if (auto heard = output().trouble()) trouble = heard;
    return trouble.has_value();
  }));
  EXPECT_EQ(trouble->id, "output.exists") << trouble->text();
  EXPECT_TRUE(output().take_uncertain().empty()) << "its events were durable before";
  EXPECT_TRUE(output().finish()) << "the next file is as good as any";
  EXPECT_EQ(stage_.instance().total(shm::Counter::written), 6U);
  std::filesystem::remove(folder_.path() / name);
  Recovery recovery(folder_.path(), stage_.instance().name());
  EXPECT_EQ(recovery.look().finished.size(), 1U);
  EXPECT_EQ(test::events_in(folder_.path(), stage_.geometry()).size(), 6U);
}

TEST_F(OutputTest, AWriterThatGoesWhileAFullFileIsBeingFinishedLeavesItFinished) {
  settings_.output.events_per_file = 4;
  feed(4);
  write_all();
  output_.reset();
  EXPECT_EQ(files(".cxi"), 1U);
  EXPECT_EQ(folder_.names().size(), 1U);
  EXPECT_EQ(test::events_in(folder_.path(), stage_.geometry()).size(), 4U);
}

TEST_F(OutputTest, AFileHoldsOneRun) {
  feed(2);
  stage_.set_run("0002");
  feed(2);
  write_all();
  EXPECT_EQ(files(".cxi"), 1U);
  EXPECT_TRUE(output().finish());
  const auto names = folder_.names();
  ASSERT_EQ(names.size(), 2U);
  EXPECT_NE(names[0].find("_run0001_"), std::string::npos);
  EXPECT_NE(names[1].find("_run0002_"), std::string::npos);
}

// What a Simplon sender's start message says: the frames carry it.
TEST_F(OutputTest, ASourcesNewRunHasFilesOfItsOwn) {
  const auto feed_of = [&](const std::string& source_run, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) stage_.feed({.number = next_++, .source_run = source_run});
  };
  // One image of the first run is overtaken by the next run's.
  feed_of("lyso_12", 3);
  feed_of("lyso_13", 1);
  feed_of("lyso_12", 1);
  feed_of("lyso_13", 3);
  write_all();
  EXPECT_EQ(files(".cxi.part"), 2U);
  EXPECT_EQ(files(".cxi"), 0U);
  ASSERT_TRUE(output().next_due());
  const auto due = *output().next_due();
  EXPECT_LE(due, Clock::now() + OutputFiles::kLate);
  // The first run's file ends by itself, the running one's does not.
  std::this_thread::sleep_until(due);
  ASSERT_TRUE(test::eventually([&] { return output().finish_old() && files(".cxi") == 1; }));
  EXPECT_EQ(files(".cxi.part"), 1U);
  EXPECT_NE(test::finished_files(folder_.path()).front().string().find("_run0001.lyso_12_"), std::string::npos);
  EXPECT_EQ(test::events_in(folder_.path(), stage_.geometry()).size(), 4U);
  EXPECT_TRUE(output().finish());
  const auto names = folder_.names();
  ASSERT_EQ(names.size(), 2U);
  EXPECT_NE(names[1].find("_run0001.lyso_13_"), std::string::npos);
  EXPECT_EQ(test::events_in(folder_.path(), stage_.geometry()).size(), 8U);
  EXPECT_BALANCED(stage_.instance());
}

TEST_F(OutputTest, SourcesThatTakeTurnsDoNotMakeAFileOfEachEventAndNotManyAreOpen) {
  for (int round = 0; round < 4; ++round) {
    for (const char* source : {"a", "b", ""}) stage_.feed({.number = next_++, .source_run = source});
  }
  write_all();
  EXPECT_EQ(files(".cxi.part"), 3U);
  for (std::size_t i = 0; i < 2 * OutputFiles::kMostOpen; ++i) {
    stage_.feed({.number = next_++, .source_run = "run " + std::to_string(i)});
    write_all();
    EXPECT_LE(files(".cxi.ledger"), OutputFiles::kMostOpen + 1) << "one more may be on its way to its name";
  }
  EXPECT_TRUE(output().finish());
  EXPECT_EQ(files(".cxi"), 3 + 2 * OutputFiles::kMostOpen);
  EXPECT_EQ(test::events_in(folder_.path(), stage_.geometry()).size(), 12 + 2 * OutputFiles::kMostOpen);
  EXPECT_BALANCED(stage_.instance());
}

TEST_F(OutputTest, EventsWithoutAPhotonEnergyHaveAFileOfTheirOwn) {
  for (int i = 0; i < 3; ++i) {
    feed(1);
    feed(1, std::nullopt);
  }
  write_all();
  EXPECT_TRUE(output().finish());
  const auto files = test::finished_files(folder_.path());
  ASSERT_EQ(files.size(), 2U);
  for (const auto& file : files) {
    const auto failing = test::failing_items(file, "--events 3");
    EXPECT_TRUE(failing.empty() || failing == "skipped") << failing;
  }
}

TEST_F(OutputTest, NamesSayRunTimeWriterAndNumber) {
  EXPECT_EQ(names_.next("r 1/2", {}, "", 12, 1'790'000'000'000'007'000).filename().string(),
            "peaknet_cxi_runr-1-2_chunk0000_20260921_141320_000007_w12.cxi")
      << "the time is UTC";
  const auto of_source = names_.next("7", {}, "lyso/3", 1, 0).filename().string();
  EXPECT_TRUE(of_source.starts_with("peaknet_cxi_run7.lyso-3_")) << of_source;
  EXPECT_TRUE(names_.next("", {}, "", 1, 0).filename().string().starts_with("peaknet_cxi_rununknown_chunk0002_"));
}

TEST_F(OutputTest, NamesDoNotDependOnTheZone) {
  const char* before = std::getenv("TZ");
  const std::string kept = before == nullptr ? "" : before;
  std::set<std::string> names;
  for (const char* zone : {"UTC0", "PST8PDT,M3.2.0,M11.1.0", "JST-9"}) {
    ::setenv("TZ", zone, 1);
    ::tzset();
    names.insert(FileNames("/tmp", config::Config::Output{})
                     .next("1", {}, "", 1, 1'790'000'000'000'007'000)
                     .filename()
                     .string());
  }
  before == nullptr ? ::unsetenv("TZ") : ::setenv("TZ", kept.c_str(), 1);
  ::tzset();
  EXPECT_EQ(names.size(), 1U);
}

TEST_F(OutputTest, NamesOfAProcessStayInOrderWhenTheClockIsSetBack) {
  const auto first = names_.next("1", {}, "", 1, 1'790'000'000'000'007'000);
  const auto second = names_.next("1", {}, "", 1, 1'789'999'000'000'000'000);
  EXPECT_TRUE(EarlierFile()(first.filename().string(), second.filename().string()));
  EXPECT_LT(first, second);
}

TEST_F(OutputTest, NamesHaveWhatWasSaidOfTheRunWhereItIsWanted) {
  config::Config::Output output;
  output.run_name = "{proposal}_{run_number}_{user}_{run}";
  FileNames names("/data", output);
  const auto name = [&](const shm::RunFacts& facts, const std::string& run = "A7") {
    const auto path = names.next(run, facts, "", 1, 0);
    EXPECT_EQ(path.parent_path(), "/data");
    EXPECT_TRUE(parse_file_name(path.filename().string())) << path;
    return path.filename().string();
  };
  EXPECT_TRUE(name({.number = 217, .proposal = "mfx", .user = "jet 2"})
                  .starts_with("peaknet_cxi_runmfx_217_jet-2_A7_chunk0000_"));
  EXPECT_TRUE(name({}).starts_with("peaknet_cxi_rununknown_unknown_unknown_A7_chunk0001_"));
  const auto climbing = name({.number = {}, .proposal = "..", .user = "/../../etc/passwd"});
  EXPECT_EQ(climbing.find('/'), std::string::npos) << climbing;
  output.file_prefix = std::string(128, 'p');
  names = FileNames("/data", output);
  const std::string run(20, 'B');
  const auto longest = name({.number = 1, .proposal = std::string(31, 'q'), .user = std::string(127, 'u')}, run);
  EXPECT_TRUE(longest.starts_with(output.file_prefix + "_run" + run + "_chunk"))
      << "a name that a folder takes: " << longest;
}

TEST_F(OutputTest, AFileSaysWhatWasSaidOfItsRun) {
  const shm::RunFacts said{.number = 217, .proposal = "mfxl1038923", .user = "lysozyme, jet 2"};
  feed(1);
  shm::enter_run_facts(stage_.instance().layout(), 1, "0001", said);
  write_all();
  EXPECT_TRUE(output().finish());
  const auto guard = use_hdf5();
  const H5Handle file(H5Fopen(test::finished_files(folder_.path())[0].c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  EXPECT_EQ(read_run_facts(file.get()), said);
}

TEST_F(OutputTest, AFileSaysWhereItComesFrom) {
  feed(1);
  write_all();
  EXPECT_TRUE(output().finish());
  const auto guard = use_hdf5();
  const H5Handle file(H5Fopen(test::finished_files(folder_.path())[0].c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  const auto number = [&](const char* object, const char* name) {
    const H5Handle attribute(H5Aopen_by_name(file.get(), object, name, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    std::uint64_t value = 999;
    H5Aread(attribute.get(), H5T_NATIVE_UINT64, &value);
    return value;
  };
  EXPECT_EQ(number("/entry_1/peaknet", "writer"), consumer_->participant().number());
  EXPECT_EQ(number("/entry_1/peaknet", "complete"), 1U);
  EXPECT_EQ(number("/entry_1/peaknet", "recovered"), 0U);
  EXPECT_EQ(number("/entry_1/peaknet/books", "committed"), 1U);
  EXPECT_EQ(number("/entry_1/peaknet/books", "written"), 1U);
  const H5Handle model(H5Aopen_by_name(file.get(), "/entry_1/peaknet", "model", H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const H5Handle type(H5Aget_type(model.get()), H5Tclose);
  char* text = nullptr;
  ASSERT_GE(H5Aread(model.get(), type.get(), &text), 0);
  EXPECT_STREQ(text, "builtin:test");
  H5free_memory(text);
}

TEST_F(OutputTest, AWriterThatGoesLeavesItsFramesInQ2AndItsDurableEventsForTheNext) {
  feed(2);
  write_all();
  EXPECT_TRUE(output().make_durable());
  feed(2);
  write_all();
  output_.reset();
  EXPECT_EQ(stage_.instance().slots_in(SlotState::done), 2U);
  EXPECT_EQ(files(".cxi"), 0U);
  Recovery recovery(folder_.path(), stage_.instance().name());
  EXPECT_EQ(recovery.look().finished.size(), 1U);
  EXPECT_EQ(test::events_in(folder_.path(), stage_.geometry()).size(), 2U);
}

TEST_F(OutputTest, AFolderThatIsGoneIsTroubleAndTheFrameStaysWithTheCaller) {
  const auto moved = folder_.path().string() + ".moved";
  std::filesystem::rename(folder_.path(), moved);
  feed(1);
  auto frames = consumer_->take(1).frames;
  EXPECT_FALSE(output().write(frames[0], EventBuilder(settings_.peaks).examine(frames[0]).event));
  const auto trouble = output().trouble();
  ASSERT_TRUE(trouble);
  EXPECT_EQ(trouble->id, "output.folder-missing");
  EXPECT_FALSE(output().trouble());
  std::filesystem::rename(moved, folder_.path());
  EXPECT_TRUE(output().write(frames[0], EventBuilder(settings_.peaks).examine(frames[0]).event));
  EXPECT_TRUE(output().finish());
  EXPECT_EQ(files(".cxi"), 1U);
}

}  // namespace
}  // namespace peaknet::writer
