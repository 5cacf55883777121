#include "daemon/model/recorded_model.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace peaknet::model {
namespace {

using Log = std::vector<std::string>;

class LoggedModel final : public Model {
 public:
  explicit LoggedModel(Log& log) : log_(log) {}
  const ModelInfo& info() const override { return info_; }
  bool begin_recording(void* /*stream*/) override {
    log_.emplace_back("begin");
    return true;
  }
  void end_recording() override { log_.emplace_back("end"); }
  Status run(const kernels::TensorView& input, void* /*stream*/,
             const std::function<void(const kernels::TensorView&)>& use) override {
    log_.emplace_back("run");
    if (fails) return Error{"model.failed", "it fails", "", ""};
    use(input);
    return {};
  }
  bool fails = false;

 private:
  Log& log_;
  ModelInfo info_{"logged", "test", ""};
};

class LoggedGraph final : public device::Graph {
 public:
  explicit LoggedGraph(Log& log) : log_(log) {}
  Status replay(void* /*stream*/) override {
    log_.emplace_back("replay");
    return {};
  }

 private:
  Log& log_;
};

class LoggedGraphs final : public device::Graphs {
 public:
  explicit LoggedGraphs(Log& log) : log_(log) {}
  Status begin(void* /*stream*/) override {
    log_.emplace_back("record");
    return {};
  }
  Result<std::unique_ptr<device::Graph>> end(void* /*stream*/) override {
    log_.emplace_back("recorded");
    return std::unique_ptr<device::Graph>(new LoggedGraph(log_));
  }

 private:
  Log& log_;
};

class RecordedModelTest : public ::testing::Test {
 protected:
  kernels::TensorView input(std::size_t place, std::uint32_t rows) {
    return kernels::contiguous(reinterpret_cast<std::byte*>(memory_.data() + place), kernels::Element::float32, rows, 1,
                               1, 1);
  }
  // What a run of this input came to.
  Log run(const kernels::TensorView& input) {
    log.clear();
    EXPECT_TRUE(model.run(input, nullptr, [](const auto&) {}));
    return std::exchange(log, {});
  }

  Log log;
  LoggedModel* inner = new LoggedModel(log);  // NOLINT: the model below owns it
  LoggedGraphs graphs{log};
  RecordedModel model{std::unique_ptr<Model>(inner), &graphs};

 private:
  std::array<float, 16> memory_{};
};

TEST_F(RecordedModelTest, a_graph_is_replayed_for_the_rows_and_the_address_that_it_was_recorded_with_and_no_others) {
  ASSERT_TRUE(model.record(input(0, 2), nullptr));
  EXPECT_EQ(log, (Log{"begin", "record", "run", "recorded", "end"}));
  EXPECT_EQ(run(input(0, 2)), Log{"replay"});
  EXPECT_EQ(run(input(0, 1)), Log{"run"});
  EXPECT_EQ(run(input(8, 2)), Log{"run"}) << "a graph reads where it was recorded, whatever it is given";
  model.forget(input(0, 2), "it is wrong");
  EXPECT_EQ(run(input(0, 2)), Log{"run"});
}

TEST_F(RecordedModelTest, a_run_that_fails_while_it_is_recorded_leaves_stream_and_model_as_they_were) {
  inner->fails = true;
  const auto recorded = model.record(input(0, 2), nullptr);
  ASSERT_FALSE(recorded);
  EXPECT_EQ(recorded.error().id, "graph.refused");
  EXPECT_EQ(log, (Log{"begin", "record", "run", "recorded", "end"}));
  inner->fails = false;
  EXPECT_EQ(run(input(0, 2)), Log{"run"});
  ASSERT_TRUE(model.record(input(0, 2), nullptr));
  EXPECT_EQ(run(input(0, 2)), Log{"replay"});
}

}  // namespace
}  // namespace peaknet::model
