// Range: a span of time that profilers show (NVTX, domain "peaknetd"). Costs a few nanoseconds while no profiler
// listens, and nothing in a build without the CUDA toolkit. Open and close on one thread.
//
// Names as in the seed pipeline: Worker{id}/Batch{n}[buf=k], H2D[buf=k], Compute[buf=k], D2H[buf=k]; payload: frames.
#pragma once

#include <cstdint>
#include <string>

#if PEAKNET_HAVE_NVTX
#include <nvtx3/nvtx3.hpp>
#endif

namespace peaknet::device {

#if PEAKNET_HAVE_NVTX
struct ProfilerDomain {
  static constexpr char const* name = "peaknetd";  // NVTX asks for this spelling
};

class Range {
 public:
  Range(const std::string& name, std::uint64_t frames)
      : range_(nvtx3::event_attributes{name, nvtx3::payload{frames}}) {}

 private:
  nvtx3::scoped_range_in<ProfilerDomain> range_;
};
#else
class Range {
 public:
  Range(const std::string& /*name*/, std::uint64_t /*frames*/) {}
};
#endif

}  // namespace peaknet::device
