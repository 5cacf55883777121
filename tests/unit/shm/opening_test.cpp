#include "shm/opening.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "shm/tap.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::shm {
namespace {

using test::Child;
using test::TestInstance;

bool is_open(int number) { return ::fcntl(number, F_GETFD) >= 0; }

TEST(AboveStdio, whoever_attaches_in_a_program_without_stdio_gets_none_of_its_descriptors) {
  for (unsigned subset = 1; subset < 8; ++subset) {
    TestInstance instance;
    auto program = Child::run([&] {
      for (int number = 0; number < 3; ++number) {
        if ((subset & 1U << static_cast<unsigned>(number)) != 0) ::close(number);
      }
      const auto producer = Producer::attach(instance.name());
      const auto consumer = Consumer::attach(instance.name(), Queue::q2, "c");
      const auto tap = Tap::open(instance.name());
      if (!producer || !consumer || !tap) return 100;
      int taken = 0;
      for (int number = 0; number < 3; ++number) {
        if ((subset & 1U << static_cast<unsigned>(number)) != 0 && is_open(number)) taken |= 1 << number;
      }
      return taken;
    });
    EXPECT_EQ(program.wait(), test::Exit::code(0)) << "closed: " << subset << " " << program.err();
  }
}

TEST(AboveStdio, takes_nothing_where_stdio_is_open) {
  const int before = ::dup(0);
  const AboveStdio above;
  const int after = ::dup(0);
  EXPECT_EQ(after, before + 1);
  ::close(before);
  ::close(after);
}

TEST(CannotOpen, permission_is_permission_alone_and_everything_else_has_its_own_limit) {
  EXPECT_EQ(cannot_open("/peaknet.x", "", ENOENT).id, "shm.absent");
  for (const int cause : {EACCES, EPERM}) EXPECT_EQ(cannot_open("/peaknet.x", "", cause).id, "shm.denied");
  for (const int cause : {EMFILE, ENFILE, ENOMEM, EINVAL, EIO}) {
    const Error error = cannot_open("/peaknet.x", " for reading", cause);
    EXPECT_EQ(error.id, "shm.cannot-open");
    EXPECT_EQ(error.remedy.find("group"), std::string::npos) << error.text();
    EXPECT_FALSE(error.remedy.empty());
  }
  EXPECT_NE(cannot_open("/peaknet.x", "", EMFILE).remedy.find("ulimit -n"), std::string::npos);
}

TEST(CannotOpen, a_limit_of_the_address_space_is_named_with_its_number) {
  TestInstance instance({.geometry = {64, 1, 512, 512, PixelType::uint16}});
  auto program = Child::run([&] {
    const rlimit limit{std::size_t{24} << 20, std::size_t{24} << 20};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) return 1;
    const auto producer = Producer::attach(instance.name());
    if (producer) return 2;
    return producer.error().id == "shm.cannot-open" && producer.error().remedy.find("ulimit -v") != std::string::npos
               ? 0
               : 3;
  });
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer needs more address space than this";
#endif
  EXPECT_EQ(program.wait(), test::Exit::code(0));
}

TEST(CannotOpen, who_has_no_right_is_told_whose_instance_it_is) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  TestInstance instance;
  auto stranger = Child::run([&] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 77;
    const auto producer = Producer::attach(instance.name());
    if (producer || producer.error().id != "shm.denied") return 1;
    if (producer.error().what.find("belongs to root and group root") == std::string::npos) return 2;
    return producer.error().remedy.find("instance name of your own") != std::string::npos ? 0 : 3;
  });
  EXPECT_EQ(stranger.wait(), test::Exit::code(0));
}

}  // namespace
}  // namespace peaknet::shm
