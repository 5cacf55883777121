// Tune's slots: memory that images come from, of the kind that a daemon of the same configuration has its pool in, and
// as much of it: whether it can be registered depends on both.
//
// It has no name: no instance is touched or imitated by it, and nothing of it is left however this process ends. Where
// there is no room for the whole pool it is as many slots as are needed, and where there is none for those either it is
// memory of this process; `told().note` then has the reason with its numbers.
//
// Threads: any. What devices may still touch stays as long as somebody holds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/result.hpp"
#include "config/config.hpp"
#include "daemon/supervisor/tune_report.hpp"
#include "shm/segment.hpp"

namespace peaknet::supervisor {

class TuneSlots {
 public:
  // At least `needed` slots. Errors: tune.no-memory.
  static Result<std::shared_ptr<TuneSlots>> make(const config::Config& config, std::uint32_t needed);

  const shm::Geometry& geometry() const { return geometry_; }
  std::span<std::byte> payload() const { return payload_; }
  std::span<std::byte> slots(std::size_t first, std::size_t count) const {
    return payload_.subspan(first * geometry_.slot_stride(), count * geometry_.slot_stride());
  }
  const TuneMemory& told() const { return told_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  TuneSlots(const shm::Geometry& geometry, std::optional<shm::Segment> segment, std::unique_ptr<std::byte, Free> own,
            std::string note);

  shm::Geometry geometry_;
  std::optional<shm::Segment> segment_;
  std::unique_ptr<std::byte, Free> own_;  // where there is no segment
  std::span<std::byte> payload_;
  TuneMemory told_;
};

}  // namespace peaknet::supervisor
