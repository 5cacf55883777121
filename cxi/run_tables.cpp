#include "cxi/run_tables.hpp"

#include <string>

#include "cxi/values.hpp"

namespace peaknet::writer {
namespace {

constexpr const char* kGroup = "/entry_1/peaknet";
constexpr const char* kNumber = "run_number";
constexpr const char* kProposal = "proposal";
constexpr const char* kUser = "user";

}  // namespace

void write_run_facts(H5Writer& out, const shm::RunFacts& facts) {
  if (facts.number) out.attribute(kGroup, kNumber, *facts.number);
  if (!facts.proposal.empty()) out.attribute(kGroup, kProposal, facts.proposal);
  if (facts.user.empty()) return;
  out.attribute(kGroup, kUser, facts.user);
  out.text("/entry_1/title", facts.user);
}

shm::RunFacts read_run_facts(hid_t file) {
  shm::RunFacts facts;
  if (const auto number = number_attribute(file, kGroup, kNumber); number && *number <= shm::kMaxRunNumber)
    facts.number = static_cast<std::uint32_t>(*number);
  facts.proposal = text_attribute(file, kGroup, kProposal).value_or("");
  facts.user = text_attribute(file, kGroup, kUser).value_or("");
  return facts;
}

void JoinedRunFacts::add(hid_t file) {
  const shm::RunFacts of_file = read_run_facts(file);
  if (!facts_) facts_ = of_file;
  if (facts_->number != of_file.number) facts_->number.reset();
  if (facts_->proposal != of_file.proposal) facts_->proposal.clear();
  if (facts_->user != of_file.user) facts_->user.clear();
}

}  // namespace peaknet::writer
