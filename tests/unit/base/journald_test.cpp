#include "base/journald.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>

#include "tests/support/child.hpp"

namespace peaknet {
namespace {

using Fields = std::map<std::string, std::string>;

Fields fields(std::string_view line) {
  Fields found;
  for (const auto& [name, value] : journal_fields(line)) found[name] = value;
  return found;
}

TEST(JournalFields, are_read_from_the_words_of_a_line) {
  EXPECT_EQ(fields("run 0217 ended after a drain of 12 ms"), (Fields{{"PEAKNET_RUN", "0217"}}));
  EXPECT_EQ(fields("run 20260301-140211 ended: 3 frames wait; they stay. Try: x [stop.timeout]"),
            (Fields{{"PEAKNET_RUN", "20260301-140211"}, {"PEAKNET_EVENT", "stop.timeout"}}));
  EXPECT_EQ(fields("device 1: the driver is gone; nothing. Try: restart [device.lost]"),
            (Fields{{"PEAKNET_DEVICE", "1"}, {"PEAKNET_EVENT", "device.lost"}}));
  EXPECT_EQ(fields("run 0217 producer 3 frame 1207 does not go into a file"),
            (Fields{{"PEAKNET_RUN", "0217"}, {"PEAKNET_FRAME", "3:1207"}}));
}

TEST(JournalFields, what_names_nothing_gives_nothing) {
  for (const char* line : {"", "[", "]", "[]", "[nodot]", "the run goes on", "device lost", "no more frame",
                           "a list [1, 2.5]", "overrun 5", "producer x frame 1", "run ", "x [a b.c]"}) {
    EXPECT_EQ(fields(line), Fields{}) << line;
  }
}

TEST(JournalDatagram, has_a_line_per_field_and_the_length_before_a_text_of_several_lines) {
  EXPECT_EQ(journal_datagram("peaknetd", 3, "it broke [a.b]"),
            "MESSAGE=it broke [a.b]\nPRIORITY=3\nSYSLOG_IDENTIFIER=peaknetd\nPEAKNET_EVENT=a.b\n");
  EXPECT_EQ(journal_datagram("p", 6, "two\nlines"),
            std::string("MESSAGE\n\x09\0\0\0\0\0\0\0", 16) + "two\nlines\nPRIORITY=6\nSYSLOG_IDENTIFIER=p\n");
}

TEST(JournalMessageId, is_given_to_the_main_events) {
  const auto id_of = [](std::string_view event) {
    for (const auto& known : message_ids()) {
      if (known.event == event) return std::string(known.id);
    }
    return std::string("unknown");
  };
  EXPECT_EQ(message_id("run 0217 begins"), id_of("run-begins"));
  EXPECT_EQ(message_id("run 0217 ended after a drain of 12 ms"), id_of("run-ended"));
  EXPECT_EQ(message_id("run 0217 ended: 3 frames wait. Try: x [stop.timeout]"), id_of("stop.timeout"));
  EXPECT_EQ(message_id("device 1: gone. Try: restart [device.lost]"), id_of("device.lost"));
  for (const char* line : {"", "run 0217 goes on", "a run begins", "it broke [a.b]"}) EXPECT_EQ(message_id(line), "");
  EXPECT_NE(journal_datagram("peaknetd", 6, "run 0217 begins").find("\nMESSAGE_ID=" + id_of("run-begins") + "\n"),
            std::string::npos);
}

// systemd/peaknet.catalog has an entry for each, and no other.
TEST(JournalMessageId, each_is_explained_in_the_catalogue) {
  std::ifstream catalogue(test::source_dir() + "/systemd/peaknet.catalog");
  std::multiset<std::string> explained;
  for (std::string line; std::getline(catalogue, line);) {
    if (line.starts_with("-- ")) explained.insert(line.substr(3));
  }
  std::multiset<std::string> given;
  for (const auto& known : message_ids()) {
    given.insert(std::string(known.id));
    EXPECT_EQ(known.id.size(), 32U);
    EXPECT_EQ(known.id.find_first_not_of("0123456789abcdef"), std::string::npos);
  }
  EXPECT_EQ(explained, given);
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// What stands in the sources of the programs as `form`: the ids of errors that they may end with or log.
std::set<std::string> ids_of_source(const std::regex& form) {
  std::set<std::string> ids;
  for (const char* folder : {"base", "config", "control", "daemon", "feed", "shm", "writer"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(test::source_dir() + "/" + folder)) {
      if (entry.path().extension() != ".cpp") continue;
      const std::string text = text_of(entry.path());
      for (std::sregex_iterator found(text.begin(), text.end(), form), end; found != end; ++found)
        ids.insert((*found)[1]);
    }
  }
  return ids;
}

// What the operator's page sends somebody to look for is explained where it stands in the log.
TEST(JournalMessageId, every_error_that_the_guide_names_is_explained) {
  const auto ids = ids_of_source(std::regex(R"re(\{"([a-z]+\.[a-z-]+)",)re"));
  ASSERT_GT(ids.size(), 100U);
  std::set<std::string> explained;
  for (const auto& known : message_ids()) explained.insert(std::string(known.event));
  for (const char* event : {"process.no-threads", "process.no-descriptors", "process.no-memory", "pool.over-limit"})
    EXPECT_TRUE(explained.contains(event)) << event;
  const std::regex name(R"re([`\[]([a-z]+\.[a-z-]+)[`\]])re");
  for (const char* document : {"/docs/operations.md", "/README.md"}) {
    const std::string text = text_of(test::source_dir() + document);
    for (std::sregex_iterator found(text.begin(), text.end(), name), end; found != end; ++found) {
      const std::string id = (*found)[1];
      EXPECT_TRUE(!ids.contains(id) || explained.contains(id)) << document << ": " << id;
    }
  }
}

TEST(JournalMessageId, an_event_that_is_explained_is_one_that_is_logged) {
  const auto ids = ids_of_source(std::regex(R"re("([a-z]+\.[a-z-]+)")re"));
  for (const auto& known : message_ids()) {
    const std::string event(known.event);
    EXPECT_TRUE(event.find('.') == std::string::npos || ids.contains(event)) << event;
  }
}

TEST(JournaldSocket, sends_where_somebody_reads_and_says_so_where_nobody_does) {
  const std::string path = "/tmp/peaknet_journal_" + std::to_string(::getpid());
  EXPECT_FALSE(JournaldSocket(path).send("MESSAGE=x\n"));
  const int reader = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(reader, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const JournaldSocket journal(path);
  EXPECT_TRUE(journal.send("MESSAGE=x\n"));
  std::array<char, 64> bytes{};
  EXPECT_EQ(std::string(bytes.data(),
                        static_cast<std::size_t>(std::max<ssize_t>(0, ::read(reader, bytes.data(), bytes.size())))),
            "MESSAGE=x\n");
  EXPECT_FALSE(journal.send(std::string(std::size_t{64} << 20, 'x')));  // larger than a datagram may be
  ::close(reader);
  ::unlink(path.c_str());
  EXPECT_FALSE(journal.send("MESSAGE=x\n"));
}

}  // namespace
}  // namespace peaknet
