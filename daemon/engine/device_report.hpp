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
#include "shm/member.hpp"

namespace peaknet::engine {

class DeviceReport {
 public:
  // `directory` may be null: then nothing is shown before attach().
  DeviceReport(std::uint32_t index, std::shared_ptr<shm::Directory> directory)
      : index_(index), directory_(std::move(directory)) {}

  // The worker is a participant from now on, until detach(). `member` outlives that.
  void attach(shm::Member& member) {
    member_ = &member;
    directory_.reset();
  }
  void detach() { member_ = nullptr; }

  std::uint32_t index() const { return index_; }
  // Precondition: attached.
  shm::DeviceRecord& record() const { return member_->layout().devices[index_]; }
  // The same, also before the worker is attached; null: there is none.
  shm::DeviceRecord* shown() const {
    if (member_ != nullptr) return &record();
    return directory_ ? &directory_->layout().devices[index_] : nullptr;
  }

  // Into the list of errors. Without effect while not attached.
  void note(const Error& error) const {
    if (member_ != nullptr) member_->note(error);
  }
  // The device cannot be used any more: log, record and list.
  void lost(const Error& error) const;

  // Precondition of these: attached. The batches in use.
  void show_plan(const BatchPlan& plan) const;
  // Batches of the plan became smaller because of `why`; `now`: what is left, for the log.
  void shrank(const Error& why, const std::string& now, const BatchPlan& plan) const;
  void count(shm::Counter counter, std::uint64_t by) const { member_->count(counter, by); }

 private:
  std::uint32_t index_;
  std::shared_ptr<shm::Directory> directory_;
  shm::Member* member_ = nullptr;
};

}  // namespace peaknet::engine
