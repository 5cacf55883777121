#include "ctl/doctor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/support/instance.hpp"
#include "tests/support/zip_of.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::ctl {
namespace {

using testing::HasSubstr;

class DoctorTest : public testing::Test {
 protected:
  DoctorTest() {
    config_.instance = test::TestInstance::unique_name();
    config_.model.path = folder_ / "net.pt";
    std::ofstream(config_.model.path) << test::zip_of({{"m/constants.pkl", "weights"}});
    ::chmod(config_.model.path.c_str(), 0644);
    config_.output.dir = folder_ / "out";
    config_.control.endpoint = "ipc://" + folder_ / "ctl";
    config_.engine.devices = {"cpu"};
  }
  Finding of(const std::string& subject) const {
    const auto findings = examine(config_);
    const auto found =
        std::find_if(findings.begin(), findings.end(), [&](const auto& one) { return one.subject == subject; });
    return found == findings.end() ? Finding{"nothing about " + subject, Verdict::good, "", ""} : *found;
  }
  test::TempFolder folder_;
  config::Config config_;
};

TEST_F(DoctorTest, finds_nothing_bad_where_all_is_well) {
  for (const auto& found : examine(config_))
    EXPECT_NE(found.verdict, Verdict::bad) << found.subject << ": " << found.text;
}

TEST_F(DoctorTest, a_pool_larger_than_the_memory_is_bad_with_both_numbers) {
  config_.pool.slots = 4096;
  config_.pool.shape = {32, 4096, 4096};
  EXPECT_EQ(of("pool memory").verdict, Verdict::bad);
  EXPECT_THAT(of("pool memory").text, HasSubstr("/dev/shm has"));
}

TEST_F(DoctorTest, a_model_that_is_not_there_or_that_everybody_may_write_is_bad) {
  ::chmod(config_.model.path.c_str(), 0666);
  EXPECT_EQ(of("model").verdict, Verdict::bad);
  EXPECT_THAT(of("model").remedy, HasSubstr("chmod o-w"));
  config_.model.path = folder_ / "other.pt";
  EXPECT_EQ(of("model").verdict, Verdict::bad);
  EXPECT_THAT(of("model").text, HasSubstr("other.pt"));
}

TEST_F(DoctorTest, a_file_that_is_no_model_is_bad) {
  std::ofstream(config_.model.path) << "notes about a network";
  EXPECT_EQ(of("model").verdict, Verdict::bad);
  EXPECT_THAT(of("model").remedy, HasSubstr("models/export.py"));
}

TEST_F(DoctorTest, a_checkpoint_is_told_for_what_it_is_with_the_command_that_makes_a_model) {
  std::ofstream(config_.model.path) << test::zip_of({{"m/data.pkl", "weights"}});
  EXPECT_EQ(of("model").verdict, Verdict::bad);
  EXPECT_THAT(of("model").text, HasSubstr("a checkpoint of torch.save"));
  EXPECT_THAT(of("model").remedy, HasSubstr("--weights " + config_.model.path));
}

TEST_F(DoctorTest, the_smaller_model_of_shedding_is_examined_as_the_ordinary_one_where_it_would_be_loaded) {
  config_.shedding.model = folder_ / "small.pt";
  EXPECT_EQ(of("smaller model").text, "") << "shedding is off: nobody loads it";
  config_.shedding.enabled = true;
  EXPECT_EQ(of("smaller model").verdict, Verdict::bad);
  EXPECT_THAT(of("smaller model").text, HasSubstr("small.pt"));
  EXPECT_THAT(of("smaller model").remedy, HasSubstr("shedding.model"));
  std::ofstream(config_.shedding.model) << test::zip_of({{"m/constants.pkl", "weights"}});
  ::chmod(config_.shedding.model.c_str(), 0666);
  EXPECT_THAT(of("smaller model").remedy, HasSubstr("chmod o-w " + config_.shedding.model));
  ::chmod(config_.shedding.model.c_str(), 0644);
  EXPECT_EQ(of("smaller model").verdict, Verdict::good);
  EXPECT_THAT(of("smaller model").text, HasSubstr("small.pt"));
  config_.shedding.model = "builtin:identity";
  EXPECT_EQ(of("smaller model").verdict, Verdict::warning);
}

TEST_F(DoctorTest, a_model_whose_digest_is_not_in_the_list_is_bad_and_the_digest_is_told) {
  constexpr const char* kDigest = "ace6bd75134285bf9c8ab2349962a894fcdad0a6964f4b342322a803af828e7a";
  EXPECT_EQ(of("model").verdict, Verdict::good) << "an empty list allows any";
  config_.model.allow = {std::string(64, '0')};
  EXPECT_EQ(of("model").verdict, Verdict::bad);
  EXPECT_THAT(of("model").text, HasSubstr(kDigest));
  config_.model.allow.emplace_back(kDigest);
  EXPECT_EQ(of("model").verdict, Verdict::good);
}

TEST_F(DoctorTest, an_output_folder_that_cannot_be_made_is_bad) {
  config_.output.dir = config_.model.path + "/below/a/file";
  EXPECT_EQ(of("output folder").verdict, Verdict::bad);
}

// The unit as it is installed, for a user that every machine has.
ServiceUnits units_of_nobody(const std::string& also_writable) {
  const std::vector<std::string> said = {"LoadState=loaded",
                                         "ExecStart={ path=/usr/bin/x ; argv[]=/usr/bin/x --config /etc/p/m.yaml ; }",
                                         "User=nobody",
                                         "Group=",
                                         "SupplementaryGroups=",
                                         "StateDirectory=peaknet/m",
                                         "ReadWritePaths=-" + also_writable,
                                         "ProtectSystem=strict",
                                         "PrivateTmp=no"};
  return {parse_service("peaknetd@m.service", said, "/etc/p/m.yaml"),
          parse_service("peaknet-writer@m.service", said, "/etc/p/m.yaml")};
}

TEST_F(DoctorTest, folders_and_models_are_tried_with_the_rights_of_the_service_and_nothing_is_left) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to try as another user";
  const std::string top = folder_ / "";
  const auto services = units_of_nobody(top);
  ASSERT_TRUE(services.writer && services.daemon);
  const auto said = [&](const std::string& subject) {
    for (const auto& one : examine(config_, services)) {
      if (one.subject == subject) return one;
    }
    return Finding{};
  };
  ::chmod(top.c_str(), 0700);
  EXPECT_EQ(said("output folder").verdict, Verdict::bad) << "root may write there, the service may not";
  EXPECT_THAT(said("output folder").text, HasSubstr("as 'nobody'"));
  EXPECT_EQ(said("model").verdict, Verdict::bad);
  EXPECT_THAT(said("model").text, HasSubstr("as 'nobody'"));
  EXPECT_EQ(of("output folder").verdict, Verdict::good) << "without a service it is root who writes";
  ::chmod(top.c_str(), 0755);
  const std::string drop = folder_ / "drop";
  ::mkdir(drop.c_str(), 0755);
  ::chmod(drop.c_str(), 0777);
  config_.output.dir = drop + "/out";
  EXPECT_EQ(said("output folder").verdict, Verdict::good) << said("output folder").text;
  EXPECT_EQ(said("model").verdict, Verdict::good) << said("model").text;
  EXPECT_FALSE(std::filesystem::exists(config_.output.dir)) << "looking leaves nothing behind";
}

TEST_F(DoctorTest, a_folder_that_the_unit_may_not_write_is_bad_and_the_drop_in_is_named) {
  const auto services = units_of_nobody("/somewhere/else");
  const auto findings = examine(config_, services);
  const auto found =
      std::find_if(findings.begin(), findings.end(), [](const auto& one) { return one.subject == "output folder"; });
  ASSERT_NE(found, findings.end());
  EXPECT_EQ(found->verdict, Verdict::bad);
  EXPECT_THAT(found->remedy, HasSubstr("systemctl edit peaknet-writer@m.service"));
  EXPECT_THAT(found->remedy, HasSubstr("ReadWritePaths=" + config_.output.dir));
  EXPECT_FALSE(parse_service("peaknetd@m.service", {"LoadState=not-found"}, "/etc/p/m.yaml"));
  EXPECT_FALSE(
      parse_service("x", {"LoadState=loaded", "ExecStart=/usr/bin/x --config /etc/p/other.yaml"}, "/etc/p/m.yaml"))
      << "another configuration is none of its business";
  EXPECT_TRUE(services.writer->may_write("/var/lib/peaknet/m")) << "systemd makes it";
  EXPECT_FALSE(services.writer->may_write("/var/lib/peaknet/other"));
}

TEST_F(DoctorTest, a_group_that_does_not_exist_is_bad) {
  config_.pool.group = "no-such-group-here";
  EXPECT_EQ(of("group").verdict, Verdict::bad);
}

TEST_F(DoctorTest, an_instance_without_its_daemon_is_a_warning_and_a_failed_one_is_bad) {
  EXPECT_EQ(of("instance").verdict, Verdict::good) << "not started yet";
  test::TestInstance instance;
  config_.instance = instance.name();
  instance.drop_owner();
  EXPECT_EQ(of("health").verdict, Verdict::warning);
  instance.take_owner();
  instance.layout().daemon.state.store(shm::DaemonState::failed);
  instance.layout().daemon.failure.store("every device is lost");
  EXPECT_EQ(of("health").verdict, Verdict::bad);
  EXPECT_THAT(of("health").text, HasSubstr("every device is lost"));
}

TEST_F(DoctorTest, books_that_do_not_balance_are_bad) {
  test::TestInstance instance;
  config_.instance = instance.name();
  const auto producer = instance.producer();
  const auto writer = instance.consumer(shm::Queue::q2);
  producer->participant().count(shm::Counter::committed, 2);
  EXPECT_EQ(of("health").verdict, Verdict::bad);
  EXPECT_THAT(of("health").text, HasSubstr("2 frames"));
}

}  // namespace
}  // namespace peaknet::ctl
