#include "tests/unit/hdf5/guard_watch.hpp"

#include <dlfcn.h>
#include <execinfo.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>

#include "hdf5/guard.hpp"

namespace peaknet::test {
namespace {

std::atomic<bool> watching{false};
std::atomic<std::uint64_t> all{0}, unguarded{0};
std::mutex first_mutex;
std::string first;

void keep_first() {
  const std::lock_guard lock(first_mutex);
  if (!first.empty()) return;
  std::array<void*, 32> frames{};
  const int depth = ::backtrace(frames.data(), frames.size());
  char** names = ::backtrace_symbols(frames.data(), depth);
  if (names == nullptr) return;
  for (int i = 0; i < depth; ++i) first += std::string(names[i]) + "\n";
  std::free(names);
}

}  // namespace

void watch_hdf5_calls() {
  watching = false;
  all = unguarded = 0;
  watching = true;
}

GuardedCalls hdf5_calls() {
  const std::lock_guard lock(first_mutex);
  return {all, unguarded, first};
}

}  // namespace peaknet::test

// Instead of the library's own, which it calls.
extern "C" int H5TS_mutex_lock(void* mutex) {
  using namespace peaknet;
  static const auto own = reinterpret_cast<int (*)(void*)>(::dlsym(RTLD_NEXT, "H5TS_mutex_lock"));
  if (test::watching) {
    ++test::all;
    if (!hdf5::Guard::held()) {
      ++test::unguarded;
      test::keep_first();
    }
  }
  return own(mutex);
}
