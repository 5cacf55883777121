#include "tests/support/watched_calls.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace peaknet::test {
namespace {

// Of this thread alone. The descriptor to hear of its calls, or -1.
int install_filter(const std::vector<Watch>& watches) {
  std::vector<sock_filter> program;
  for (const Watch& watch : watches) {
    const unsigned char rest = watch.argument ? 3 : 1;  // instructions until the next watch
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(watch.number), 0, rest));
    if (watch.argument) {
      const auto at = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * *watch.argument);
      program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at));
      program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, watch.value, 0, 1));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter));
}

// Until `over` can be read. What `answer` throws comes back when the body is through; it is not asked again.
std::exception_ptr answer_all(int listener, int over, const std::function<int(const Call&)>& answer) {
  std::exception_ptr thrown;
  std::array<pollfd, 2> both{{{listener, POLLIN, 0}, {over, POLLIN, 0}}};
  for (;;) {
    if (::poll(both.data(), both.size(), -1) < 0) continue;
    if ((both[0].revents & POLLIN) != 0) {
      seccomp_notif heard{};
      if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &heard) != 0) continue;  // a signal took the call back
      Call call{heard.data.nr, {}};
      for (std::size_t i = 0; i < call.arguments.size(); ++i) call.arguments[i] = heard.data.args[i];
      seccomp_notif_resp said{};
      said.id = heard.id;
      try {
        if (!thrown) said.error = -answer(call);
      } catch (...) {
        thrown = std::current_exception();
      }
      if (said.error == 0) said.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
      ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &said);
      continue;
    }
    if (both[1].revents != 0) return thrown;
  }
}

}  // namespace

// The kernel has stopped the other thread here, which ThreadSanitizer cannot know.
__attribute__((no_sanitize_thread)) std::string Call::path() const {
  std::string path;
  for (const auto* c = reinterpret_cast<const volatile char*>(arguments[1]); *c != '\0'; ++c) path += *c;
  return path;
}

bool with_watched_calls(std::initializer_list<Watch> watches, const std::function<int(const Call&)>& answer,
                        const std::function<void()>& body) {
  const std::vector<Watch> watched(watches);
  constexpr int kUndecided = -2;
  std::atomic<int> listener{kUndecided};
  const int over = ::eventfd(0, EFD_CLOEXEC);
  if (over < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  std::exception_ptr thrown_by_body, thrown_by_answer;
  std::thread thread([&] {
    const int fd = install_filter(watched);
    listener = fd;  // and no more: whatever would wake the other side may be a call that waits for it
    if (fd < 0) return;
    try {
      body();
    } catch (...) {
      thrown_by_body = std::current_exception();
    }
    ::eventfd_write(over, 1);
  });
  while (listener == kUndecided) std::this_thread::yield();
  const int fd = listener.load();
  if (fd >= 0) {
    thrown_by_answer = answer_all(fd, over, answer);
    ::close(fd);  // before the join: what the thread's end may still call is answered with ENOSYS and does not wait
  }
  thread.join();
  ::close(over);
  if (thrown_by_body) std::rethrow_exception(thrown_by_body);
  if (thrown_by_answer) std::rethrow_exception(thrown_by_answer);
  return fd >= 0;
}

}  // namespace peaknet::test
