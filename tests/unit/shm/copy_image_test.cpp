#include "shm/copy_image.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

namespace peaknet::shm {
namespace {

constexpr std::size_t kPage = 4096;

// No two neighbouring words are the same, nor those of two images.
std::vector<std::byte> image_of(std::size_t bytes, std::uint64_t seed) {
  std::vector<std::byte> image(bytes);
  std::uint64_t value = seed;
  for (std::size_t at = 0; at < bytes; at += sizeof value) {
    value = value * 6364136223846793005U + 1442695040888963407U;
    std::memcpy(image.data() + at, &value, std::min(sizeof value, bytes - at));
  }
  return image;
}

// In bytes after the first page that begins in `memory`, which has two more than it needs.
std::byte* at_offset(std::vector<std::byte>& memory, std::size_t offset) {
  return memory.data() + (kPage - reinterpret_cast<std::uintptr_t>(memory.data()) % kPage) + offset;
}

TEST(CopyImage, every_byte_arrives_and_none_beside_it_is_touched_whatever_the_size_and_the_places) {
  constexpr std::byte kUntouched{0xa5};
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{127}, kPage, kPage + 1, kPage + 4095, std::size_t{300'001},
        kStreamedFrom - 1, kStreamedFrom, kStreamedFrom + 127, kStreamedFrom + 4161}) {
    for (const std::size_t to_offset : {0, 1, 16, 63, 64}) {
      for (const std::size_t from_offset : {0, 1, 2048, 4080, 4095}) {
        SCOPED_TRACE(testing::Message() << size << " bytes from +" << from_offset << " to +" << to_offset);
        auto source = image_of(size + 2 * kPage, size);
        const std::byte* const from = at_offset(source, from_offset);
        std::vector<std::byte> place(size + 2 * kPage, kUntouched);
        std::byte* const to = at_offset(place, to_offset);
        const std::byte* const end = place.data() + place.size();

        copy_image(to, {from, size});
        ASSERT_TRUE(std::equal(to, to + size, from));
        ASSERT_EQ(std::count(place.data(), to, kUntouched), to - place.data());
        ASSERT_EQ(std::count<const std::byte*>(to + size, end, kUntouched), end - (to + size));
      }
    }
  }
}

TEST(CopyImage, who_sees_that_an_image_is_there_sees_all_of_it) {
  // Small, but streamed because of its place. The last bytes are those that would come too late: nothing but the word
  // is stored after them.
  constexpr std::size_t kBytes = 2 * kPage;
  constexpr std::size_t kLast = 128 / sizeof(std::uint64_t);
  constexpr std::uint64_t kRounds = 2'000;
  std::vector<std::byte> source_memory(kBytes + 2 * kPage), place_memory(kBytes + 2 * kPage);
  const std::span source(reinterpret_cast<std::uint64_t*>(at_offset(source_memory, kPage - 16)), kBytes / 8);
  const std::span place(reinterpret_cast<std::uint64_t*>(at_offset(place_memory, 0)), kBytes / 8);
  std::atomic<std::uint64_t> there{0}, seen{0};
  std::uint64_t late = 0;
  std::jthread reader([&] {
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      while (there.load(std::memory_order_acquire) < round) {
      }
      const auto last = place.last(kLast);
      late +=
          static_cast<std::uint64_t>(std::ranges::count_if(last, [&](std::uint64_t word) { return word != round; }));
      seen.store(round, std::memory_order_release);
    }
  });
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    std::ranges::fill(source, round);
    copy_image(reinterpret_cast<std::byte*>(place.data()), std::as_bytes(source));
    there.store(round, std::memory_order_release);
    while (seen.load(std::memory_order_acquire) < round) {
    }
  }
  reader.join();
  EXPECT_EQ(late, 0U);
}

}  // namespace
}  // namespace peaknet::shm
