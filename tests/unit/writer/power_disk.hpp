// PowerDisk: a file system of its own (ext4 on a loop device) that loses its power: what was not made durable before is
// gone, as after a real power cut. It is in a mount namespace of the calling thread and those it starts. Needs the
// right to mount; works() says whether it has it.
#pragma once

#include <filesystem>

#include "tests/unit/cxi/samples.hpp"

namespace peaknet::test {

class PowerDisk {
 public:
  explicit PowerDisk(std::uint64_t bytes);
  ~PowerDisk();
  PowerDisk(const PowerDisk&) = delete;
  PowerDisk& operator=(const PowerDisk&) = delete;

  bool works() const { return mounted_; }
  std::filesystem::path path() const { return folder_.path() / "mount"; }

  // From now on nothing reaches the disk any more, the journal's last entries included; every call on it fails. False:
  // the kernel refuses.
  bool cut();
  // The power is back: mounted again, as a machine does when it starts. Nobody may have a file of it open.
  bool restore();

 private:
  bool mount();
  TempFolder folder_;
  bool mounted_ = false;
};

}  // namespace peaknet::test
