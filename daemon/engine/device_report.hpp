// DeviceReport: what a worker tells of its device: its record in the control segment, the list of errors of the
// instance, and the log.
//
// Threads: the worker's, or in its place who gave up its call. Errors: none; what cannot be shown is in the log.
// After a crash: the record stays as it was until the next worker of this index attaches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "daemon/engine/batch_plan.hpp"
#include "shm/participant.hpp"

namespace peaknet::engine {

class DeviceReport {
 public:
  // `control_segment` may be null: then nothing is shown before attach().
  DeviceReport(std::uint32_t index, std::shared_ptr<shm::ControlSegment> control_segment)
      : index_(index), control_segment_(std::move(control_segment)) {}

  // The worker is a participant from now on, until detach(). `participant` outlives that.
  void attach(shm::Participant& participant) {
    participant_ = &participant;
    control_segment_.reset();
  }
  void detach() { participant_ = nullptr; }

  std::uint32_t index() const { return index_; }
  // Precondition: attached.
  shm::DeviceRecord& record() const { return participant_->layout().devices[index_]; }
  // The same, also before the worker is attached; null: there is none.
  shm::DeviceRecord* shown() const {
    if (participant_ != nullptr) return &record();
    return control_segment_ ? &control_segment_->layout().devices[index_] : nullptr;
  }

  // Into the list of errors. Without effect while not attached.
  void record_error(const Error& error) const {
    if (participant_ != nullptr) participant_->record_error(error);
  }
  // The device cannot be used any more: log, record and list.
  void lost(const Error& error) const;

  // Precondition of these: attached. The batches in use.
  void publish_plan(const BatchPlan& plan) const;
  // Batches of the plan became smaller because of `why`; `now`: what is left, for the log.
  void shrank(const Error& why, const std::string& now, const BatchPlan& plan) const;
  void count(shm::Counter counter, std::uint64_t by) const { participant_->count(counter, by); }

 private:
  std::uint32_t index_;
  std::shared_ptr<shm::ControlSegment> control_segment_;
  shm::Participant* participant_ = nullptr;
};

}  // namespace peaknet::engine
