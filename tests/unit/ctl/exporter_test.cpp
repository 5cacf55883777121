#include "ctl/exporter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/temp_folder.hpp"
#include "tests/unit/ctl/http_client.hpp"

namespace peaknet::ctl {
namespace {

using test::asked;
using test::Child;
using test::connected;
using test::Exit;
using testing::HasSubstr;
using testing::StartsWith;

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::uint16_t port_of(Child& exporter) {
  EXPECT_TRUE(test::eventually([&] { return exporter.out().find("/metrics") != std::string::npos; })) << exporter.err();
  const std::string said = exporter.out();
  return static_cast<std::uint16_t>(std::stoi(said.substr(said.find("1:") + 2)));
}

Child ctl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), test::bin_dir() + "/peaknetctl");
  return Child::start(arguments);
}

TEST(Exporter, answers_on_this_machine_until_it_is_told_to_end) {
  const test::TestInstance instance;
  auto exporter = ctl({"--instance", instance.name(), "exporter", "--listen", "127.0.0.1:0"});
  const auto port = port_of(exporter);
  for (int i = 0; i < 3; ++i) {
    const std::string answer = asked(port, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(answer, HasSubstr("peaknet_frames_total{"));
  }
  EXPECT_THAT(asked(port, std::string(100'000, 'x')), StartsWith("HTTP/1.1 400 "));
  exporter.signal(SIGTERM);
  EXPECT_EQ(exporter.wait(), Exit::code(0)) << exporter.err();
}

// One scraper that sends a byte now and then held all others up, and the end as well.
TEST(Exporter, peers_that_say_nothing_hold_nobody_up) {
  const test::TestInstance instance;
  auto exporter = ctl({"--instance", instance.name(), "exporter", "--listen", "127.0.0.1:0"});
  const auto port = port_of(exporter);
  std::vector<int> silent;
  for (std::size_t i = 0; i + 1 < HttpServer::kMostConnections; ++i) {
    silent.push_back(connected(port));
    ASSERT_EQ(::send(silent.back(), "G", 1, MSG_NOSIGNAL), 1);
  }
  EXPECT_THAT(asked(port, "GET /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  char byte = 0;
  EXPECT_EQ(::recv(silent.front(), &byte, 1, 0), 0) << "a connection ends after its two seconds";
  exporter.signal(SIGTERM);
  EXPECT_EQ(exporter.wait(), Exit::code(0)) << exporter.err();
  for (const int fd : silent) ::close(fd);
}

TEST(Exporter, an_instance_that_is_not_there_is_absent_and_waited_for) {
  const std::string name = test::TestInstance::unique_name();
  test::TempFolder folder;
  const std::string file = folder / "peaknet.prom";
  auto exporter = ctl({"--instance", name, "exporter", "--textfile", file, "--every", "20ms"});
  const std::string absent = "peaknet_state{instance_name=\"" + name + "\",state=\"absent\"} 1";
  EXPECT_TRUE(test::eventually([&] { return text_of(file).find(absent) != std::string::npos; })) << exporter.err();
  auto served = ctl({"--instance", name, "exporter", "--listen", "127.0.0.1:0"});
  EXPECT_THAT(asked(port_of(served), "GET /metrics HTTP/1.1\r\n\r\n"), HasSubstr(absent));
  EXPECT_TRUE(exporter.running());
}

TEST(Exporter, a_folder_that_goes_away_is_told_once_and_tried_again) {
  const test::TestInstance instance;
  test::TempFolder folder;
  const std::string target = folder / "later";
  auto exporter = ctl({"--instance", instance.name(), "exporter", "--textfile", target + "/p.prom", "--every", "10ms"});
  EXPECT_TRUE(test::eventually([&] { return exporter.err().find("[exporter.cannot-write]") != std::string::npos; }));
  const std::string said = exporter.err();
  std::filesystem::create_directory(target);
  EXPECT_TRUE(
      test::eventually([&] { return text_of(target + "/p.prom").find("peaknet_state{") != std::string::npos; }));
  EXPECT_TRUE(test::eventually([&] { return exporter.err() == said + "the metrics are written again\n"; }))
      << exporter.err();
}

TEST(Exporter, other_machines_are_not_served) {
  for (const char* address : {"0.0.0.0:9290", "127.0.0.1", "127.0.0.1:99999", "localhost:1"}) {
    auto exporter = ctl({"--instance", "x", "exporter", "--listen", address});
    EXPECT_EQ(exporter.wait(), Exit::code(1));
    EXPECT_THAT(exporter.err(), HasSubstr("[http.not-loopback]"));
  }
}

TEST(Exporter, a_textfile_appears_whole_or_the_old_one_stays) {
  const test::TestInstance instance;
  test::TempFolder folder;
  const mode_t before = ::umask(0077);
  auto once = ctl({"--instance", instance.name(), "exporter", "--textfile", folder / "peaknet.prom"});
  ::umask(before);
  EXPECT_EQ(once.wait(), Exit::code(0)) << once.err();
  EXPECT_THAT(text_of(folder / "peaknet.prom"), HasSubstr("peaknet_frames_total{"));
  struct stat info {};
  ASSERT_EQ(::stat((folder / "peaknet.prom").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0644U) << "whatever the umask";
  EXPECT_EQ(write_textfile(folder / "no/folder/x.prom", "a").error().id, "exporter.cannot-write");
}

}  // namespace
}  // namespace peaknet::ctl
