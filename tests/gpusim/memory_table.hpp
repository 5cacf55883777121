// MemoryTable: what the simulated runtime knows of memory: allocations of devices, pinned and registered memory of the
// host. Memory that is not in it is pageable.
//
// The address of device memory is one that nobody can reach: a host that touches it is ended by SIGSEGV. Its bytes lie
// elsewhere, for the devices' thread. An address is never given out twice, so a late access is seen too.
//
// Threads: guarded by the Machine's mutex; a Memory that was taken with hold() stays valid without it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/gpusim/operation.hpp"

namespace peaknet::gpusim {

struct Memory {
  enum class Kind : std::uint8_t { device, pinned, registered };
  // An access by an operation, for the search for races.
  struct Access {
    Range range;
    std::uint32_t stream;
    std::uint64_t index;  // of the operation on its stream
    std::string what;
  };
  Kind kind;
  std::uint64_t begin, end;
  int owner;                            // device; of host memory: the device that was current
  bool portable = true;                 // registered for every device
  std::vector<char> bytes{};            // device: what it holds
  std::vector<std::uint8_t> written{};  // device: a byte each, has anybody written it?
  std::deque<Access> history{};
  bool overlaps(const Range& range) const { return range.low < end && range.high > begin; }
  bool of_device() const { return kind == Kind::device; }
  // Where the devices' thread finds the byte.
  char* at(std::uint64_t address) {
    return of_device() ? bytes.data() + (address - begin) : reinterpret_cast<char*>(address);
  }
};

class MemoryTable {
 public:
  explicit MemoryTable(int poison) : poison_(poison) {}  // what fresh memory holds

  // Null: pageable. The memory that `address` lies in.
  Memory* find(std::uint64_t address);
  std::shared_ptr<Memory> hold(std::uint64_t address);
  // Is any of these bytes known, wherever they begin?
  bool knows_any(std::uint64_t begin, std::uint64_t end);

  // Zero: the process has no more address space.
  std::uint64_t allocate(Memory::Kind kind, std::uint64_t bytes, int owner);
  void enter_registration(std::uint64_t begin, std::uint64_t bytes, int owner, bool portable);
  // Null if `address` is not where memory of this kind begins.
  Memory* exactly(std::uint64_t address, Memory::Kind kind);
  void remove(const Memory& memory);
  std::uint64_t device_bytes() const;
  // All of it, as at the begin of a process.
  void forget(int poison);

 private:
  std::map<std::uint64_t, std::shared_ptr<Memory>> by_begin_;
  int poison_;
};

}  // namespace peaknet::gpusim
