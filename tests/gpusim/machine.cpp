#include "tests/gpusim/machine.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace peaknet::gpusim {
namespace {

const char* name_of(Operation::Kind kind) {
  constexpr std::array names = {"kernels", "copies", "host functions", "records", "waits"};
  return names[static_cast<std::size_t>(kind)];
}

constexpr std::size_t kHistory = 200;  // accesses of a memory that are kept before those that are done are dropped

}  // namespace

namespace {
std::atomic<bool> is_made{false};
}

Machine& Machine::the() {
  static Machine* one = [] {
    auto* made = new Machine;
    is_made.store(true, std::memory_order_release);
    return made;
  }();
  return *one;
}

bool Machine::made() { return is_made.load(std::memory_order_acquire); }

ThreadState& Machine::thread() {
  static thread_local ThreadState state;
  return state;
}

Machine::Machine()
    : settings(settings_from_environment()),
      memory(settings.poison),
      scheduler_(settings.seed, settings.timing.any()),
      sticky_{settings.sticky},
      hang_{settings.hang},
      block_{settings.block} {
  devices.assign(static_cast<std::size_t>(settings.devices), Device{.total = settings.memory});
  std::atexit([] { the().at_exit(); });
}

void Machine::at_exit() {
  std::unique_lock lock(mutex);
  if (settings.exit_waits) {
    changed.wait(lock, [this] {
      return std::none_of(streams.begin(), streams.end(), [](const auto& stream) { return stream->hung; }) &&
             std::none_of(devices.begin(), devices.end(), [](const auto& device) { return device.blocked; });
    });
  }
  if (settings.statistics) {
    std::fprintf(stderr, "gpusim: %lu operations, %lu findings;", executed_, findings.count());
    for (const auto& [what, count] : counts) std::fprintf(stderr, " %s %lu;", what.c_str(), count);
    std::fprintf(stderr, " %lu bytes of device memory left\n", memory.device_bytes());
  }
  if (findings.count() == 0) return;
  std::fflush(nullptr);
  ::_exit(kExitFindings);
}

void Machine::reset() {
  settings = settings_from_environment();
  scheduler_ = Scheduler(settings.seed, settings.timing.any());
  sticky_ = {settings.sticky};
  hang_ = {settings.hang};
  block_ = {settings.block};
  for (const auto& stream : streams) {
    stream->destroyed = true;
    if (!stream->running) stream->operations.clear();
  }
  memory.forget(settings.poison);
  counts.clear();
  devices.assign(static_cast<std::size_t>(settings.devices), Device{.total = settings.memory});
  thread().since_reset = ++resets_;
  changed.notify_all();
}

// --- for the functions of the runtime ---

cudaError_t Machine::enter(std::unique_lock<std::mutex>& lock, int device, const char* what) {
  if (thread().in_host_function) {
    findings.add(std::string(what) + " was called from a host function of a stream");
    return cudaErrorNotPermitted;
  }
  Device& of = devices.at(static_cast<std::size_t>(device));
  if (block_.hit("device " + std::to_string(device) + ": " + what)) {
    of.blocked = true;
    ++counts["calls that hang"];
    std::fprintf(stderr, "gpusim: the driver of device %d hangs in '%s'\n", device, what);
  }
  auto& since = thread().since_reset;
  if (since == 0) since = resets_;
  changed.wait(lock, [&] { return !of.blocked && since == resets_; });
  const cudaError_t sticky = of.sticky;
  if (sticky != cudaSuccess && idle(device)) {  // who asks when it has come to rest comes after all that it did
    for (const auto& stream : streams)
      if (stream->device == device) join(host, stream->clock);
  }
  return sticky;
}

bool Machine::forbidden_while_recording(const char* what) {
  for (const auto& recording : thread().recordings) {
    if (recording->mode == cudaStreamCaptureModeRelaxed) continue;
    recording->spoilt = true;
    std::fprintf(stderr, "gpusim: note: %s while this thread records: the recording is spoilt\n", what);
    return true;
  }
  return false;
}

cudaError_t Machine::put(Stream& stream, Operation operation) {
  if (stream.destroyed) {
    findings.add("work was put on a stream that was destroyed: " + operation.what);
    return cudaErrorInvalidResourceHandle;
  }
  if (operation.event != nullptr && operation.event->destroyed)
    findings.add("a stream uses an event that was destroyed");
  if (stream.recording) {
    stream.recording->operations.push_back(std::move(operation));
    return cudaSuccess;
  }
  stamp(stream, operation);
  operation.put_at = Time::now();
  stream.operations.push_back(std::move(operation));
  start();
  changed.notify_all();
  return cudaSuccess;
}

void Machine::stamp(Stream& stream, Operation& operation) {
  using Kind = Operation::Kind;
  join(stream.clock, host);
  if (operation.kind == Kind::wait) join(stream.clock, operation.event->clock);
  if (stream.clock.size() <= stream.number) stream.clock.resize(stream.number + 1);
  ++stream.clock[stream.number];
  operation.clock = stream.clock;
  if (operation.kind == Kind::record) {
    operation.event->clock = operation.clock;
    operation.generation = ++operation.event->recorded;
  } else if (operation.kind == Kind::wait) {
    operation.generation = operation.event->recorded;
  }
}

Stream* Machine::make_stream(int device) {
  auto stream = std::make_unique<Stream>();
  stream->number = static_cast<std::uint32_t>(streams.size());
  stream->device = device;
  streams.push_back(std::move(stream));
  return streams.back().get();
}

bool Machine::idle(int device) const {
  return std::none_of(streams.begin(), streams.end(),
                      [&](const auto& stream) { return stream->device == device && stream->busy(); });
}

void Machine::wait(std::unique_lock<std::mutex>& lock, int device, const std::function<bool()>& condition) {
  changed.wait(lock, [&] { return condition() || devices[static_cast<std::size_t>(device)].sticky != cudaSuccess; });
}

// --- faults ---

bool Machine::Pending::hit(const std::string& what) {
  if (trigger.count == 0 || what.find(trigger.text) == std::string::npos) return false;
  return ++seen == trigger.count;
}

void Machine::break_after(const std::string& text, std::uint64_t count) { sticky_ = {{text, count}}; }
void Machine::hang_after(const std::string& text, std::uint64_t count) { hang_ = {{text, count}}; }

void Machine::block_after(const std::string& text, std::uint64_t count) { block_ = {{text, count}}; }

void Machine::free_hung() {
  for (const auto& stream : streams) stream->hung = false;
  for (auto& device : devices) device.blocked = false;
  changed.notify_all();
}

// What has begun may still be under way for a while; what has not will never begin, and host functions are not called.
void Machine::break_down(int device) {
  devices[static_cast<std::size_t>(device)].sticky = cudaErrorIllegalAddress;
  const auto now = Time::now();
  for (const auto& stream : streams) {
    if (stream->device != device || stream->operations.empty()) continue;
    const bool late =
        stream->running || (ready(*stream, now) && stream->operations.front().kind == Operation::Kind::copy);
    stream->operations.erase(stream->operations.begin() + (late ? 1 : 0), stream->operations.end());
    if (late && !stream->running)
      stream->due =
          now + std::chrono::microseconds(scheduler_.below(static_cast<std::uint64_t>(settings.late.count())));
  }
  changed.notify_all();
}

// --- the devices' thread ---

void Machine::start() {
  if (std::exchange(started_, true)) return;
  std::thread([this] { serve_streams(); }).detach();
  std::thread([this] { serve_host_functions(); }).detach();
}

bool Machine::occupied(const Stream& stream, Unit unit) const {
  return unit != Unit::none &&
         devices[static_cast<std::size_t>(stream.device)].occupied[static_cast<std::size_t>(unit)];
}

bool& Machine::occupied(const Stream& stream, Unit unit) {
  return devices[static_cast<std::size_t>(stream.device)].occupied[static_cast<std::size_t>(unit)];
}

bool Machine::ready(const Stream& stream, Time::time_point now) const {
  if (stream.operations.empty() || stream.running || stream.hung || stream.due > now) return false;
  const Operation& first = stream.operations.front();
  if (first.takes.count() > 0 && occupied(stream, first.unit)) return false;
  return first.kind != Operation::Kind::wait || first.event->reached >= first.generation;
}

void Machine::serve_streams() {
  std::unique_lock lock(mutex);
  for (;;) {
    const auto now = Time::now();
    const auto next = finish_due(now);
    std::vector<Stream*> able;
    for (const auto& stream : streams) {
      if (ready(*stream, now)) able.push_back(stream.get());
    }
    if (!able.empty()) {
      serve(*scheduler_.choose(able, streams.size()), lock);
    } else if (next != Time::time_point::max()) {
      changed.wait_until(lock, next);
    } else {
      changed.wait(lock);
    }
  }
}

// Completes what is due by the model of the hardware; returns when something is next.
Time::time_point Machine::finish_due(Time::time_point now) {
  auto next = Time::time_point::max();
  for (const auto& stream : streams) {
    if (stream->operations.empty() || stream->due == Time::time_point{}) continue;
    if (stream->due > now) {
      next = std::min(next, stream->due);
      continue;
    }
    if (!stream->running) continue;
    occupied(*stream, stream->operations.front().unit) = false;
    complete(*stream);
  }
  return next;
}

void Machine::serve(Stream& stream, std::unique_lock<std::mutex>& lock) {
  ++executed_;
  const Operation& operation = stream.operations.front();
  ++counts[name_of(operation.kind)];
  const bool broken = devices[static_cast<std::size_t>(stream.device)].sticky != cudaSuccess;
  if (!broken && hang_.hit(operation.what)) {
    stream.hung = true;
    ++counts["hangs"];
    std::fprintf(stderr, "gpusim: stream %u of device %d hangs at '%s'\n", stream.number, stream.device,
                 operation.what.c_str());
    return;
  }
  if (!broken && sticky_.hit(operation.what)) {
    std::fprintf(stderr, "gpusim: device %d breaks down at '%s'\n", stream.device, operation.what.c_str());
    stream.operations.clear();
    break_down(stream.device);
    return;
  }
  stream.running = true;
  if (operation.kind == Operation::Kind::host) {
    to_call_.emplace_back(&stream, operation.call);
    calls_.notify_one();
    return;
  }
  execute(stream, lock);
}

void Machine::execute(Stream& stream, std::unique_lock<std::mutex>& lock) {
  const Operation& operation = stream.operations.front();  // stays while it runs
  std::chrono::microseconds nap{0};
  if (!settings.timing.any() && scheduler_.below(4) == 0)
    nap = std::chrono::microseconds(scheduler_.below(static_cast<std::uint64_t>(2 * settings.delay.count())));
  if (operation.takes.count() > 0) occupied(stream, operation.unit) = true;
  lock.unlock();
  if (nap.count() > 0) std::this_thread::sleep_for(nap);  // so that what is not ordered comes in another order
  std::vector<Range> touched = operation.ranges;
  std::string broken;
  try {
    if (operation.run) touched = operation.run();
  } catch (const Fault& fault) {
    broken = fault.why;
  }
  lock.lock();
  for (const Range& range : touched) note_access(stream, operation, range);
  if (!broken.empty()) {
    findings.add("illegal address: " + operation.what + ": " + broken);
    break_down(stream.device);
  }
  if (operation.takes.count() > 0) {
    stream.due = earliest(stream) + operation.takes;
    return;
  }
  complete(stream);
}

// When the hardware would begin with the stream's first operation: this machine comes to it later, and a device does
// not become slower by that.
Time::time_point Machine::earliest(const Stream& stream) const {
  const Operation& first = stream.operations.front();
  const auto begin = std::max(first.put_at, stream.reached);
  if (first.takes.count() == 0) return begin;
  return std::max(begin,
                  devices[static_cast<std::size_t>(stream.device)].free_at[static_cast<std::size_t>(first.unit)]);
}

// When the hardware would be done with the operation that is complete now.
Time::time_point Machine::end_of(const Stream& stream) const {
  const Operation& operation = stream.operations.front();
  if (!settings.timing.any() || operation.kind == Operation::Kind::host) return Time::now();
  if (operation.kind == Operation::Kind::wait) return std::max(earliest(stream), operation.event->when);
  return earliest(stream) + operation.takes;
}

void Machine::complete(Stream& stream) {
  const Operation& operation = stream.operations.front();
  stream.reached = end_of(stream);
  if (operation.takes.count() > 0)
    devices[static_cast<std::size_t>(stream.device)].free_at[static_cast<std::size_t>(operation.unit)] = stream.reached;
  if (operation.kind == Operation::Kind::record && operation.event->reached < operation.generation) {
    operation.event->reached = operation.generation;
    operation.event->when = stream.reached;
  }
  stream.operations.pop_front();
  stream.running = false;
  stream.due = {};
  changed.notify_all();
}

void Machine::serve_host_functions() {
  thread().in_host_function = true;
  std::unique_lock lock(mutex);
  for (;;) {
    calls_.wait(lock, [&] { return !to_call_.empty(); });
    auto [stream, call] = std::move(to_call_.front());
    to_call_.pop_front();
    lock.unlock();
    call();
    call = nullptr;
    lock.lock();
    complete(*stream);
  }
}

// --- races ---

void Machine::note_access(const Stream& stream, const Operation& operation, const Range& range) {
  Memory* where = memory.find(range.low);
  if (where == nullptr) return;
  for (const Memory::Access& before : where->history) {
    if (before.stream == stream.number || !(before.range.write || range.write)) continue;
    if (before.range.low >= range.high || before.range.high <= range.low) continue;
    if (at(operation.clock, before.stream) >= before.index) continue;
    findings.add("race: '" + operation.what + "' and '" + before.what +
                 "' on another stream are not ordered by an event (" + (range.write ? "write" : "read") + " after " +
                 (before.range.write ? "write" : "read") + ")");
  }
  if (where->history.size() > kHistory)
    std::erase_if(where->history,
                  [&](const Memory::Access& access) { return at(host, access.stream) >= access.index; });
  where->history.push_back({range, stream.number, at(operation.clock, stream.number), operation.what});
}

}  // namespace peaknet::gpusim
