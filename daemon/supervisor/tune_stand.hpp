// TuneStand: one device with the configured model, and what can be measured on it. What runs is what the engine runs:
// images to the device, counts to the network's input, network, bits, bits back.
//
// Threads: one, which owns the device; steps() from any. Every wait is bounded and ends after a stop. What is on the
// device's streams uses nothing but this, so a stand that release() said false of must stay as it is until the process
// ends. Errors: those of the device and of the model; device.stuck; engine.given-up after a stop.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "daemon/engine/batch_plan.hpp"
#include "daemon/engine/engine.hpp"
#include "daemon/supervisor/tune_rally.hpp"
#include "daemon/supervisor/tune_report.hpp"
#include "daemon/supervisor/tune_slots.hpp"
#include "shm/event_count.hpp"

namespace peaknet::supervisor {

class TuneStand {
 public:
  // `index` among the devices: each has slots of its own.
  TuneStand(const config::Config& config, std::shared_ptr<const TuneSlots> slots, std::size_t index,
            std::stop_token stop, const TuneOptions& options = {});
  ~TuneStand() = default;  // only where there never was a device, or after release() returned true
  TuneStand(const TuneStand&) = delete;
  TuneStand& operator=(const TuneStand&) = delete;

  // How many slots each device needs.
  static std::uint32_t slots_needed(const config::Config& config) { return kTuneDepths * config.engine.batch; }

  // Changes as long as the thread goes on; it stands still in a call that does not return.
  std::uint64_t steps() const { return steps_.load(std::memory_order_relaxed); }

  // The device, the slots, the model and its stored input.
  Status open(const engine::DevicePlan& plan);
  // The sizes that are asked for, of those that the model runs with.
  std::vector<std::uint32_t> buckets() const;
  // A row of the report, or why larger batches are not tried.
  Status measure(std::uint32_t events);
  // Events/s with the batch that was measured last, at depth 1, 2, ..., while others do the same: a rally for each.
  Result<std::vector<double>> measure_beside(const TuneRallies& rallies);
  const TuneReport& report() const { return report_; }

  // Gives device and model up. False: the device has not let go of them; one that is stuck is not waited for again.
  bool release(std::chrono::nanoseconds at_most);

 private:
  // What one batch needs, on the device and on the host.
  struct Bay {
    explicit Bay(device::Device& device);
    std::unique_ptr<device::Memory> images, masks;
    std::span<std::byte> slots;  // of the payload
    std::vector<const std::byte*> events;
    std::vector<std::uint64_t*> places;
    device::PassingEvent begun, uploaded, computed, downloaded;
    Status outcome;
  };

  Status load(const engine::ModelMaker& make_model);
  Status until(const std::function<bool(std::chrono::nanoseconds)>& done_within, int patience, const char* doing);
  Status until_idle(int patience, const char* doing);
  Status until_done(const device::PassingEvent& event);
  Status set_up(std::uint32_t events);
  Result<std::unique_ptr<Bay>> make_bay(std::uint32_t index);
  Status record_runs(TuneRow& row);
  Status measure_latency(TuneRow& row);
  Result<double> sequential_rate(int batches);
  Status measure_rates(TuneRow& row);
  void note_precision(const config::Config& config);
  Status measure_detour(TuneRow& row);
  Result<double> rate(std::uint32_t depth, int batches, TuneRally* rally);
  Result<TuneRow> measure_row();
  Result<double> upload_ms(const std::byte* images, std::size_t stride);
  void launch(Bay& bay);
  void upload(Bay& bay);
  void compute(Bay& bay);
  void download(Bay& bay);
  void tell(device::Event event, device::Stream stream);
  kernels::TensorView input() const;
  std::span<std::uint64_t> mask(const Bay& bay, std::uint32_t event) const;
  std::uint64_t memory_used() const;
  bool on_host() const { return name_ == "cpu"; }

  const engine::WorkerOptions options_;
  const double memory_fraction_;
  const std::shared_ptr<const TuneSlots> slots_;
  const std::size_t index_;
  const std::stop_token stop_;
  const TuneOptions tuned_;
  bool slow_precision_ = false;
  std::uint64_t resident_ = 0;  // of this process before the model was loaded
  std::atomic<std::uint64_t> steps_{0};
  TuneReport report_;
  engine::BatchPlan plan_;
  std::uint32_t events_ = 0, rows_ = 0;  // of the batch that is set up
  int batches_ = 0;                      // that are enough for a rate
  std::string name_;
  bool stuck_ = false, broken_ = false;  // the device: it was waited for long enough; beyond hope
  std::shared_ptr<model::RecordedModel> model_;
  Status loaded_, recorded_;               // set on the compute stream, read when it is done
  std::unique_ptr<device::Memory> input_;  // one for all batches: they use it one after the other
  std::shared_ptr<void> trial_;            // that the device did not come to the end of
  std::vector<std::unique_ptr<Bay>> bays_;
  std::unique_ptr<device::Memory> straight_;
  shm::EventCount done_;
  std::unique_ptr<device::Device> device_;  // last: its streams end before what they use
};

}  // namespace peaknet::supervisor
