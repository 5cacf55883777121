#include "shm/indexing.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <limits>
#include <memory>
#include <thread>

#include "tests/unit/shm/documented_offsets.hpp"

namespace peaknet::shm {
namespace {

constexpr std::int64_t kNow = 1'000'000;

// Every number of it follows from one.
IndexingFigures figures(std::uint64_t n) {
  IndexingFigures made;
  EXPECT_TRUE(made.set_run("run" + std::to_string(n)));
  made.looked_ns = kNow - 1;
  made.served = n;
  made.frames = made.indexed = made.crystals = n;
  made.nameless = 3 * n;
  for (auto& number : made.cell) number = {n, static_cast<double>(n), 0.5 * static_cast<double>(n)};
  return made;
}

class IndexingTest : public ::testing::Test {
 protected:
  std::optional<IndexingFigures> loaded() const { return load(*record_, kNow); }
  std::unique_ptr<IndexingRecord> record_ = std::make_unique<IndexingRecord>();
};

TEST_F(IndexingTest, there_are_none_before_the_first) { EXPECT_FALSE(loaded()); }

TEST_F(IndexingTest, what_was_stored_is_loaded) {
  store(*record_, figures(7));
  store(*record_, figures(8));
  const auto now = loaded();
  ASSERT_TRUE(now);
  EXPECT_EQ(now->run_id(), "run8");
  EXPECT_EQ(now->served, 8U);
  EXPECT_EQ(now->nameless, 24U);
  EXPECT_EQ(now->cell[5].deviation, 4.0);
}

TEST_F(IndexingTest, a_run_has_an_id_or_the_figures_have_none) {
  IndexingFigures made;
  EXPECT_TRUE(made.set_run("0217"));
  for (const auto& wrong : {std::string(), std::string(32, 'a'), std::string("a/b")}) EXPECT_FALSE(made.set_run(wrong));
  EXPECT_EQ(made.run_id(), "0217");
}

TEST_F(IndexingTest, a_writer_that_dies_in_the_middle_leaves_the_figures_before) {
  store(*record_, figures(7));
  auto& next = record_->copies[(record_->turn.load() + 1) % 2];
  for (std::size_t i = 0; i < next.size() / 2; ++i) next[i].store(~std::uint64_t{0});
  ASSERT_TRUE(loaded());
  EXPECT_EQ(loaded()->served, 7U);
  store(*record_, figures(9));
  EXPECT_EQ(loaded()->served, 9U);
}

TEST_F(IndexingTest, what_cannot_be_is_none) {
  const auto with = [&](const auto& change) {
    IndexingFigures made = figures(7);
    change(made);
    store(*record_, made);
    return loaded().has_value();
  };
  EXPECT_TRUE(with([](IndexingFigures&) {}));
  EXPECT_TRUE(with([](IndexingFigures& f) { f.served = IndexingFigures::kUnknown; }));
  EXPECT_TRUE(with([](IndexingFigures& f) {
    f.cell[2] = {0, -1, std::numeric_limits<double>::quiet_NaN()};
  })) << "unused";
  EXPECT_FALSE(with([](IndexingFigures& f) { f.run.fill('a'); })) << "no end";
  EXPECT_FALSE(with([](IndexingFigures& f) { f.run[1] = '\n'; }));
  EXPECT_FALSE(with([](IndexingFigures& f) { f.looked_ns = kNow + 1; })) << "the future";
  EXPECT_FALSE(with([](IndexingFigures& f) { f.looked_ns = -1; }));
  EXPECT_FALSE(with([](IndexingFigures& f) { f.indexed = f.frames + 1; }));
  EXPECT_FALSE(with([](IndexingFigures& f) { f.crystals = 0; }));
  EXPECT_FALSE(with([](IndexingFigures& f) { f.cell[0].crystals = 8; }));
  EXPECT_FALSE(with([](IndexingFigures& f) { f.cell[1].mean = std::numeric_limits<double>::infinity(); }));
  EXPECT_FALSE(with([](IndexingFigures& f) { f.cell[3].deviation = std::numeric_limits<double>::quiet_NaN(); }));
}

TEST_F(IndexingTest, lie_in_memory_as_the_document_of_their_format_says) {
  using F = IndexingFigures;
  const std::vector<std::size_t> offsets = {offsetof(F, run), offsetof(F, looked_ns), offsetof(F, served),
                                            offsetof(F, frames), offsetof(F, cell)};
  EXPECT_EQ(test::documented_offsets("Indexing"), offsets);
  EXPECT_EQ(offsetof(IndexingRecord, copies), 8U);
}

TEST_F(IndexingTest, a_reader_never_sees_halves_of_two) {
  store(*record_, figures(1));
  const std::jthread writer([&](const std::stop_token& stop) {
    for (std::uint64_t n = 2; !stop.stop_requested(); ++n) store(*record_, figures(n));
  });
  std::uint64_t seen = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto now = loaded();
    if (!now) continue;  // it was too fast
    ++seen;
    ASSERT_EQ(now->run_id(), "run" + std::to_string(now->served));
    ASSERT_EQ(now->crystals, now->served);
    ASSERT_EQ(now->nameless, 3 * now->served);
    ASSERT_EQ(now->cell[5].crystals, now->served);
    ASSERT_EQ(now->cell[5].deviation, 0.5 * static_cast<double>(now->served));
  }
  EXPECT_GT(seen, 0U);
}

}  // namespace
}  // namespace peaknet::shm
