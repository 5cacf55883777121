#include "bench/shm/board.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <stdexcept>

namespace peaknet::bench {

Board::Board(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  struct stat facts {};
  if (file < 0 || ::fstat(file, &facts) != 0 || static_cast<std::size_t>(facts.st_size) != kWords * sizeof(Word))
    throw std::runtime_error("'" + path + "' is not a board; bench/shm/handover.py makes one");
  void* map = ::mmap(nullptr, kWords * sizeof(Word), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (map == MAP_FAILED) throw std::runtime_error("the board '" + path + "' cannot be mapped");
  words_ = static_cast<Word*>(map);
}

Board::~Board() { ::munmap(words_, kWords * sizeof(Word)); }

void Board::wait_for_go(std::size_t who) {
  words_[who].store(::getpid());
  // Only before the run is timed; nothing of it is in a figure.
  const timespec slice{0, 1'000'000};
  while (words_[0].load() == 0 && !stopped()) ::nanosleep(&slice, nullptr);
}

void Board::add_one(Word& word) { word.store(word.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }

void Board::received(std::uint32_t consumer, std::int64_t latency_ns) {
  Word* lane = words_ + kConsumers + consumer * (8 + kSamples);
  lane[8 + static_cast<std::size_t>(lane->load(std::memory_order_relaxed)) % kSamples].store(latency_ns,
                                                                                             std::memory_order_relaxed);
  add_one(*lane);
}

}  // namespace peaknet::bench
