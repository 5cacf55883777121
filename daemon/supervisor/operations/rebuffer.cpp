#include "daemon/supervisor/operations/rebuffer.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log_line.hpp"
#include "shm/frame_accounting.hpp"

namespace peaknet::supervisor {
namespace {

// Of all devices. Throws std::future_error if one was lost.
engine::RebufferReceipt sum_of(std::vector<std::future<engine::RebufferReceipt>>& receipts) {
  engine::RebufferReceipt sum;
  for (auto& future : receipts) {
    const auto receipt = future.get();
    const std::uint32_t in_flight = sum.in_flight + receipt.in_flight;
    sum = receipt;
    sum.in_flight = in_flight;
  }
  return sum;
}

}  // namespace

std::uint32_t batch_now(const shm::ControlLayout& layout) {
  const auto& devices = layout.devices;
  const auto ready =
      std::find_if(devices.begin(), devices.end(), [](const auto& d) { return d.state.load() == "ready"; });
  return ready == devices.end() ? 0 : ready->batch.load();
}

Rebuffer::Rebuffer(OperationKind kind, PoolManager& pool_manager, EngineHost& room, std::uint32_t depth,
                   std::uint32_t batch, Done done)
    : kind_(kind),
      pool_manager_(pool_manager),
      engine_host_(room),
      receipts_(room.engine().rebuffer(depth, batch)),
      done_(std::move(done)) {}

bool Rebuffer::step() {
  const bool all = std::all_of(receipts_.begin(), receipts_.end(), [](const auto& receipt) {
    return receipt.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  });
  if (!all) return false;
  engine::RebufferReceipt sum;
  try {
    sum = sum_of(receipts_);
  } catch (const std::future_error&) {
    done_(Error{"rebuffer.device-lost", "a device was lost in the middle of the change", "its frames went back to Q1",
                "see peaknetctl status"});
    return true;
  }
  engine_host_.depth_is(sum.after);
  const auto accounting = shm::read_accounting(pool_manager_.control_segment(), pool_manager_.pool().get());
  done_(nlohmann::json{{"before", sum.before},
                       {"after", sum.after},
                       {"batch_before", sum.batch_before},
                       {"batch_after", sum.batch_after},
                       {"in_flight", sum.in_flight},
                       {"lost", accounting.settled ? std::max<std::int64_t>(0, accounting.imbalance()) : 0},
                       {"took_ms", milliseconds_since(begun_)}});
  log::info("depth {} -> {}, batch {} -> {}, with {} frames in flight", sum.before, sum.after, sum.batch_before,
            sum.batch_after, sum.in_flight);
  return true;
}

nlohmann::json Rebuffer::plan(const shm::ControlLayout& layout, std::uint32_t depth_now, std::uint32_t depth,
                              std::uint32_t batch) {
  const std::uint32_t before = batch_now(layout);
  std::uint32_t in_flight = 0;
  for (const auto& device : layout.devices) in_flight += device.in_flight.load();
  return {{"before", depth_now},    {"after", depth},
          {"batch_before", before}, {"batch_after", batch == 0 ? before : batch},
          {"in_flight", in_flight}, {"lost", 0},
          {"took_ms", 0},           {"dry_run", true}};
}

}  // namespace peaknet::supervisor
