#include "ctl/init_command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "config/config.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

std::string content(const std::string& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

class InitTest : public testing::Test {
 protected:
  InitTest() {
    options_.command = "init";
    options_.json = true;
    options_.config = folder_ / "mfx.yaml";
    options_.files = {test::TestInstance::unique_name()};
    options_.settings = {"engine.devices=cpu", "model.path=builtin:threshold=100"};
  }
  ExitCode run() {
    out_.str("");
    err_.str("");
    return init(options_, out_, err_);
  }
  test::TempFolder folder_;
  Options options_;
  std::ostringstream out_, err_;
};

TEST_F(InitTest, what_it_writes_is_a_good_configuration_whose_keys_are_explained) {
  options_.settings.emplace_back("pool.shape=[16, 185, 388]");
  options_.settings.emplace_back("engine.stuck_seconds=30");
  EXPECT_EQ(run(), ExitCode::ok) << out_.str() << err_.str();
  const auto config = config::load(options_.config, {});
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->instance, options_.files.front());
  EXPECT_EQ(config->pool.shape, (std::array<std::uint32_t, 3>{16, 185, 388}));
  EXPECT_EQ(config->engine.stuck_seconds, 30);
  EXPECT_EQ(config->output.dir, folder_ / "peaknet_output") << "beside the file, as without the key";
  std::istringstream lines(content(options_.config));
  std::string before;
  for (std::string line; std::getline(lines, line); before = line) {
    EXPECT_LE(line.size(), 120U);
    const bool is_key = line.find(": ") != std::string::npos && line.find('#') == std::string::npos;
    if (is_key) {
      EXPECT_THAT(before, HasSubstr("# ")) << "nothing explains " << line;
    }
  }
  const json said = json::parse(out_.str());
  EXPECT_EQ(said["schema"], "peaknet.init/1");
  EXPECT_EQ(said["file"], options_.config);
  EXPECT_THAT(said["next"].dump(), HasSubstr("peaknetd --config " + options_.config));
}

TEST_F(InitTest, a_file_that_is_there_is_never_changed) {
  std::ofstream(options_.config) << "instance: theirs\n";
  EXPECT_EQ(run(), ExitCode::failed);
  EXPECT_THAT(err_.str(), HasSubstr("[init.exists]"));
  EXPECT_EQ(content(options_.config), "instance: theirs\n");
}

TEST_F(InitTest, a_wrong_name_or_setting_is_refused_before_anything_is_written) {
  options_.settings = {"pool.slotss=4"};
  EXPECT_EQ(run(), ExitCode::usage);
  EXPECT_THAT(err_.str(), HasSubstr("pool.slots"));
  options_.settings = {};
  options_.files = {"a/b"};
  EXPECT_EQ(run(), ExitCode::usage);
  EXPECT_FALSE(std::ifstream(options_.config).good());
  options_.files = {"mfx"};
  options_.config = folder_ / "no/such/folder.yaml";
  EXPECT_EQ(run(), ExitCode::failed);
  EXPECT_THAT(err_.str(), HasSubstr("[init.cannot-write]"));
}

TEST_F(InitTest, what_is_still_missing_is_said_and_is_the_first_step) {
  options_.settings = {"engine.devices=cpu"};
  options_.json = false;
  EXPECT_EQ(run(), ExitCode::failed);
  EXPECT_TRUE(config::load(options_.config, {})) << "the file is there, to be edited";
  EXPECT_THAT(out_.str(), HasSubstr("BAD   model"));
  EXPECT_THAT(out_.str(), HasSubstr("next:\n  correct what is BAD above"));
}

TEST(CommentedConfiguration, of_a_unit_names_the_folder_that_the_unit_may_write_and_leads_with_the_target) {
  const auto text = commented_configuration("mfx", "/etc/peaknet/mfx.yaml", {});
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("dir: /var/lib/peaknet/mfx\n"));
  EXPECT_THAT(*text, HasSubstr("file_prefix: mfx\n"));
  EXPECT_THAT(*text, Not(HasSubstr("stuck_seconds")));
}

}  // namespace
}  // namespace peaknet::ctl
