// Operation: something that was asked of the daemon and takes time. All of them have this one form; which may go on
// beside which is said in one table (exclusion.hpp), and Operations keeps those that go on.
//
// Threads: the supervisor's. Errors: an operation answers whoever asked for it, with its result or with why it did not
// come to be. After a crash: the answers are lost, the peer sees that the connection ended; what the next daemon finds
// is said by each operation.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/result.hpp"

namespace peaknet::supervisor {

enum class OperationKind : std::uint8_t { start, drain, rebuffer, model_load, pool_migration, reload };
inline constexpr std::size_t kOperationKinds = 6;

class Operation {
 public:
  using Clock = std::chrono::steady_clock;

  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  virtual ~Operation() = default;

  virtual OperationKind kind() const = 0;
  // Move on whatever can be moved on; does not block. True: it is over, and everybody who asked has the answer.
  virtual bool step() = 0;
  // Another operation comes first: leave all as it was, because of `why`, at the next step. False: too late, the other
  // waits for the end of this one.
  virtual bool make_way(const Error& /*why*/) { return false; }
  // There is no usable device because of it, which is no failure then.
  virtual bool replaces_engine() const { return false; }

 protected:
  static std::int64_t milliseconds_since(Clock::time_point then) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - then).count();
  }
};

}  // namespace peaknet::supervisor
