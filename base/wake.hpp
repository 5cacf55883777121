// Wake: an event for those who wait in poll or zmq_poll: a descriptor that becomes readable and stays so until it is
// cleared. Any thread.
#pragma once

namespace peaknet {

class Wake {
 public:
  Wake();  // throws Fatal (wake.cannot-make) without file descriptors
  ~Wake();
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  void notify() const;
  void clear() const;
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace peaknet
