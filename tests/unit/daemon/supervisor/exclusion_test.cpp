// The table of what excludes what, and Operations, which keeps to it. Operations of the test do nothing but say so.
#include "daemon/supervisor/operations/exclusion.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "daemon/supervisor/operations/operations.hpp"

namespace peaknet::supervisor {
namespace {

constexpr OperationKind kAll[] = {OperationKind::start,      OperationKind::drain,          OperationKind::rebuffer,
                                  OperationKind::model_load, OperationKind::pool_migration, OperationKind::reload};

struct Trace {
  std::string steps;
  std::string made_way_because;
};

class Scripted final : public Operation {
 public:
  Scripted(OperationKind kind, Trace& trace, int steps = 1, bool can_make_way = true)
      : kind_(kind), trace_(trace), steps_(steps), can_make_way_(can_make_way) {}
  OperationKind kind() const override { return kind_; }
  bool step() override {
    trace_.steps += std::to_string(static_cast<int>(kind_));
    return --steps_ == 0;
  }
  bool make_way(const Error& why) override {
    if (can_make_way_) trace_.made_way_because = why.id;
    return can_make_way_;
  }
  bool replaces_engine() const override { return kind_ == OperationKind::pool_migration; }

 private:
  OperationKind kind_;
  Trace& trace_;
  int steps_;
  bool can_make_way_;
};

class OperationsTest : public ::testing::Test {
 protected:
  void begin(OperationKind kind, int steps = 1, bool can_make_way = true) {
    operations_.begin(std::make_unique<Scripted>(kind, trace_, steps, can_make_way));
  }
  Trace trace_;
  Operations operations_;
};

TEST(Exclusion, a_pool_migration_has_the_devices_and_the_pool_for_itself) {
  for (const auto other : kAll) {
    EXPECT_NE(rule_for(OperationKind::pool_migration, other), Rule::together) << describe(other);
    if (other == OperationKind::start) continue;  // a run may begin before, and is taken over
    EXPECT_NE(rule_for(other, OperationKind::pool_migration), Rule::together) << describe(other);
  }
}

TEST(Exclusion, a_reload_is_refused_while_anything_changes_that_it_could_change) {
  for (const auto other :
       {OperationKind::rebuffer, OperationKind::model_load, OperationKind::pool_migration, OperationKind::reload})
    EXPECT_EQ(rule_for(OperationKind::reload, other), Rule::busy) << describe(other);
}

TEST(Exclusion, the_end_of_a_run_is_never_refused_for_another_operation) {
  for (const auto other : kAll) EXPECT_NE(rule_for(OperationKind::drain, other), Rule::busy) << describe(other);
}

TEST(Exclusion, several_changes_of_depth_or_model_may_be_asked_for) {
  for (const auto asked : {OperationKind::rebuffer, OperationKind::model_load}) {
    for (const auto other : {OperationKind::rebuffer, OperationKind::model_load, OperationKind::reload})
      EXPECT_EQ(rule_for(asked, other), Rule::together) << describe(other);
  }
}

TEST_F(OperationsTest, says_what_a_request_is_refused_for) {
  EXPECT_FALSE(operations_.busy_with(OperationKind::reload).has_value());
  begin(OperationKind::model_load);
  EXPECT_EQ(operations_.busy_with(OperationKind::reload), OperationKind::model_load);
  EXPECT_FALSE(operations_.busy_with(OperationKind::rebuffer).has_value());
  begin(OperationKind::rebuffer);
  EXPECT_EQ(operations_.busy_with(OperationKind::reload), OperationKind::rebuffer);
  begin(OperationKind::pool_migration);
  EXPECT_EQ(operations_.busy_with(OperationKind::reload), OperationKind::pool_migration);
  EXPECT_EQ(operations_.busy_with(OperationKind::rebuffer), OperationKind::pool_migration);
}

TEST_F(OperationsTest, only_what_a_drain_comes_before_makes_way_for_it) {
  begin(OperationKind::model_load, 1, false);
  EXPECT_TRUE(operations_.make_way_for(OperationKind::drain, {"test.why", "", "", ""}));
  EXPECT_EQ(trace_.made_way_because, "");
  begin(OperationKind::pool_migration);
  EXPECT_TRUE(operations_.make_way_for(OperationKind::drain, {"test.why", "", "", ""}));
  EXPECT_EQ(trace_.made_way_because, "test.why");
}

TEST_F(OperationsTest, a_drain_waits_for_a_migration_that_is_too_far_to_make_way) {
  begin(OperationKind::pool_migration, 1, false);
  EXPECT_FALSE(operations_.make_way_for(OperationKind::drain, {"test.why", "", "", ""}));
  EXPECT_TRUE(operations_.engine_is_replaced());
}

TEST_F(OperationsTest, steps_by_kind_in_the_order_asked_for_and_forgets_what_is_over) {
  begin(OperationKind::drain);
  begin(OperationKind::rebuffer, 2);
  begin(OperationKind::rebuffer);
  operations_.step({OperationKind::rebuffer, OperationKind::drain});
  EXPECT_EQ(trace_.steps, "221");
  EXPECT_FALSE(operations_.going_on(OperationKind::drain));
  EXPECT_TRUE(operations_.going_on(OperationKind::rebuffer));
  operations_.step({OperationKind::rebuffer});
  EXPECT_FALSE(operations_.going_on(OperationKind::rebuffer));
}

TEST_F(OperationsTest, an_operation_that_was_ended_by_others_is_forgotten) {
  begin(OperationKind::drain, 5);
  const auto* drain = operations_.find<Scripted>();
  ASSERT_NE(drain, nullptr);
  operations_.forget(*drain);
  EXPECT_FALSE(operations_.going_on(OperationKind::drain));
  EXPECT_EQ(operations_.find<Scripted>(), nullptr);
}

}  // namespace
}  // namespace peaknet::supervisor
