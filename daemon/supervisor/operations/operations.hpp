// Operations: those that go on now. Asks the table (exclusion.hpp) whether another may join them.
//
// Threads: the supervisor's. Errors: *.busy, with what goes on. After a crash: see Operation.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "daemon/supervisor/operations/exclusion.hpp"

namespace peaknet::supervisor {

// "the pool is being changed": of an operation that goes on.
const char* describe(OperationKind kind);

class Operations {
 public:
  void begin(std::unique_ptr<Operation> operation) { going_on_.push_back(std::move(operation)); }

  // What goes on and makes this one `busy`; of several the pool migration, else a change of depth or batch.
  std::optional<OperationKind> busy_with(OperationKind asked) const;
  // Everything that this one comes before makes way. False: something cannot any more, wait for its end.
  bool make_way_for(OperationKind asked, const Error& why);

  bool going_on(OperationKind kind) const;
  bool engine_is_replaced() const;
  // The one of this type; null: none goes on.
  template <class T>
  T* find() const {
    for (const auto& operation : going_on_) {
      if (auto* found = dynamic_cast<T*>(operation.get())) return found;
    }
    return nullptr;
  }

  // Step those of these kinds, in this order; those that are over go. An operation may begin or end others meanwhile.
  void step(std::initializer_list<OperationKind> kinds);
  // This one was ended by others, and has answered.
  void forget(const Operation& ended);

 private:
  std::vector<std::unique_ptr<Operation>> going_on_;
};

}  // namespace peaknet::supervisor
