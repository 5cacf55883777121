// The board of a run: a file that handover.py makes and every process of the run maps, C++ and Python alike. It says
// when to begin and to end, who is there, and what each has sent or received. 64-bit words, each written by one process
// alone; bench/shm/board.py is the same in Python, and reads it all.
//
//   word 0            go: 1 from when all are there      word 8    stop: 1 when the run is over
//   words 16 + i      process ids: of producer i, of consumer i at 32 + i, of helper i at 48 + i; 0: not ready yet
//   words 80 + 8 i    frames that producer i has handed over
//   words 208 + i * (8 + kSamples)   consumer i: frames received; 8 words on, the last kSamples latencies in ns, as a
//   ring
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace peaknet::bench {

class Board {
 public:
  using Word = std::atomic<std::int64_t>;
  static constexpr std::uint32_t kMost = 16;  // producers, and consumers
  static constexpr std::size_t kSamples = std::size_t{1} << 16;
  static constexpr std::size_t kProducers = 80, kConsumers = 208;
  static constexpr std::size_t kWords = kConsumers + kMost * (8 + kSamples);

  // Throws where the file is not there, or not of the right size.
  explicit Board(const std::string& path);
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  bool stopped() const { return words_[8].load(std::memory_order_relaxed) != 0; }
  // Says that this process is ready, and returns when the run begins.
  void wait_for_go_as_producer(std::uint32_t index) { wait_for_go(16 + index); }
  void wait_for_go_as_consumer(std::uint32_t index) { wait_for_go(32 + index); }
  void wait_for_go_as_helper(std::uint32_t index) { wait_for_go(48 + index); }
  void sent(std::uint32_t producer) { add_one(words_[kProducers + std::size_t{8} * producer]); }
  void received(std::uint32_t consumer, std::int64_t latency_ns);

 private:
  void wait_for_go(std::size_t who);
  static void add_one(Word& word);
  Word* words_;
};

}  // namespace peaknet::bench
