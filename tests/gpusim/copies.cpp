#include "tests/gpusim/copies.hpp"

#include <cstring>

namespace peaknet::gpusim {
namespace {

struct Side {
  std::uint64_t begin, pitch;
  bool on_device, write;
};

// The memory of one side (null: pageable), and its ranges in `ranges`; false if the driver would refuse it.
bool check_side(Machine& machine, const Stream& stream, const Copy& copy, const Side& side, std::vector<Range>& ranges,
                std::shared_ptr<Memory>& memory) {
  const std::uint64_t end = side.begin + side.pitch * (copy.height - 1) + copy.width;
  memory = machine.memory.hold(side.begin);
  const auto refuse = [&](const char* why) { return machine.findings.add(why), false; };
  if (side.on_device != (memory != nullptr && memory->of_device()))
    return refuse(side.on_device ? "a copy names memory as the device's that is not"
                                 : "a copy names the device's memory as the host's");
  if (memory && end > memory->end)
    return refuse(side.on_device ? "a copy reaches beyond its device memory"
                                 : "a copy crosses the end of a registration");
  if (!memory && machine.memory.knows_any(side.begin, end))
    return refuse("a copy begins in unregistered memory and runs into a registration");
  if (memory && !memory->portable && memory->owner != stream.device)
    return refuse("a copy uses memory that was registered for another device alone");
  for (std::uint64_t y = 0; y < copy.height; ++y) {
    const std::uint64_t low = side.begin + y * side.pitch;
    ranges.push_back({low, low + copy.width, side.write});
  }
  return true;
}

// Both sides of a copy, held so that they outlive it.
struct CopyWork {
  Machine& machine;
  Copy copy;
  std::shared_ptr<Memory> to, from;
  std::vector<char> snapshot;  // of pageable memory
  std::vector<Range> ranges;

  std::vector<Range> operator()() {
    for (std::uint64_t y = 0; y < copy.height; ++y) {
      const std::uint64_t source = copy.from + y * copy.from_pitch;
      const std::uint64_t target = copy.to + y * copy.to_pitch;
      const char* bytes = from ? from->at(source) : snapshot.data() + y * copy.width;
      std::memcpy(to ? to->at(target) : reinterpret_cast<char*>(target), bytes, copy.width);
      note_written(source, target);
    }
    return ranges;
  }
  // What nobody has written stays that on the device, and must not reach the host.
  void note_written(std::uint64_t source, std::uint64_t target) const {
    const auto at = [](const Memory& memory, std::uint64_t address) {
      return const_cast<Memory&>(memory).written.begin() + static_cast<std::ptrdiff_t>(address - memory.begin);
    };
    const auto width = static_cast<std::ptrdiff_t>(copy.width);
    if (copy.from_device() && copy.to_device()) {
      std::copy_n(at(*from, source), width, at(*to, target));
    } else if (copy.to_device()) {
      std::fill_n(at(*to, target), width, std::uint8_t{1});
    } else if (copy.from_device() &&
               std::find(at(*from, source), at(*from, source) + width, 0) != at(*from, source) + width) {
      machine.findings.add("a copy to the host reads device memory that nobody has written");
    }
  }
};

std::string describe(const Copy& copy) {
  const char* what = copy.to_device() && copy.from_device() ? "copy on the device"
                     : copy.to_device()                     ? "upload"
                                                            : "download";
  return std::string(what) + " of " + std::to_string(copy.width) + " x " + std::to_string(copy.height);
}

void set_timing(const Settings& settings, const Copy& copy, Operation& operation) {
  if (copy.to_device() == copy.from_device()) return;
  const double gbps = copy.to_device() ? settings.timing.up_gbps : settings.timing.down_gbps;
  operation.unit = copy.to_device() ? Unit::upload : Unit::download;
  if (gbps > 0)
    operation.takes =
        std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(copy.width * copy.height) / gbps));
}

}  // namespace

cudaError_t put_copy(Machine& machine, Stream& stream, const Copy& copy, bool& blocks) {
  blocks = false;
  if (copy.width == 0 || copy.height == 0) return cudaSuccess;
  if (copy.to_pitch < copy.width || copy.from_pitch < copy.width) return cudaErrorInvalidPitchValue;
  CopyWork work{machine, copy, nullptr, nullptr, {}, {}};
  if (!check_side(machine, stream, copy, {copy.to, copy.to_pitch, copy.to_device(), true}, work.ranges, work.to) ||
      !check_side(machine, stream, copy, {copy.from, copy.from_pitch, copy.from_device(), false}, work.ranges,
                  work.from)) {
    return cudaErrorInvalidValue;
  }
  if (stream.recording && (!work.to || !work.from)) machine.findings.add("a copy of pageable memory was recorded");
  if (!work.from) {
    ++machine.counts["pageable uploads"];
    work.snapshot.resize(copy.width * copy.height);
    for (std::uint64_t y = 0; y < copy.height; ++y)
      std::memcpy(work.snapshot.data() + y * copy.width, reinterpret_cast<const char*>(copy.from + y * copy.from_pitch),
                  copy.width);
  }
  blocks = !work.to && !stream.recording;
  Operation operation{.kind = Operation::Kind::copy, .what = describe(copy), .ranges = work.ranges};
  set_timing(machine.settings, copy, operation);
  operation.run = std::move(work);
  return machine.put(stream, std::move(operation));
}

}  // namespace peaknet::gpusim
