// InstanceView: the control segment of an instance as peaknetctl sees it, read-only; it needs no daemon.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "shm/control_segment.hpp"
#include "shm/pool.hpp"

namespace peaknet::ctl {

// Where an instance is not there: with the name of one that is, if it is nearly the same.
Error with_near_name(const std::string& instance, Error error);

struct InstanceView {
  std::shared_ptr<shm::ControlSegment> control_segment;
  std::shared_ptr<shm::Pool> pool;  // none while the daemon has made none

  // Errors: those of ControlSegment::open and of the pool.
  static Result<InstanceView> open(const std::string& instance);
  // Without the pool, which may be damaged until peaknetd has replaced it. Errors: those of ControlSegment::open.
  static Result<std::shared_ptr<shm::ControlSegment>> open_control_segment(const std::string& instance);

  // Frames that exist and are not yet written, filtered, dropped or failed. A frame stays in its slot for all its life,
  // so one that was committed before the call is seen.
  std::uint32_t frames_on_their_way() const;
};

}  // namespace peaknet::ctl
