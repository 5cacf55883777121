#include "daemon/supervisor/run_request.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace peaknet::supervisor {
namespace {

using nlohmann::json;

TEST(RunRequest, has_what_was_said_and_nothing_else) {
  const auto all =
      run_request_of(json{{"run", "A7"}, {"run_number", 0}, {"proposal", "mfxl1038923"}, {"user", "Lysozym, Düse 2"}});
  ASSERT_TRUE(all) << all.error().text();
  EXPECT_EQ(all->id, "A7");
  EXPECT_EQ(all->facts, (shm::RunFacts{.number = 0, .proposal = "mfxl1038923", .user = "Lysozym, Düse 2"}));
  const auto nothing = run_request_of(json::object());
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->id, "");
  EXPECT_FALSE(nothing->facts.any());
}

TEST(RunRequest, no_path_comes_out_of_it) {
  for (const char* path : {"..", "../x", "/etc", "a/b", ".hidden", "-rf", "a b", "a\tb", "\xff"}) {
    const auto proposal = run_request_of(json{{"proposal", path}});
    ASSERT_FALSE(proposal) << path;
    EXPECT_EQ(proposal.error().id, "start.bad-proposal");
    EXPECT_EQ(proposal.error().untouched, "nothing was started");
    EXPECT_FALSE(proposal.error().remedy.empty());
    const auto run = run_request_of(json{{"run", path}});
    ASSERT_FALSE(run) << path;
    EXPECT_EQ(run.error().id, "start.bad-run");
  }
}

TEST(RunRequest, texts_that_would_be_cut_are_refused) {
  EXPECT_TRUE(run_request_of(json{{"proposal", std::string(shm::kMaxProposal, 'p')}}));
  EXPECT_FALSE(run_request_of(json{{"proposal", std::string(shm::kMaxProposal + 1, 'p')}}));
  EXPECT_TRUE(run_request_of(json{{"user", std::string(shm::kMaxUserText, 'u')}}));
  const auto user = run_request_of(json{{"user", std::string(shm::kMaxUserText + 1, 'u')}});
  ASSERT_FALSE(user);
  EXPECT_EQ(user.error().id, "start.bad-user");
}

TEST(RunRequest, the_users_text_is_one_line) {
  for (const char* text : {"two\nlines", "\x1b[31m", "\x7f"})
    EXPECT_FALSE(run_request_of(json{{"user", text}})) << text;
}

}  // namespace
}  // namespace peaknet::supervisor
