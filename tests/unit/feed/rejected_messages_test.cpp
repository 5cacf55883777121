#include "feed/rejected_messages.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::must;
using test::temporary_file;
using Bytes = std::vector<std::byte>;

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

TEST(RejectedMessages, KeepsTheFirstOfEachCauseAndNoMoreThanItsLimits) {
  const auto folder = temporary_file("bad/of today");
  const auto quarantine = must(RejectedMessages::open(folder, {.bytes = 1000, .files_per_cause = 2}));
  EXPECT_TRUE(quarantine->keep(Bytes(100, std::byte{1}), "npz.damaged"));
  EXPECT_TRUE(quarantine->keep(Bytes(100, std::byte{2}), "npz.damaged"));
  EXPECT_FALSE(quarantine->keep(Bytes(100, std::byte{3}), "npz.damaged"));
  EXPECT_FALSE(quarantine->keep(Bytes(801), "dialect.unknown"));
  EXPECT_TRUE(quarantine->keep(Bytes(800), "dialect.unknown"));
  EXPECT_FALSE(quarantine->keep(Bytes(1), "frame.shape"));
  EXPECT_TRUE(quarantine->keep({}, "message.empty"));
  EXPECT_EQ(names_in(folder), (std::set<std::string>{"npz.damaged.0.bin", "npz.damaged.1.bin", "dialect.unknown.0.bin",
                                                     "message.empty.0.bin"}));
  EXPECT_EQ(test::read_file(folder + "/npz.damaged.1.bin"), Bytes(100, std::byte{2}));
}

TEST(RejectedMessages, WhatLiesInTheFolderAlreadyCountsAgainstItsLimits) {
  const auto folder = temporary_file("bad from before");
  for (int i = 0; i < 3; ++i) {
    const auto quarantine = must(RejectedMessages::open(folder, {.bytes = 1000, .files_per_cause = 2}));
    EXPECT_EQ(quarantine->keep(Bytes(10), "npz.damaged"), i < 2);
  }
  EXPECT_EQ(names_in(folder).size(), 2U);
}

TEST(RejectedMessages, AFolderThatCannotBeMadeIsNamed) {
  const auto file = temporary_file("no folder");
  std::ofstream(file) << "a file";
  const auto quarantine = RejectedMessages::open(file + "/inside");
  ASSERT_FALSE(quarantine.ok());
  EXPECT_EQ(quarantine.error().id, "quarantine.folder");
  EXPECT_NE(quarantine.error().text().find(file), std::string::npos);
}

}  // namespace
}  // namespace peaknet::feed
