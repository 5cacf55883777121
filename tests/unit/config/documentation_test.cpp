// docs/configuration.md and the code say the same about every key.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "tests/support/child.hpp"

namespace peaknet::config {
namespace {

TEST(ConfigurationDocument, has_every_key_with_its_default_and_meaning_in_order) {
  std::ifstream file(test::source_dir() + "/docs/configuration.md");
  ASSERT_TRUE(file) << "docs/configuration.md";
  std::vector<std::string> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| `")) rows.push_back(line);
  }
  std::vector<std::string> expected;
  for (const auto& key : documented_keys()) {
    expected.push_back("| `" + key.key + "` | `" + key.fallback + "` | " + key.meaning + " |");
  }
  EXPECT_EQ(rows, expected);
}

}  // namespace
}  // namespace peaknet::config
