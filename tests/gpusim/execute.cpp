#include "tests/gpusim/execute.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <list>
#include <random>
#include <set>

#include "tests/gpusim/warp.hpp"

namespace peaknet::gpusim {
namespace {

std::string place_of(const Launch& launch, const Thread& thread, std::uint64_t address) {
  char text[160];
  std::snprintf(text, sizeof text, "thread (%u,%u,%u) of block (%u,%u,%u)", thread.id[0], thread.id[1], thread.id[2],
                launch.at[0], launch.at[1], launch.at[2]);
  std::string place = text;
  if (address != 0) {
    std::snprintf(text, sizeof text, ", address %#lx", static_cast<unsigned long>(address));
    place += text;
  }
  return place;
}

// The order in which a few things are done: one after the other, from anywhere, forwards or backwards.
class Order {
 public:
  Order(std::uint64_t count, std::mt19937_64& random)
      : count_(count), first_(random() % count), backwards_(random() % 2 != 0) {}
  std::uint64_t operator[](std::uint64_t i) const {
    const std::uint64_t at = (i + first_) % count_;
    return backwards_ ? count_ - 1 - at : at;
  }

 private:
  std::uint64_t count_, first_;
  bool backwards_;
};

class Execution final : public Monitor {
 public:
  Execution(const Kernel& kernel, const LaunchShape& shape, std::span<const char> params, MemoryMap& memory,
            std::uint64_t seed)
      : kernel_(kernel), memory_(memory), random_(seed) {
    std::copy_n(shape.grid, 3, launch_.grid);
    std::copy_n(shape.block, 3, launch_.block);
    launch_.params = params.data();
    launch_.param_bytes = static_cast<std::uint32_t>(params.size());
    launch_.shared_arrays = kernel.shared_arrays;
    launch_.shared_array_count = kernel.shared_array_count;
    launch_.monitor = this;
    launch_.last = &nothing_;
    threads_.resize(std::size_t{shape.block[0]} * shape.block[1] * shape.block[2]);
    traces_.assign((threads_.size() + kWarp - 1) / kWarp, WarpTrace(kernel.accesses));
  }

  LaunchReport run() {
    const auto& grid = launch_.grid;
    const Order blocks(std::uint64_t{grid[0]} * grid[1] * grid[2], random_);
    for (std::uint64_t i = 0; i < std::uint64_t{grid[0]} * grid[1] * grid[2]; ++i) {
      launch_.at[0] = static_cast<std::uint32_t>(blocks[i] % grid[0]);
      launch_.at[1] = static_cast<std::uint32_t>(blocks[i] / grid[0] % grid[1]);
      launch_.at[2] = static_cast<std::uint32_t>(blocks[i] / grid[0] / grid[1]);
      run_block();
    }
    for (const Window& window : windows_) {
      if (window.read_high > window.read_low) report_.touched.push_back({window.read_low, window.read_high, false});
      if (window.write_high > window.write_low) report_.touched.push_back({window.write_low, window.write_high, true});
    }
    return std::move(report_);
  }

  Window* window(const Launch& launch, const Thread& thread, std::uint64_t address, std::uint32_t bytes,
                 bool write) override {
    for (Window& known : windows_) {
      if (known.holds(address, bytes)) return &known;
    }
    try {
      const Region region = memory_.resolve(address, bytes, write);
      windows_.push_back({region.begin, region.end, region.data, region.written});
    } catch (const Fault& fault) {
      throw Fault{fault.why + ", " + place_of(launch, thread, address)};
    }
    return &windows_.back();
  }
  void complain(const Launch& launch, const Thread& thread, const char* what, std::uint64_t address) override {
    if (complaints_.insert(what).second)
      memory_.complain(kernel_.name, std::string(what) + ", " + place_of(launch, thread, address));
  }
  void fail(const Launch& launch, const Thread& thread, const char* what, std::uint64_t address) override {
    throw Fault{std::string(what) + ", " + place_of(launch, thread, address)};
  }

 private:
  void begin_block() {
    shared_.assign(kernel_.shared_bytes, static_cast<char>(0xcd));
    shared_state_.assign(kernel_.shared_bytes, {});
    launch_.shared = shared_.data();
    launch_.shared_state = shared_state_.data();
    launch_.epoch = 0;
    const auto& block = launch_.block;
    for (std::uint32_t t = 0; t < threads_.size(); ++t) {
      Running& one = threads_[t];
      one.state = Running::State::ready;
      one.thread = {
          {t % block[0], t / block[0] % block[1], t / block[0] / block[1]}, t, t % kWarp, &traces_[t / kWarp]};
      one.registers.assign((kernel_.register_bytes + 7) / 8, 0);
    }
  }

  void run_block() {
    begin_block();
    const Order warps(traces_.size(), random_);
    for (;;) {
      for (std::uint64_t i = 0; i < traces_.size(); ++i) run_warp(warps[i]);
      if (pass_barrier()) continue;
      // Whoever has not left waits for a lane that does not come, or at a barrier for one who does.
      bool moved = false;
      for (std::uint64_t i = 0; i < traces_.size(); ++i) moved |= complete_in(warps[i], true);
      if (!moved) break;
    }
    for (WarpTrace& trace : traces_) trace.finish(report_.loads, report_.stores);
    for (const Running& one : threads_) {
      report_.most_divisions = std::max(report_.most_divisions, one.thread.divisions);
      report_.most_wide_divisions = std::max(report_.most_wide_divisions, one.thread.wide_divisions);
    }
    report_.threads += threads_.size();
  }

  std::span<Running> warp(std::uint64_t number) {
    const std::size_t first = number * kWarp;
    return std::span(threads_).subspan(first, std::min<std::size_t>(kWarp, threads_.size() - first));
  }
  bool complete_in(std::uint64_t number, bool give_up) {
    return complete_warp_operations(
        warp(number), give_up, [this](const Thread& thread, const char* what) { complain(launch_, thread, what, 0); });
  }
  // Until every lane has left, or waits for others.
  void run_warp(std::uint64_t number) {
    const auto lanes = warp(number);
    do {
      const Order order(lanes.size(), random_);
      for (std::uint64_t i = 0; i < lanes.size(); ++i) {
        Running& one = lanes[order[i]];
        if (one.state != Running::State::ready) continue;
        const Step step = kernel_.run(launch_, one.thread, one.registers.data());
        one.state = step == Step::done      ? Running::State::done
                    : step == Step::barrier ? Running::State::at_barrier
                                            : Running::State::at_warp_operation;
      }
    } while (complete_in(number, false));
  }

  // True: nobody waits at a warp operation and some waited at a barrier, who go on.
  bool pass_barrier() {
    const Running* first = nullptr;
    std::size_t here = 0;
    for (const Running& one : threads_) {
      if (one.state == Running::State::at_warp_operation) return false;
      if (one.state != Running::State::at_barrier) continue;
      ++here;
      if (first == nullptr) first = &one;
      if (one.place() != first->place())
        complain(launch_, one.thread, "threads of a block wait at different barriers", 0);
    }
    if (here == 0) return false;
    if (here != threads_.size())
      complain(launch_, first->thread, "threads of a block left while others wait at a barrier", 0);
    for (Running& one : threads_) {
      if (one.state == Running::State::at_barrier) one.state = Running::State::ready;
    }
    ++launch_.epoch;
    return true;
  }

  const Kernel& kernel_;
  MemoryMap& memory_;
  std::mt19937_64 random_;
  LaunchReport report_;
  Launch launch_{};
  std::vector<Running> threads_;
  std::vector<WarpTrace> traces_;
  std::vector<char> shared_;
  std::vector<SharedByte> shared_state_;
  Window nothing_;
  std::list<Window> windows_;
  std::set<std::string> complaints_;
};

}  // namespace

LaunchReport execute(const Kernel& kernel, const LaunchShape& shape, std::span<const char> params, MemoryMap& memory,
                     std::uint64_t seed) {
  return Execution(kernel, shape, params, memory, seed).run();
}

}  // namespace peaknet::gpusim
