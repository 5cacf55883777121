#include "ctl/exporter.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>

#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::ctl {
namespace {

using test::Child;
using test::Exit;
using testing::HasSubstr;
using testing::StartsWith;

TEST(HttpAnswer, metrics_are_there_and_nothing_else) {
  EXPECT_THAT(http_answer("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "a 1\n"), StartsWith("HTTP/1.0 200 OK\r\n"));
  EXPECT_THAT(http_answer("GET /metrics HTTP/1.1\r\n\r\n", "a 1\n"), HasSubstr("Content-Length: 4\r\n"));
  EXPECT_THAT(http_answer("GET /etc/passwd HTTP/1.1\r\n\r\n", "a 1\n"), StartsWith("HTTP/1.0 404 "));
  EXPECT_THAT(http_answer("POST /metrics HTTP/1.1\r\n\r\n", "a 1\n"), StartsWith("HTTP/1.0 405 "));
  EXPECT_THAT(http_answer("", "a 1\n"), StartsWith("HTTP/1.0 405 "));
  EXPECT_THAT(http_answer("GET ", "a 1\n"), StartsWith("HTTP/1.0 404 "));
  EXPECT_THAT(http_answer("GET /metrics", ""), StartsWith("HTTP/1.0 503 "));
}

std::string asked(std::uint16_t port, const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    [[maybe_unused]] const ssize_t sent = ::send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    ::shutdown(fd, SHUT_WR);
    std::array<char, 4096> bytes{};
    for (ssize_t size = ::recv(fd, bytes.data(), bytes.size(), 0); size > 0;
         size = ::recv(fd, bytes.data(), bytes.size(), 0))
      answer.append(bytes.data(), static_cast<std::size_t>(size));
  }
  ::close(fd);
  return answer;
}

Child ctl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), test::bin_dir() + "/peaknetctl");
  return Child::start(arguments);
}

TEST(Exporter, answers_on_this_machine_until_it_is_told_to_end) {
  const test::TestInstance instance;
  auto exporter = ctl({"--instance", instance.name(), "exporter", "--listen", "127.0.0.1:0"});
  ASSERT_TRUE(test::eventually([&] { return exporter.out().find("/metrics") != std::string::npos; })) << exporter.err();
  const std::string said = exporter.out();
  const auto port = static_cast<std::uint16_t>(std::stoi(said.substr(said.find("1:") + 2)));
  for (int i = 0; i < 3; ++i) {
    const std::string answer = asked(port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.0 200 OK\r\n"));
    EXPECT_THAT(answer, HasSubstr("peaknet_frames_total{"));
  }
  EXPECT_THAT(asked(port, std::string(100'000, 'x')), StartsWith("HTTP/1.0 405 "));
  exporter.signal(SIGTERM);
  EXPECT_EQ(exporter.wait(), Exit::code(0)) << exporter.err();
}

TEST(Exporter, other_machines_are_not_served) {
  for (const char* address : {"0.0.0.0:9290", "127.0.0.1", "127.0.0.1:99999", "localhost:1"}) {
    auto exporter = ctl({"--instance", "x", "exporter", "--listen", address});
    EXPECT_EQ(exporter.wait(), Exit::code(1));
    EXPECT_THAT(exporter.err(), HasSubstr("[exporter.not-loopback]"));
  }
}

TEST(Exporter, a_textfile_appears_whole_or_the_old_one_stays) {
  const test::TestInstance instance;
  test::TempFolder folder;
  auto once = ctl({"--instance", instance.name(), "exporter", "--textfile", folder / "peaknet.prom"});
  EXPECT_EQ(once.wait(), Exit::code(0)) << once.err();
  std::ifstream file(folder / "peaknet.prom");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(text, HasSubstr("peaknet_frames_total{"));
  EXPECT_EQ(write_textfile(folder / "no/folder/x.prom", "a").error().id, "exporter.cannot-write");
}

}  // namespace
}  // namespace peaknet::ctl
