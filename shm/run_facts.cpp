#include "shm/run_facts.hpp"

namespace peaknet::shm {

void enter_run_facts(ControlLayout& layout, std::uint64_t ordinal, const std::string& run, const RunFacts& facts) {
  RunFactsRecord& record = layout.run_facts[ordinal % kRunFacts];
  record.ordinal.store(0);  // nobody may take the facts of two runs for one's
  record.run.store(run);
  record.number.store(facts.number ? std::int64_t{*facts.number} : -1);
  record.proposal.store(facts.proposal);
  record.user.store(facts.user);
  record.ordinal.store(ordinal);
}

RunFacts run_facts_of(const ControlLayout& layout, const std::string& run) {
  RunFacts newest;
  std::uint64_t newest_ordinal = 0;
  for (const RunFactsRecord& record : layout.run_facts) {
    const std::uint64_t ordinal = record.ordinal.load();
    if (ordinal <= newest_ordinal || record.run.load_whole() != run) continue;
    RunFacts facts;
    const std::int64_t number = record.number.load();
    if (number >= 0 && number <= kMaxRunNumber) facts.number = static_cast<std::uint32_t>(number);
    const auto proposal = record.proposal.load_whole(), user = record.user.load_whole();
    if (!proposal || !user || record.ordinal.load() != ordinal) continue;
    facts.proposal = *proposal;
    facts.user = *user;
    newest = facts;
    newest_ordinal = ordinal;
  }
  return newest;
}

}  // namespace peaknet::shm
