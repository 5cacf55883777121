#include "daemon/supervisor/operations/pool_migration.hpp"

#include <algorithm>
#include <utility>

#include "base/control_groups.hpp"
#include "base/log_line.hpp"
#include "base/text.hpp"
#include "daemon/supervisor/calibration.hpp"
#include "daemon/supervisor/operations/rebuffer.hpp"
#include "daemon/supervisor/shape_verification.hpp"
#include "shm/frame_accounting.hpp"

namespace peaknet::supervisor {
namespace {

using nlohmann::json;
using shm::SlotState;

constexpr const char* kUntouched = "nothing was changed, no frame was touched";
constexpr std::chrono::seconds kDrain{60};  // for the frames that are in the old pool

std::uint64_t bytes_of(const shm::Geometry& geometry) { return shm::PoolOffsets(geometry).total; }

json pool_json(std::uint64_t epoch, const shm::Geometry& geometry) {
  return {{"epoch", epoch},
          {"slots", geometry.slots},
          {"shape", {geometry.panels, geometry.height, geometry.width}},
          {"bytes", bytes_of(geometry)}};
}

std::uint64_t free_in(const std::string& folder) {
  return shm::shared_memory_free(folder.empty() ? "/dev/shm" : folder).value_or(0);
}

}  // namespace

Status PoolMigration::check(const shm::Geometry& wanted, const std::string& folder) {
  if (auto good = wanted.check(); !good) {
    return Error{"rebuffer.bad-pool", good.error().what, kUntouched,
                 "--slots 2 to " + std::to_string(shm::kMaxSlots) + ", --shape C,H,W as the detector has it"};
  }
  const std::string place = folder.empty() ? "/dev/shm" : folder;
  const auto free = shm::shared_memory_free(place);
  const std::uint64_t needed = bytes_of(wanted);
  if (!free || needed <= *free) return group_has_room(needed, place);
  shm::Geometry fits = wanted;
  while (fits.slots > 0 && bytes_of(fits) > *free) {
    const std::uint64_t over = bytes_of(fits) - *free;
    fits.slots -= std::min<std::uint32_t>(fits.slots, static_cast<std::uint32_t>(1 + (over - 1) / fits.slot_stride()));
  }
  const std::string enlarge = "enlarge " + place + " (mount -o remount,size=... " + place + ")";
  return Error{
      "rebuffer.no-space",
      std::to_string(wanted.slots) + " slots of " + shm::describe(wanted) + " need " + human_bytes(needed) +
          " beside the pool that is there, and " + place + " has " + human_bytes(*free) + " free",
      kUntouched,
      fits.slots >= 2 ? "--slots " + std::to_string(fits.slots) + " (the most that fit), or " + enlarge : enlarge};
}

PoolMigration::PoolMigration(PoolManager& pool_manager, EngineHost& room, const RunState& run, const Wish& wish,
                             shm::EventCount& progress, control::Answer answer)
    : pool_manager_(pool_manager),
      engine_host_(room),
      run_(run),
      wish_(wish),
      begun_(Clock::now()),
      epoch_before_(pool_manager.pool()->epoch()),
      before_(pool_manager.pool()->geometry()),
      config_before_(room.config()),
      calibration_before_(room.calibration()),
      depth_before_(room.engine().depth()),
      batch_before_(batch_now(pool_manager.layout())),
      free_before_(free_in(room.config().pool.folder)),
      in_flight_(pool_manager.used()),
      answer_(std::move(answer)) {
  if (wish_.depth == 0) wish_.depth = depth_before_;
  if (wish_.batch == 0) wish_.batch = batch_before_;
  std::promise<Result<Prepared>> promise;
  prepared_ = promise.get_future();
  preparer_ = std::jthread([this, config = with_pool(config_before_, wish_.geometry), epoch = epoch_before_,
                            promise = std::move(promise), &progress](const std::stop_token& stop) mutable {
    promise.set_value(prepare(config, epoch, stop));
    progress.notify();
  });
}

PoolMigration::~PoolMigration() {
  preparer_.request_stop();
  if (preparer_.joinable()) preparer_.join();
  if (prepared_.valid()) {
    if (auto prepared = prepared_.get(); prepared && prepared->pool) next_ = prepared->pool;
  }
  if (next_) pool_manager_.drop(*next_);
}

// In the preparer's thread.
Result<PoolMigration::Prepared> PoolMigration::prepare(const config::Config& config, std::uint64_t epoch,
                                                       const std::stop_token& stop) const {
  auto calibration = read_calibration(config);
  if (!calibration) return calibration.error();
  if (auto good = try_shape(config, stop); !good) return good.error();
  Prepared prepared{std::move(calibration->values), nullptr};
  if (wish_.dry_run) return prepared;
  auto made = pool_manager_.make_next(epoch, wish_.geometry);
  if (!made) return made.error();
  prepared.pool = std::move(*made);
  return prepared;
}

bool PoolMigration::step() {
  auto outcome = move_on();
  if (!outcome) return false;
  answer_.send(std::move(*outcome));
  return true;
}

PoolMigration::Outcome PoolMigration::move_on() {
  switch (phase_) {
    case Phase::preparing:
      return begin_draining();
    case Phase::draining:
      return drain();
    case Phase::warming:
      return warm();
    case Phase::returning:
      return settle_return();
  }
  return std::nullopt;
}

bool PoolMigration::make_way(const Error& why) {
  if (replaces_engine()) return false;
  if (!given_up_) given_up_ = why;
  if (phase_ == Phase::draining) pool_manager_.open_pool();
  return true;
}

Error PoolMigration::left_as_it_was(Error why) {
  if (phase_ == Phase::draining) pool_manager_.open_pool();
  why.untouched = kUntouched;
  log::warn("rebuffer: {}", why.text());
  return why;
}

PoolMigration::Outcome PoolMigration::begin_draining() {
  if (prepared_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return std::nullopt;
  auto prepared = prepared_.get();
  if (prepared) next_ = prepared->pool;
  if (given_up_) return left_as_it_was(*given_up_);
  if (!prepared) return left_as_it_was(prepared.error());
  in_flight_ = pool_manager_.used();
  if (wish_.dry_run) return reply();
  calibration_ = std::move(prepared->calibration);
  phase_ = Phase::draining;
  deadline_ = Clock::now() + kDrain;
  pool_manager_.close_pool();
  log::info("rebuffer: pool of epoch {} closed with {} frames in it", epoch_before_, in_flight_);
  return std::nullopt;
}

PoolMigration::Outcome PoolMigration::drain() {
  if (given_up_) return left_as_it_was(*given_up_);
  pool_manager_.maintain();
  if (const std::uint32_t used = pool_manager_.used(); used > 0) {
    if (Clock::now() < deadline_) return std::nullopt;
    const auto in = [&](SlotState state) { return std::to_string(pool_manager_.count(state, shm::kMaxSequence)); };
    return left_as_it_was({"rebuffer.timeout",
                           std::to_string(used) + " slots of the old pool are not free after " +
                               std::to_string(kDrain.count()) + " s: " + in(SlotState::filling) +
                               " are being filled, " + in(SlotState::ready) + " wait for a device, " +
                               in(SlotState::inferring) + " are on one, " + in(SlotState::done) +
                               " wait for a writer, " + in(SlotState::writing) + " are being written",
                           "", "peaknetctl status: who holds them? then once more"});
  }
  if (auto moved = pool_manager_.move_to(next_); !moved) return left_as_it_was(moved.error());
  next_.reset();  // it is the pool manager's
  auto config = with_pool(config_before_, wish_.geometry);
  config.engine.depth = wish_.depth;
  phase_ = Phase::warming;
  if (auto fitted = engine_host_.refit(config, calibration_); !fitted) {
    given_up_ = fitted.error();
    return warm();
  }
  if (const auto run = run_.running(); !run.empty())
    engine_host_.engine().open(run);  // what there is to take, the pool decides
  return std::nullopt;
}

PoolMigration::Outcome PoolMigration::warm() {
  if (!given_up_) {
    if (engine_host_.engine().warming()) return std::nullopt;
    if (engine_host_.engine().usable() > 0) {
      set_engine();
      pool_manager_.open_pool();
      pool_manager_.forget_former();
      log::info("rebuffer: {} slots of {} -> {} slots of {}, with {} frames in flight", before_.slots,
                shm::describe(before_), wish_.geometry.slots, shm::describe(wish_.geometry), in_flight_);
      return reply();
    }
    const auto failures = engine_host_.engine().failures();
    given_up_ = failures.empty() ? Error{"rebuffer.no-device", "no device became ready for the new shape", "", ""}
                                 : failures.front();
  }
  phase_ = Phase::returning;
  auto back = pool_manager_.move_back();
  auto config = config_before_;
  config.engine.depth = depth_before_;
  if (back) back = engine_host_.refit(config, calibration_before_);
  if (!back) {
    log::error("{}", back.error().text());
    return Result<json>(back.error());
  }
  if (const auto run = run_.running(); !run.empty()) engine_host_.engine().open(run);
  return std::nullopt;
}

PoolMigration::Outcome PoolMigration::settle_return() {
  if (engine_host_.engine().warming()) return std::nullopt;
  if (engine_host_.engine().usable() == 0) return Result<json>(engine_host_.engine().failures().front());
  wish_.batch = batch_before_;
  wish_.depth = depth_before_;
  set_engine();
  pool_manager_.open_pool();
  return left_as_it_was(*given_up_);
}

// The lanes and batches as they are to be; the engine was made with what engine.batch reserves.
void PoolMigration::set_engine() {
  if (batch_now(pool_manager_.layout()) != wish_.batch || engine_host_.engine().depth() != wish_.depth)
    (void)engine_host_.engine().rebuffer(wish_.depth, wish_.batch);
}

json PoolMigration::reply() const {
  const auto accounting = shm::read_accounting(pool_manager_.control_segment(), pool_manager_.pool().get());
  json document = {
      {"before", depth_before_},
      {"after", wish_.depth},
      {"batch_before", batch_before_},
      {"batch_after", wish_.batch},
      {"pool_before", pool_json(epoch_before_, before_)},
      {"pool_after", pool_json(epoch_before_ + 1, wish_.geometry)},
      {"free_bytes", free_before_},
      {"in_flight", in_flight_},
      {"lost", accounting.settled ? std::max<std::int64_t>(0, accounting.imbalance()) : 0},
      {"took_ms",
       wish_.dry_run ? 0 : std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun_).count()}};
  if (wish_.dry_run) document["dry_run"] = true;
  return document;
}

}  // namespace peaknet::supervisor
