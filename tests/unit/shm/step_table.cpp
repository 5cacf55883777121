#include "tests/unit/shm/step_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "shm/state_word.hpp"

namespace peaknet::test {
namespace {

std::string names_of(unsigned states) {
  std::string names;
  for (int state = 0; state < shm::kSlotStates; ++state) {
    if ((states >> state & 1U) != 0) names += (names.empty() ? "" : " ") + std::string(name(shm::SlotState(state)));
  }
  return names;
}

class Printer : public testing::Environment {
 public:
  void TearDown() override { StepTable::of_this_process().print(); }
};

const testing::Environment* const printer = testing::AddGlobalTestEnvironment(new Printer);

}  // namespace

StepTable& StepTable::of_this_process() {
  static StepTable table;
  return table;
}

void StepTable::add(Row row) {
  auto [at, fresh] = rows_.try_emplace(row.operation, row);
  if (fresh) return;
  Row& all = at->second;
  all.steps = std::max(all.steps, row.steps);
  all.killed += row.killed;
  all.pairs += row.pairs;
  all.states |= row.states;
  all.every_one = all.every_one && row.every_one;
  if (all.bad.empty()) all.bad = std::move(row.bad);
}

void StepTable::print() const {
  if (rows_.empty()) return;
  std::printf("\n%-34s %7s %9s %9s %-7s %-62s %s\n", "operation", "steps", "killed", "pairs", "tried", "slots were",
              "outcome");
  for (const auto& [operation, row] : rows_) {
    std::printf("%-34s %7ld %9ld %9ld %-7s %-62s %s\n", operation.c_str(), row.steps, row.killed, row.pairs,
                row.every_one ? "all" : "sample", names_of(row.states).c_str(),
                row.bad.empty() ? "ok" : ("BAD: " + row.bad).c_str());
  }
}

}  // namespace peaknet::test
