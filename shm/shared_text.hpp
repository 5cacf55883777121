// SharedText: a short text that one process writes and any process reads while it is being written.
// A sequence lock made of atomics only, so that it is defined behaviour and visible to ThreadSanitizer.
// A writer that dies in the middle leaves an odd version: readers then return what is there, until somebody writes.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace peaknet::shm {

template <std::size_t Bytes>
class SharedText {
  static_assert(Bytes % 8 == 0);

 public:
  // One writer at a time. Text longer than Bytes - 1 is cut.
  void store(std::string_view text) {
    std::array<char, Bytes> raw{};
    text.copy(raw.data(), std::min(text.size(), Bytes - 1));
    const std::uint64_t version = version_.load(std::memory_order_relaxed) | 1U;
    version_.store(version, std::memory_order_relaxed);
    for (std::size_t i = 0; i < words_.size(); ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, raw.data() + 8 * i, 8);
      words_[i].store(word, std::memory_order_release);
    }
    version_.store(version + 1, std::memory_order_release);
  }

  // Any thread of any process. Never blocks: after a bounded number of tries, with a writer that died or was put to
  // sleep in the middle of its store, it returns what is there, which may be of two texts.
  std::string load() const {
    std::array<char, Bytes> raw{};
    read(raw);
    return {raw.data()};
  }
  // The same, but nothing instead of what may be of two texts.
  std::optional<std::string> load_whole() const {
    std::array<char, Bytes> raw{};
    if (!read(raw)) return std::nullopt;
    return raw.data();
  }

 private:
  bool read(std::array<char, Bytes>& raw) const {
    bool whole = false;
    // Where the machine is busy each yield may last for milliseconds, and a page that somebody wrote over has thousands
    // of versions that stay odd: who shows such a page must come to an end all the same.
    constexpr int kSpins = 50, kYields = 3;
    for (int attempt = 0; attempt < kSpins + kYields && !whole; ++attempt) {
      if (attempt >= kSpins) std::this_thread::yield();
      const std::uint64_t before = version_.load(std::memory_order_acquire);
      for (std::size_t i = 0; i < words_.size(); ++i) {
        const std::uint64_t word = words_[i].load(std::memory_order_acquire);
        std::memcpy(raw.data() + 8 * i, &word, 8);
      }
      whole = (before & 1U) == 0 && version_.load(std::memory_order_relaxed) == before;
    }
    raw.back() = '\0';
    return whole;
  }

  std::atomic<std::uint64_t> version_{0};
  std::array<std::atomic<std::uint64_t>, Bytes / 8> words_{};
};

}  // namespace peaknet::shm
