// What `peaknetctl status --check` says of an instance: word, reasons and exit code; as a line of a table too.
#pragma once

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/system.hpp"

namespace peaknet::test {

struct Verdict {
  std::string word;
  std::vector<std::string> reasons;  // ids, the worst first
  std::string first;                 // what the first says
  Exit exit;

  bool has(const std::string& id) const { return std::find(reasons.begin(), reasons.end(), id) != reasons.end(); }
};

inline Verdict verdict_of(const System& system) {
  auto check = system.ctl({"--json", "status", "--check"});
  Verdict verdict{"", {}, "", check.wait()};
  const auto document = nlohmann::json::parse(check.out(), nullptr, false);
  if (!document.is_object() || document.value("schema", "") != "peaknet.health/1") return verdict;
  verdict.word = document.at("health");
  for (const auto& reason : document.at("reasons")) verdict.reasons.push_back(reason.at("id"));
  if (!verdict.reasons.empty()) verdict.first = document.at("reasons").at(0).at("what");
  return verdict;
}

// For who reads the test's output: | case | word | reasons | exit code |.
inline void print_row(const std::string& name, const Verdict& verdict) {
  std::cout << "| " << name << " | " << verdict.word << " | ";
  for (const std::string& id : verdict.reasons) std::cout << id << (id == verdict.reasons.back() ? ": " : ", ");
  std::cout << verdict.first << " | " << verdict.exit << " |\n";
}

}  // namespace peaknet::test
