#include "tests/gpusim/memory_table.hpp"

#include <sys/mman.h>

#include <cstring>

namespace peaknet::gpusim {
namespace {

constexpr std::uint64_t kPage = 4096;

std::uint64_t pages(std::uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// With a page on either side that nobody may touch.
std::uint64_t map_pages(std::uint64_t bytes, int protection) {
  const std::uint64_t whole = pages(bytes);
  void* all = ::mmap(nullptr, whole + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) return 0;
  char* here = static_cast<char*>(all) + kPage;
  if (protection != PROT_NONE && ::mprotect(here, whole, protection) != 0) return 0;
  return reinterpret_cast<std::uint64_t>(here);
}

}  // namespace

Memory* MemoryTable::find(std::uint64_t address) {
  auto it = by_begin_.upper_bound(address);
  if (it == by_begin_.begin()) return nullptr;
  --it;
  return address < it->second->end ? it->second.get() : nullptr;
}

std::shared_ptr<Memory> MemoryTable::hold(std::uint64_t address) {
  const Memory* memory = find(address);
  return memory != nullptr ? by_begin_.at(memory->begin) : nullptr;
}

bool MemoryTable::knows_any(std::uint64_t begin, std::uint64_t end) {
  if (find(begin) != nullptr) return true;
  const auto next = by_begin_.lower_bound(begin);
  return next != by_begin_.end() && next->first < end;
}

std::uint64_t MemoryTable::allocate(Memory::Kind kind, std::uint64_t bytes, int owner) {
  const bool device = kind == Memory::Kind::device;
  const std::uint64_t begin = map_pages(bytes, device ? PROT_NONE : PROT_READ | PROT_WRITE);
  if (begin == 0) return 0;
  auto memory = std::make_shared<Memory>(Memory{.kind = kind, .begin = begin, .end = begin + bytes, .owner = owner});
  if (device) {
    memory->bytes.assign(bytes, static_cast<char>(poison_));
    memory->written.resize(bytes);
  } else {
    std::memset(memory->at(begin), poison_, bytes);
  }
  by_begin_[begin] = std::move(memory);
  return begin;
}

void MemoryTable::enter_registration(std::uint64_t begin, std::uint64_t bytes, int owner, bool portable) {
  by_begin_[begin] = std::make_shared<Memory>(Memory{
      .kind = Memory::Kind::registered, .begin = begin, .end = begin + bytes, .owner = owner, .portable = portable});
}

Memory* MemoryTable::exactly(std::uint64_t address, Memory::Kind kind) {
  const auto it = by_begin_.find(address);
  return it != by_begin_.end() && it->second->kind == kind ? it->second.get() : nullptr;
}

void MemoryTable::remove(const Memory& memory) {
  if (memory.kind != Memory::Kind::registered) {
    ::mmap(reinterpret_cast<void*>(memory.begin), pages(memory.end - memory.begin), PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  }
  by_begin_.erase(memory.begin);
}

void MemoryTable::forget(int poison) {
  by_begin_.clear();
  poison_ = poison;
}

std::uint64_t MemoryTable::device_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [begin, memory] : by_begin_) bytes += memory->of_device() ? memory->end - memory->begin : 0;
  return bytes;
}

}  // namespace peaknet::gpusim
