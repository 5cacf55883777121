#include "daemon/supervisor/operations/operations.hpp"

#include <algorithm>
#include <utility>

namespace peaknet::supervisor {

const char* describe(OperationKind kind) {
  switch (kind) {
    case OperationKind::start:
      return "the daemon is starting";
    case OperationKind::drain:
      return "the run is being ended";
    case OperationKind::rebuffer:
    case OperationKind::reload:
      return "depth or batch are being changed";
    case OperationKind::model_load:
      return "a model is being loaded";
    case OperationKind::pool_migration:
      return "the pool is being changed";
  }
  return "another change is under way";
}

std::optional<OperationKind> Operations::busy_with(OperationKind asked) const {
  for (const auto kind : {OperationKind::pool_migration, OperationKind::rebuffer, OperationKind::reload,
                          OperationKind::model_load, OperationKind::drain, OperationKind::start}) {
    if (rule_for(asked, kind) == Rule::busy && going_on(kind)) return kind;
  }
  return std::nullopt;
}

bool Operations::make_way_for(OperationKind asked, const Error& why) {
  bool clear = true;
  for (const auto& operation : going_on_) {
    if (rule_for(asked, operation->kind()) == Rule::first) clear &= operation->make_way(why);
  }
  return clear;
}

bool Operations::going_on(OperationKind kind) const {
  return std::any_of(going_on_.begin(), going_on_.end(), [&](const auto& one) { return one->kind() == kind; });
}

bool Operations::engine_is_replaced() const {
  return std::any_of(going_on_.begin(), going_on_.end(), [](const auto& one) { return one->replaces_engine(); });
}

void Operations::step(std::initializer_list<OperationKind> kinds) {
  for (const auto kind : kinds) {
    std::vector<Operation*> of_kind;
    for (const auto& operation : going_on_) {
      if (operation->kind() == kind) of_kind.push_back(operation.get());
    }
    for (Operation* operation : of_kind) {
      if (operation->step()) forget(*operation);
    }
  }
}

void Operations::forget(const Operation& ended) {
  std::erase_if(going_on_, [&](const auto& operation) { return operation.get() == &ended; });
}

}  // namespace peaknet::supervisor
