// Loads and stores of a translated kernel, checked: bounds, alignment, memory that nobody has written, races in shared
// memory between two barriers. bar.warp.sync orders nothing here: what the lanes of a warp hand each other through
// shared memory without a barrier of the block is reported.
#pragma once

#include <algorithm>
#include <cstring>

#include "tests/gpusim/kernel_abi.hpp"

namespace peaknet::gpusim {

inline Window* window_of(const Launch& launch, const Thread& thread, std::uint64_t address, std::uint32_t bytes,
                         bool write) {
  if (launch.last->holds(address, bytes)) [[likely]]
    return launch.last;
  return launch.last = launch.monitor->window(launch, thread, address, bytes, write);
}

// `bytes` of the whole access, which a vector form makes of several values.
inline void begin_access(const Launch& launch, Thread& thread, std::uint32_t site, std::uint64_t address,
                         std::uint32_t bytes, bool write) {
  if (address % bytes != 0)
    launch.monitor->fail(launch, thread, write ? "misaligned store" : "misaligned load", address);
  thread.trace->note(site, thread.lane, address, bytes, write);
}

template <class Value>
Value load_global(const Launch& launch, const Thread& thread, std::uint64_t address) {
  Window* window = window_of(launch, thread, address, sizeof(Value), false);
  window->read_low = std::min(window->read_low, address);
  window->read_high = std::max(window->read_high, address + sizeof(Value));
  if (window->written != nullptr) {
    const std::uint8_t* written = window->written + (address - window->begin);
    if (std::find(written, written + sizeof(Value), 0) != written + sizeof(Value))
      launch.monitor->complain(launch, thread, "load of memory that nobody has written", address);
  }
  Value value;
  std::memcpy(&value, window->at(address), sizeof value);
  return value;
}

template <class Value>
void store_global(const Launch& launch, const Thread& thread, std::uint64_t address, Value value) {
  Window* window = window_of(launch, thread, address, sizeof(Value), true);
  window->write_low = std::min(window->write_low, address);
  window->write_high = std::max(window->write_high, address + sizeof(Value));
  if (window->written != nullptr) std::memset(window->written + (address - window->begin), 1, sizeof(Value));
  std::memcpy(window->at(address), &value, sizeof value);
}

inline void check_shared(const Launch& launch, const Thread& thread, std::uint64_t address, std::uint32_t bytes) {
  if (address % bytes != 0) launch.monitor->fail(launch, thread, "misaligned access to shared memory", address);
  const auto holds = [&](const SharedArray& array) {
    return address >= array.begin && address + bytes <= std::uint64_t{array.begin} + array.bytes;
  };
  if (std::none_of(launch.shared_arrays, launch.shared_arrays + launch.shared_array_count, holds))
    launch.monitor->fail(launch, thread, "access outside the arrays in shared memory", address);
}

template <class Value>
Value load_shared(const Launch& launch, const Thread& thread, std::uint64_t address) {
  check_shared(launch, thread, address, sizeof(Value));
  for (std::uint64_t i = address; i < address + sizeof(Value); ++i) {
    SharedByte& byte = launch.shared_state[i];
    if (byte.writer == SharedByte::kNobody)
      launch.monitor->complain(launch, thread, "load of shared memory that nobody has written", address);
    if (byte.write_epoch == launch.epoch && byte.writer != thread.number)
      launch.monitor->complain(launch, thread, "shared race: read after write", address);
    if (byte.read_epoch != launch.epoch) {
      byte.reader = thread.number;
      byte.read_epoch = launch.epoch;
    } else if (byte.reader != thread.number) {
      byte.reader = SharedByte::kSeveral;
    }
  }
  Value value;
  std::memcpy(&value, launch.shared + address, sizeof value);
  return value;
}

template <class Value>
void store_shared(const Launch& launch, const Thread& thread, std::uint64_t address, Value value) {
  check_shared(launch, thread, address, sizeof(Value));
  for (std::uint64_t i = address; i < address + sizeof(Value); ++i) {
    SharedByte& byte = launch.shared_state[i];
    if (byte.write_epoch == launch.epoch && byte.writer != thread.number)
      launch.monitor->complain(launch, thread, "shared race: two writes", address);
    if (byte.read_epoch == launch.epoch && byte.reader != thread.number)
      launch.monitor->complain(launch, thread, "shared race: write after read", address);
    byte.writer = thread.number;
    byte.write_epoch = launch.epoch;
  }
  std::memcpy(launch.shared + address, &value, sizeof value);
}

template <class Value>
Value load_param(const Launch& launch, const Thread& thread, std::uint64_t address) {
  const auto base = reinterpret_cast<std::uint64_t>(launch.params);
  if (address < base || address + sizeof(Value) > base + launch.param_bytes)
    launch.monitor->fail(launch, thread, "load outside the parameters", address);
  Value value;
  std::memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return value;
}

}  // namespace peaknet::gpusim
