#include "daemon/device/staging_ring.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

namespace peaknet::device {
namespace {

// Two streams of which either may be ahead as far as events let it, in an order that a seed chooses.
class Streams final : public StagingStreams {
 public:
  explicit Streams(unsigned seed) : random_(seed) {}
  std::uint32_t fills = 0;
  bool forget_to_wait = false;  // for a piece to be sent: what goes wrong then is seen

  void fill(std::byte* piece, const ImageRun& images) override {
    ++fills;
    staging_.push_back({{}, [=] { StagingRing::pack(images, piece); }});
  }
  void send(const std::byte* piece, std::size_t bytes, std::uint32_t count, std::byte* to,
            std::size_t to_stride) override {
    upload_.push_back({{}, [=] {
                         for (std::uint32_t i = 0; i < count; ++i)
                           std::memcpy(to + i * to_stride, piece + i * bytes, bytes);
                       }});
  }
  void record_filled(std::uint32_t piece) override { record(staging_, filled_[piece]); }
  void wait_until_filled(std::uint32_t piece) override { wait(upload_, filled_[piece]); }
  void record_sent(std::uint32_t piece) override { record(upload_, sent_[piece]); }
  void wait_until_sent(std::uint32_t piece) override {
    if (!forget_to_wait) wait(staging_, sent_[piece]);
  }

  void run_all() {
    while (!staging_.empty() || !upload_.empty()) {
      auto& stream = random_() % 2 == 0 ? staging_ : upload_;
      if (stream.empty() || (stream.front().ready && !stream.front().ready())) continue;
      stream.front().run();
      stream.pop_front();
    }
  }

 private:
  struct Operation {
    std::function<bool()> ready;
    std::function<void()> run;
  };
  struct Mark {
    int recorded = 0, reached = 0;
  };
  static void record(std::deque<Operation>& stream, Mark& mark) {
    stream.push_back({{}, [&mark, generation = ++mark.recorded] { mark.reached = generation; }});
  }
  static void wait(std::deque<Operation>& stream, Mark& mark) {
    stream.push_back({[&mark, generation = mark.recorded] { return mark.reached >= generation; }, [] {}});
  }
  std::mt19937 random_;
  std::deque<Operation> staging_, upload_;
  std::array<Mark, 8> filled_, sent_;
};

struct Slots {
  Slots(std::uint32_t count, std::size_t bytes, std::size_t stride)
      : run{nullptr, bytes, stride, count}, memory(count * stride), lane(count * stride) {
    std::mt19937 random(count);
    for (auto& byte : memory) byte = static_cast<std::byte>(random());
    run.first = memory.data();
  }
  bool arrived() const {
    for (std::uint32_t i = 0; i < run.count; ++i) {
      if (std::memcmp(lane.data() + i * run.stride, run.image(i), run.bytes) != 0) return false;
    }
    return true;
  }
  ImageRun run;
  std::vector<std::byte> memory, lane;
};

TEST(StagingRing, images_smaller_equal_and_larger_than_a_piece_arrive_whole_whichever_stream_is_ahead) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    for (const std::size_t bytes : {1UL, 30UL, 64UL, 65UL, 1000UL}) {
      for (const std::uint32_t pieces : {1U, 2U, 4U}) {
        Streams streams(seed);
        std::vector<std::byte> pinned(64 * pieces);
        StagingRing ring(pinned, pieces);
        Slots slots(7, bytes, bytes + 24);
        const auto uploaded = ring.upload(streams, slots.run, slots.lane.data(), slots.run.stride);
        streams.run_all();
        ASSERT_TRUE(slots.arrived()) << bytes << " bytes, " << pieces << " pieces, seed " << seed;
        ASSERT_EQ(uploaded.transfers, streams.fills);
        ASSERT_EQ(uploaded.images.first, slots.lane.data());
      }
    }
  }
}

TEST(StagingRing, several_uploads_in_a_row_share_the_pieces) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    Streams streams(seed);
    std::vector<std::byte> pinned(3 * 50);
    StagingRing ring(pinned, 3);
    std::vector<Slots> runs;
    for (std::uint32_t count = 1; count < 9; ++count) runs.emplace_back(count, 10 * count, 100);
    for (auto& slots : runs) ring.upload(streams, slots.run, slots.lane.data(), slots.run.stride);
    streams.run_all();
    for (const auto& slots : runs) ASSERT_TRUE(slots.arrived()) << slots.run.count << " images, seed " << seed;
  }
}

TEST(StagingRing, images_that_fit_together_go_in_one_transfer) {
  Streams streams(1);
  std::vector<std::byte> pinned(2 * 64);
  StagingRing ring(pinned, 2);
  Slots slots(7, 20, 32);
  EXPECT_EQ(ring.upload(streams, slots.run, slots.lane.data(), 32).transfers, 3U) << "three to a piece";
}

TEST(StagingRing, without_the_event_behind_a_transfer_pieces_would_be_overwritten) {
  std::uint32_t wrong = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    Streams streams(seed);
    streams.forget_to_wait = true;
    std::vector<std::byte> pinned(2 * 64);
    StagingRing ring(pinned, 2);
    Slots slots(7, 64, 64);
    ring.upload(streams, slots.run, slots.lane.data(), 64);
    streams.run_all();
    wrong += slots.arrived() ? 0 : 1;
  }
  EXPECT_GT(wrong, 0U) << "else this test's streams do not show what the events are for";
}

}  // namespace
}  // namespace peaknet::device
