// ControlGroupFiles: a /proc/self/cgroup and a /sys/fs/cgroup of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/control_groups.hpp"

namespace peaknet::test {

class ControlGroupFiles : public testing::Test {
 protected:
  ControlGroupFiles() { std::filesystem::remove_all(folder_); }
  ~ControlGroupFiles() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << '\n';
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  ControlGroups groups() const { return {at("membership"), at("mount")}; }

 private:
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("control_groups_" + std::to_string(::getpid()));
};

}  // namespace peaknet::test
