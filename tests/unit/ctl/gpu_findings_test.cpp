#include "ctl/gpu_findings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::ctl {
namespace {

using testing::HasSubstr;

// A machine with two GPUs: a stand-in for nvidia-smi on PATH, and the places where the kernel shows devices.
class GpuFindings : public testing::Test {
 protected:
  GpuFindings() {
    path_ = std::getenv("PATH");
    ::setenv("PATH", (folder_.path() + ":" + path_).c_str(), 1);
    ::unsetenv("CUDA_VISIBLE_DEVICES");
    places_ = {folder_ / "nvidiactl", folder_ / "version", folder_ / "pci"};
    std::ofstream(places_.driver_device).put('\n');
    std::ofstream(places_.driver_version) << "NVRM version: 580.95.05\n";
    node("0000:3b:00.0", "0");
    node("0000:af:00.0", "0");
  }
  ~GpuFindings() override {
    ::setenv("PATH", path_.c_str(), 1);
    ::unsetenv("CUDA_VISIBLE_DEVICES");
  }

  void node(const std::string& bus, const std::string& number) const {
    std::filesystem::create_directories(places_.pci_devices + "/" + bus);
    std::ofstream(places_.pci_devices + "/" + bus + "/numa_node") << number << "\n";
  }
  Finding of(const std::string& subject) {
    write_smi();
    const auto findings = examine_gpus(config_, places_);
    const auto found =
        std::find_if(findings.begin(), findings.end(), [&](const auto& one) { return one.subject == subject; });
    return found == findings.end() ? Finding{"nothing about " + subject, Verdict::good, "", ""} : *found;
  }
  void write_smi() const {
    const std::string file = folder_ / "nvidia-smi";
    std::ofstream out(file);
    out << "#!/bin/sh\ncase \"$1\" in\n";
    for (const auto& [field, values] : answers_) out << "--query-gpu=" << field << ") printf '" << values << "' ;;\n";
    out << "*) exit 2 ;;\nesac\n";
    out.close();
    ::chmod(file.c_str(), 0755);
  }

  std::string path_;
  test::TempFolder folder_;
  GpuPlaces places_;
  config::Config config_;
  std::map<std::string, std::string> answers_ = {{"name", "NVIDIA H200\\nNVIDIA H200\\n"},
                                                 {"driver_version", "580.95.05\\n580.95.05\\n"},
                                                 {"compute_cap", "9.0\\n9.0\\n"},
                                                 {"pci.bus_id", "00000000:3B:00.0\\n00000000:AF:00.0\\n"},
                                                 {"mig.mode.current", "Disabled\\nDisabled\\n"},
                                                 {"persistence_mode", "Enabled\\nEnabled\\n"},
                                                 {"fabric.state", "Completed\\nCompleted\\n"}};
};

TEST_F(GpuFindings, nothing_is_wrong_with_two_good_gpus) {
  write_smi();
  const auto findings = examine_gpus(config_, places_);
  EXPECT_EQ(findings.size(), 9U);
  for (const auto& found : findings) {
    if (found.subject == "memory to pin") continue;  // that of whoever runs the test
    EXPECT_EQ(found.verdict, Verdict::good) << found.subject << ": " << found.text;
  }
}

TEST_F(GpuFindings, a_cuda_device_in_the_configuration_wants_a_driver) {
  std::filesystem::remove(places_.driver_device);
  EXPECT_EQ(of("devices").verdict, Verdict::good) << "devices: auto takes the processor";
  config_.engine.devices = {"cuda:0"};
  EXPECT_EQ(of("devices").verdict, Verdict::bad);
  EXPECT_THAT(of("devices").remedy, HasSubstr("engine.devices: cpu"));
}

TEST_F(GpuFindings, an_old_driver_is_bad_with_both_versions) {
  answers_["driver_version"] = "570.133.20\\n";
  EXPECT_EQ(of("GPU driver").verdict, Verdict::bad);
  EXPECT_THAT(of("GPU driver").text, HasSubstr("570.133.20"));
  EXPECT_THAT(of("GPU driver").text, HasSubstr("580"));
}

TEST_F(GpuFindings, a_gpu_that_is_too_old_is_named) {
  answers_["compute_cap"] = "9.0\\n7.5\\n";
  EXPECT_EQ(of("GPU capability").verdict, Verdict::bad);
  EXPECT_THAT(of("GPU capability").text, HasSubstr("GPU 1 has 7.5"));
}

TEST_F(GpuFindings, gpus_of_another_numa_node_want_their_workers_there) {
  node("0000:af:00.0", "1");
  EXPECT_EQ(of("GPU NUMA node").verdict, Verdict::warning);
  EXPECT_THAT(of("GPU NUMA node").remedy, HasSubstr("engine.cpus: [node0, node1]"));
  config_.engine.cpus = {"node0", "node1"};
  EXPECT_EQ(of("GPU NUMA node").verdict, Verdict::good);
  node("0000:3b:00.0", "-1");
  EXPECT_THAT(of("GPU NUMA node").text, HasSubstr("not known, node1"));
}

TEST_F(GpuFindings, mig_wants_the_uuid_of_a_part) {
  answers_["mig.mode.current"] = "Enabled\\nDisabled\\n";
  EXPECT_EQ(of("MIG").verdict, Verdict::warning);
  EXPECT_THAT(of("MIG").remedy, HasSubstr("CUDA_VISIBLE_DEVICES"));
  ::setenv("CUDA_VISIBLE_DEVICES", "MIG-11111111-2222-3333-4444-555555555555", 1);
  EXPECT_EQ(of("MIG").verdict, Verdict::good);
}

TEST_F(GpuFindings, persistence_off_and_a_fabric_that_is_not_ready_are_told_with_their_services) {
  answers_["persistence_mode"] = "Enabled\\nDisabled\\n";
  answers_["fabric.state"] = "In Progress\\nCompleted\\n";
  EXPECT_EQ(of("GPU persistence").verdict, Verdict::warning);
  EXPECT_THAT(of("GPU persistence").remedy, HasSubstr("nvidia-persistenced"));
  EXPECT_EQ(of("GPU fabric").verdict, Verdict::bad);
  EXPECT_THAT(of("GPU fabric").remedy, HasSubstr("nvidia-fabricmanager"));
}

TEST_F(GpuFindings, what_nvidia_smi_does_not_tell_is_not_known_and_never_good) {
  const auto all = answers_;
  for (const auto& [field, subject] : std::map<std::string, std::string>{{"driver_version", "GPU driver"},
                                                                         {"compute_cap", "GPU capability"},
                                                                         {"pci.bus_id", "GPU NUMA node"},
                                                                         {"mig.mode.current", "MIG"},
                                                                         {"persistence_mode", "GPU persistence"},
                                                                         {"fabric.state", "GPU fabric"},
                                                                         {"name", "GPUs"}}) {
    answers_ = all;
    answers_.erase(field);
    EXPECT_EQ(of(subject).verdict, Verdict::warning) << subject;
    EXPECT_THAT(of(subject).text, HasSubstr("not known")) << subject;
  }
}

}  // namespace
}  // namespace peaknet::ctl
