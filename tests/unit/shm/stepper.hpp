// Stepper: a child process that stands still before every single machine instruction of one operation (ptrace), so that
// a test can kill it, or let others act, between any two of them.
#pragma once

#include <functional>

#include "tests/support/child.hpp"

namespace peaknet::test {

class Stepper {
 public:
  using Operation = std::function<void()>;
  // `prepare` runs in the child at full speed and returns what is to be stepped through.
  explicit Stepper(const std::function<Operation()>& prepare);

  // Execute `count` instructions, or as many as there are until the operation has returned. False once it has.
  bool advance(long count = 1);
  // Run on to the next entry into the kernel, or to the next return from it (they alternate). False as above.
  bool advance_to_kernel();
  // Is the next instruction a system call?
  bool before_kernel() const;
  // The rest at full speed; then the child ends.
  Exit finish();
  // kill -9 where it stands.
  void kill() { child_.kill(); }

 private:
  Child child_;
  bool done_ = false;
};

}  // namespace peaknet::test
