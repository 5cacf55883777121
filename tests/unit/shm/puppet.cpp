// The receiver of what the compiler (-fsanitize=thread) and the linker (--wrap) announce. Compiled without both.
#include "tests/unit/shm/puppet.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <stdexcept>

#include "shm/layout.hpp"

namespace peaknet::test {
namespace {

using namespace shm;

static_assert(sizeof(jmp_buf) <= 32 * sizeof(std::uint64_t));

constexpr std::size_t kStack = std::size_t{512} << 10;
constexpr std::size_t kIdsInUse = 12;  // more are never attached in these tests

struct Mapping {
  std::byte* begin = nullptr;
  std::size_t bytes = 0;
  Puppet* owner = nullptr;
};

// What the receivers need; one thread, and plain arrays because the receivers must not be announced themselves.
struct Strings {
  Puppet* moving = nullptr;  // whose code runs now
  Puppet* scope = nullptr;   // whose locks and mappings are being made
  std::array<Puppet*, 16> all{};
  std::array<Mapping, 256> mappings{};
  std::vector<void*> stacks;
};
Strings strings;

std::uint64_t magic_of(const Mapping& mapping) {
  std::uint64_t magic = 0;
  if (mapping.bytes >= sizeof(PoolHeader)) std::memcpy(&magic, mapping.begin, sizeof magic);
  return magic;
}

const Mapping* mapping_of(const volatile void* address) {
  const auto* at = const_cast<const std::byte*>(static_cast<const volatile std::byte*>(address));
  for (const auto& mapping : strings.mappings) {
    if (at >= mapping.begin && at < mapping.begin + mapping.bytes) return &mapping;
  }
  return nullptr;
}

// Is this a place that slots, frames or counters depend on?
bool matters(const Mapping& mapping, std::size_t offset) {
  if (magic_of(mapping) == kPoolMagic) {
    Geometry geometry;
    const auto* header = reinterpret_cast<const PoolHeader*>(mapping.begin);
    geometry = {header->slots, header->panels, header->height, header->width, PixelType::uint16};
    return offset < PoolOffsets(geometry).payload;
  }
  if (magic_of(mapping) != kControlMagic) return false;  // being made, not yet seen by anybody
  if (offset < offsetof(ControlLayout, daemon)) return true;
  if (offset < offsetof(ControlLayout, participants)) return false;
  const std::size_t id = (offset - offsetof(ControlLayout, participants)) / sizeof(ParticipantRecord);
  const std::size_t field = (offset - offsetof(ControlLayout, participants)) % sizeof(ParticipantRecord);
  const bool told_to_people =
      field >= offsetof(ParticipantRecord, label) && field < offsetof(ParticipantRecord, intent);
  return id < kIdsInUse && !told_to_people && field < offsetof(ParticipantRecord, base);
}

Puppet::Word word_of(const volatile void* address) {
  const Mapping* mapping = mapping_of(address);
  if (mapping == nullptr) return {};
  const auto offset = static_cast<std::size_t>(
      const_cast<const std::byte*>(static_cast<const volatile std::byte*>(address)) - mapping->begin);
  const std::uint64_t magic = magic_of(*mapping);
  return {magic == kPoolMagic ? reinterpret_cast<const PoolHeader*>(mapping->begin)->epoch : ~std::uint64_t{0}, offset};
}

void touched(const volatile void* address) {
  Puppet* puppet = strings.moving;
  if (puppet == nullptr) return;
  const Mapping* mapping = mapping_of(address);
  if (mapping == nullptr) return;
  const auto offset = static_cast<std::size_t>(
      const_cast<const std::byte*>(static_cast<const volatile std::byte*>(address)) - mapping->begin);
  if (matters(*mapping, offset)) puppet->stand();
}

void* new_stack() {
  if (!strings.stacks.empty()) {
    void* stack = strings.stacks.back();
    strings.stacks.pop_back();
    return stack;
  }
  void* stack = ::mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED) throw std::bad_alloc();
  return stack;
}

}  // namespace

Puppet::Puppet(const std::function<Operation()>& prepare) {
  strings.scope = this;
  try {
    operation_ = prepare();
  } catch (...) {
    strings.scope = nullptr;
    throw;
  }
  strings.scope = nullptr;
  stack_ = new_stack();
  *std::find(strings.all.begin(), strings.all.end(), nullptr) = this;
}

void Puppet::enter() {
  Puppet* self = strings.moving;
  try {
    self->operation_();
  } catch (const std::exception& failure) {
    self->failure_ = failure.what();
  }
  self->yield(State::done);
}

void Puppet::resume() {
  Puppet* const outer = std::exchange(strings.moving, this);
  Puppet* const outer_scope = std::exchange(strings.scope, this);
  if (_setjmp(reinterpret_cast<__jmp_buf_tag*>(there_.data())) == 0) {
    if (!entered_) {
      entered_ = true;
      ucontext_t start{};
      getcontext(&start);
      start.uc_stack.ss_sp = stack_;
      start.uc_stack.ss_size = kStack;
      makecontext(&start, &Puppet::enter, 0);
      setcontext(&start);
    }
    _longjmp(reinterpret_cast<__jmp_buf_tag*>(here_.data()), 1);
  }
  strings.moving = outer;
  strings.scope = outer_scope;
}

void Puppet::yield(State state) {
  state_ = state;
  if (_setjmp(reinterpret_cast<__jmp_buf_tag*>(here_.data())) == 0)
    _longjmp(reinterpret_cast<__jmp_buf_tag*>(there_.data()), 1);
}

void Puppet::stand() { yield(State::standing); }

bool Puppet::step() {
  if (state_ != State::standing) return false;
  ++steps_;
  resume();
  return true;
}

void Puppet::run() {
  for (int i = 0; step(); ++i) {
    if (i > 1'000'000) throw std::runtime_error("a participant goes round for ever");
  }
}

void Puppet::time_out() {
  if (state_ != State::asleep) return;
  woken_ = false;
  state_ = State::standing;
}

bool Puppet::sleep(const Word* words, std::size_t count) {
  std::copy_n(words, count, sleeps_on_.begin());
  sleeps_on_count_ = count;
  yield(State::asleep);
  return woken_;
}

int Puppet::wake(const Word& word) {
  int woken = 0;
  for (Puppet* puppet : strings.all) {
    if (puppet == nullptr || puppet->state_ != State::asleep) continue;
    bool on_it = false;
    for (std::size_t i = 0; i < puppet->sleeps_on_count_; ++i) on_it |= puppet->sleeps_on_[i] == word;
    if (!on_it) continue;
    puppet->woken_ = true;
    puppet->state_ = State::standing;
    ++woken;
  }
  return woken;
}

void Puppet::owns_lock(int fd) {
  if (std::find(locks_.begin(), locks_.end(), fd) == locks_.end()) locks_.push_back(fd);
}

void Puppet::forget_lock(int fd) { std::erase(locks_, fd); }

}  // namespace peaknet::test

extern "C" {
int __real_close(int fd);
int __real_munmap(void* address, std::size_t bytes);
void* __real_mmap(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_fcntl(int fd, int command, void* argument);
long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
}

namespace peaknet::test {

void Puppet::kill() {
  if (state_ == State::dead) return;
  state_ = State::dead;
  for (const int fd : locks_) __real_close(fd);
  for (auto& mapping : strings.mappings) {
    if (mapping.owner != this) continue;
    __real_munmap(mapping.begin, mapping.bytes);
    mapping = {};
  }
  *std::find(strings.all.begin(), strings.all.end(), this) = nullptr;
  strings.stacks.push_back(stack_);
}

}  // namespace peaknet::test

// --- the kernel's calls
extern "C" {
using peaknet::test::Puppet;
using peaknet::test::strings;

int __wrap_close(int fd) {
  for (Puppet* puppet : strings.all) {
    if (puppet != nullptr) puppet->forget_lock(fd);
  }
  return __real_close(fd);
}

void* __wrap_mmap(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset) {
  void* at = __real_mmap(address, bytes, protection, flags, fd, offset);
  if (at != MAP_FAILED && fd >= 0 && (flags & MAP_SHARED) != 0) {
    for (auto& mapping : strings.mappings) {
      if (mapping.begin != nullptr) continue;
      mapping = {static_cast<std::byte*>(at), bytes, strings.scope};
      break;
    }
  }
  return at;
}

int __wrap_munmap(void* address, std::size_t bytes) {
  for (auto& mapping : strings.mappings) {
    if (mapping.begin == address) mapping = {};
  }
  return __real_munmap(address, bytes);
}

int __wrap_fcntl(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* argument = va_arg(rest, void*);
  va_end(rest);
  const bool locks = command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_OFD_GETLK;
  if (locks && strings.scope != nullptr) strings.scope->owns_lock(fd);
  if (!locks || strings.moving == nullptr) return __real_fcntl(fd, command, argument);
  strings.moving->stand();
  if (command != F_OFD_SETLKW) return __real_fcntl(fd, command, argument);
  while (__real_fcntl(fd, F_OFD_SETLK, argument) != 0) strings.moving->stand();  // whoever has it is a puppet, too
  return 0;
}

long __wrap_syscall(long number, ...) {
  std::array<long, 6> with{};
  va_list rest;
  va_start(rest, number);
  for (long& value : with) value = va_arg(rest, long);
  va_end(rest);
  using peaknet::test::word_of;
  const auto value_at = [](long address) {
    return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(address), __ATOMIC_SEQ_CST);
  };
  Puppet* puppet = strings.moving;
  if (number == SYS_futex && with[1] == FUTEX_WAKE) {
    if (puppet != nullptr) puppet->stand();
    return Puppet::wake(word_of(reinterpret_cast<const void*>(with[0])));
  }
  if (puppet != nullptr && (number == SYS_futex || number == SYS_futex_waitv)) {
    puppet->stand();
    futex_waitv one{};
    one.uaddr = static_cast<std::uint64_t>(with[0]);
    one.val = static_cast<std::uint32_t>(with[2]);
    const auto* waits = number == SYS_futex ? &one : reinterpret_cast<const futex_waitv*>(with[0]);
    const std::size_t count = number == SYS_futex ? 1 : static_cast<std::size_t>(with[1]);
    std::array<Puppet::Word, 8> words{};
    for (std::size_t i = 0; i < count; ++i) {
      if (value_at(static_cast<long>(waits[i].uaddr)) != static_cast<std::uint32_t>(waits[i].val)) {
        errno = EAGAIN;
        return -1;
      }
      words[i] = word_of(reinterpret_cast<const void*>(waits[i].uaddr));
    }
    if (puppet->sleep(words.data(), count)) return 0;
    errno = ETIMEDOUT;
    return -1;
  }
  return __real_syscall(number, with[0], with[1], with[2], with[3], with[4], with[5]);
}

// --- the compiler's announcements: their names and arguments are those of the sanitizer's own runtime
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_read_range(void* address, std::size_t) { peaknet::test::touched(address); }
void __tsan_write_range(void* address, std::size_t) { peaknet::test::touched(address); }
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}

#define PEAKNET_PLAIN(kind, bytes) \
  void __tsan_##kind##bytes(void* address) { peaknet::test::touched(address); }
#define PEAKNET_PLAIN_SIZES(kind) \
  PEAKNET_PLAIN(kind, 1)          \
  PEAKNET_PLAIN(kind, 2)          \
  PEAKNET_PLAIN(kind, 4) PEAKNET_PLAIN(kind, 8) PEAKNET_PLAIN(kind, 16)
PEAKNET_PLAIN_SIZES(read)
PEAKNET_PLAIN_SIZES(write)
PEAKNET_PLAIN_SIZES(unaligned_read)
PEAKNET_PLAIN_SIZES(unaligned_write)

#define PEAKNET_FETCH(bits, type, operation)                                              \
  type __tsan_atomic##bits##_fetch_##operation(volatile type* address, type value, int) { \
    peaknet::test::touched(address);                                                      \
    return __atomic_fetch_##operation(address, value, __ATOMIC_SEQ_CST);                  \
  }
#define PEAKNET_EXCHANGE(bits, type, strength)                                                                      \
  bool __tsan_atomic##bits##_compare_exchange_##strength(volatile type* address, type* expected, type desired, int, \
                                                         int) {                                                     \
    peaknet::test::touched(address);                                                                                \
    return __atomic_compare_exchange_n(address, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);      \
  }
#define PEAKNET_ATOMIC(bits, type)                                               \
  type __tsan_atomic##bits##_load(const volatile type* address, int) {           \
    peaknet::test::touched(address);                                             \
    return __atomic_load_n(address, __ATOMIC_SEQ_CST);                           \
  }                                                                              \
  void __tsan_atomic##bits##_store(volatile type* address, type value, int) {    \
    peaknet::test::touched(address);                                             \
    __atomic_store_n(address, value, __ATOMIC_SEQ_CST);                          \
  }                                                                              \
  type __tsan_atomic##bits##_exchange(volatile type* address, type value, int) { \
    peaknet::test::touched(address);                                             \
    return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST);                \
  }                                                                              \
  PEAKNET_FETCH(bits, type, add)                                                 \
  PEAKNET_FETCH(bits, type, sub)                                                 \
  PEAKNET_FETCH(bits, type, and)                                                 \
  PEAKNET_FETCH(bits, type, or)                                                  \
  PEAKNET_FETCH(bits, type, xor)                                                 \
  PEAKNET_EXCHANGE(bits, type, strong)                                           \
  PEAKNET_EXCHANGE(bits, type, weak)
PEAKNET_ATOMIC(8, unsigned char)
PEAKNET_ATOMIC(16, unsigned short)
PEAKNET_ATOMIC(32, unsigned int)
PEAKNET_ATOMIC(64, unsigned long)
}
