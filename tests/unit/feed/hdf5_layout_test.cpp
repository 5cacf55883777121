#include "feed/decoders/hdf5_layout.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "feed/decoders/hdf5_image.hpp"
#include "feed/decoders/packed_values.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/processes.hpp"
#include "tests/unit/feed/read_at.hpp"
#include "tests/unit/feed/reader.hpp"
#include "tests/unit/feed/seeds.hpp"

namespace peaknet::feed {
namespace {

using test::must;
using test::reader_of;
using Bytes = std::vector<std::byte>;

DecodeOptions limits() {
  DecodeOptions options;
  options.limits.unpacked_bytes = std::size_t{1} << 20;
  return options;
}

// The bytes of all rows, one after the other; empty if one cannot be read.
Bytes all_rows(Hdf5Table& table) {
  Bytes all;
  Hdf5Rows::Memory memory;
  for (std::uint64_t i = 0; i < table.dims.front(); ++i) {
    const auto row = table.rows.row(i, memory);
    if (!row) return {};
    all.insert(all.end(), row->begin(), row->end());
  }
  return all;
}

TEST(Hdf5Layout, GoesToAnotherProcessAndBackWithoutLoss) {
  for (const auto& seed : test::seeds()) {
    if (seed.dialect != "hdf5") continue;
    SCOPED_TRACE(seed.name);
    const Hdf5Guard guard;
    const auto saved = save(survey_hdf5(reader_of(seed.message), seed.message.size(), test::kSeedFrames, limits()));
    auto survey = must(load_survey(saved, seed.message, limits()));
    EXPECT_EQ(saved, save(load_survey(saved, seed.message, limits())));
    EXPECT_FALSE(all_rows(survey.images).empty());
  }
}

// A damaged sandbox may say anything: nothing outside of the message is read, and no more memory taken than the limits
// allow. (The sanitizers see more of it than this test does.)
TEST(Hdf5Layout, WhateverAHelperSaysIsReadWithinTheMessage) {
  std::mt19937_64 random(7);
  std::size_t loaded = 0, refused = 0;
  for (const auto& seed : test::seeds()) {
    if (seed.dialect != "hdf5") continue;
    SCOPED_TRACE(seed.name);
    Bytes saved;
    {
      const Hdf5Guard guard;
      saved = save(survey_hdf5(reader_of(seed.message), seed.message.size(), test::kSeedFrames, limits()));
    }
    const auto exact = std::make_unique<std::byte[]>(seed.message.size());
    std::copy(seed.message.begin(), seed.message.end(), exact.get());
    for (int i = 0; i < 5000; ++i) {
      Bytes changed = saved;
      for (std::uint64_t n = 1 + random() % 3; n > 0; --n) {
        const std::size_t at = random() % changed.size();
        if (random() % 2 == 0) {
          changed[at] ^= static_cast<std::byte>(1U << random() % 8);
        } else {  // a number as a whole
          const std::uint64_t value = random() >> random() % 64;
          std::memcpy(changed.data() + at, &value, std::min(sizeof value, changed.size() - at));
        }
      }
      if (random() % 16 == 0) changed.resize(random() % changed.size());
      auto survey = load_survey(changed, {exact.get(), seed.message.size()}, limits());
      ++(survey ? loaded : refused);
      if (!survey || survey->images.dims.front() > 4096) continue;
      (void)all_rows(survey->images);
    }
  }
  EXPECT_GT(loaded, 0U);
  EXPECT_GT(refused, 1000U);
}

// What the sandbox's answer says of the times: so many rows of such a shape. Two images of the seeds' pool are there.
Bytes answer_with_times(const std::vector<std::uint64_t>& dims, std::uint64_t rows_per_piece, std::uint64_t piece_bytes,
                        std::uint64_t pieces) {
  const auto table = [](PackedValues& out, const std::string& path, const std::vector<std::uint64_t>& shape,
                        SampleType type, std::uint64_t in_piece, std::uint64_t bytes, std::uint64_t count) {
    out.put_text(path);
    out.put(shape.size());
    for (const std::uint64_t n : shape) out.put(n);
    out.put(static_cast<std::uint64_t>(type));
    out.put(0);  // no texts
    out.put(in_piece);
    out.put_bytes({});  // no data in headers
    out.put(0);         // no filter values
    out.put(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      out.put(0);
      out.put(bytes);
      out.put(0);  // not packed
    }
  };
  PackedValues out;
  out.put(1);
  const auto& frame = test::kSeedFrames;
  table(out, "/images", {2, frame.panels, frame.height, frame.width}, SampleType::f32, 2, 2 * frame.image_bytes(), 1);
  out.put(1);
  table(out, "/times", dims, SampleType::u64, rows_per_piece, piece_bytes, pieces);
  out.put(0);
  return std::move(out).bytes();
}

// A fuzzer has found these: the answer of a sandbox that the library has damaged is believed in nothing.
TEST(Hdf5Layout, TimesOfWhichTheHelperSaysTheImpossibleAreRefusedBeforeMemoryIsTaken) {
  const Bytes message(2 * test::kSeedFrames.image_bytes());
  Bytes answer;
  Hdf5ImageDecoder decoder(limits(), [&](std::span<const std::byte> bytes, const shm::Geometry&) {
    return load_survey(answer, bytes, limits());
  });
  const auto outcome = [&](Bytes says) {
    answer = std::move(says);
    const auto opened = decoder.open(message, test::kSeedFrames);
    return opened ? "fine" : opened.error().id;
  };
  EXPECT_EQ(outcome(answer_with_times({2}, 2, 16, 1)), "fine");
  EXPECT_EQ(outcome(answer_with_times({3}, 3, 24, 1)), "message.bad-field");
  // Rows without bytes: as many as one likes, and no piece that has them.
  EXPECT_EQ(outcome(answer_with_times({std::uint64_t{1} << 58, 0}, 1, 0, 0)), "hdf5.damaged");
  EXPECT_EQ(outcome(answer_with_times({2, 0}, 0, 0, 0)), "hdf5.damaged");
}

// Messages that a fuzzer has found: HDF5 1.10.8 writes where it must not, and crashes then or later.
TEST(Hdf5Layout, AMessageThatCrashesTheLibraryCostsItselfAlone) {
  const std::filesystem::path folder = test::source_dir() + "/tests/data/feed/hdf5";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "there is no " << folder;
  const auto seeds = test::seeds();
  const auto sound = std::find_if(seeds.begin(), seeds.end(), [](const auto& seed) { return seed.dialect == "hdf5"; });
  ASSERT_NE(sound, seeds.end());
  Hdf5ImageDecoder decoder(limits());
  for (const char* name : {"library_crash_read", "library_crash_size", "library_crash_size"}) {
    const Bytes message = test::read_file(folder / name);
    EXPECT_FALSE(decoder.open(message, test::kSeedFrames).ok()) << name;
    EXPECT_TRUE(decoder.open(sound->message, test::kSeedFrames).ok()) << name;
  }
}

// Messages that a fuzzer has found: by a damaged size, HDF5 asks for 4 GB where a message of 6 KB has something small;
// of the last one it makes gigabytes of small things, and never ends.
TEST(Hdf5Layout, AMessageForWhichTheLibraryWantsGigabytesIsRefusedTheMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers need the address space";
#endif
  const std::filesystem::path folder = test::source_dir() + "/tests/data/feed/hdf5";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "there is no " << folder;
  const auto seeds = test::seeds();
  const auto sound = std::find_if(seeds.begin(), seeds.end(), [](const auto& seed) { return seed.dialect == "hdf5"; });
  ASSERT_NE(sound, seeds.end());
  auto decoder = std::make_unique<Hdf5ImageDecoder>(DecodeOptions{});
  // What it asks for at once it does not touch, so the limit itself is what shows: that of a message of 1 GiB.
  const auto nurseries = test::children_of(getpid());
  ASSERT_EQ(nurseries.size(), 1U);
  std::vector<pid_t> workers;
  ASSERT_TRUE(test::eventually([&] {
    workers = test::children_of(nurseries.front());
    return workers.size() == 1;
  }));
  const std::string shown = "/proc/" + std::to_string(workers.front()) + "/limits";
  std::uint64_t most = 0;
  ASSERT_TRUE(test::eventually([&] {
    return static_cast<bool>(std::istringstream(test::line_of(shown, "Max data size")) >> most);  // or "unlimited"
  }));
  EXPECT_GT(most, std::uint64_t{512} << 20);
  EXPECT_LT(most, std::uint64_t{2} << 30);
  for (const char* name : {"library_memory_heap", "library_memory_header", "library_memory_used"}) {
    const Bytes message = test::read_file(folder / name);
    EXPECT_FALSE(decoder->open(message, test::kSeedFrames).ok()) << name;
    EXPECT_TRUE(decoder->open(sound->message, test::kSeedFrames).ok()) << name;
  }
  decoder.reset();
  rusage used{};  // of the largest of its processes
  ASSERT_EQ(getrusage(RUSAGE_CHILDREN, &used), 0);
  EXPECT_LT(used.ru_maxrss, 1L << 20) << "KiB";
  EXPECT_GT(used.ru_maxrss, 1L << 17) << "KiB: the last message did want much";
}

}  // namespace
}  // namespace peaknet::feed
