// What was said of a run when it began, in its files and its master: run_number, proposal and user are attributes of
// /entry_1/peaknet, the user's line is the title too. What was not said is not there.
//
// Threads: one uses a file at a time. Errors: those of the H5Writer.
#pragma once

#include <hdf5.h>

#include <optional>

#include "cxi/hdf5.hpp"
#include "shm/run_facts.hpp"

namespace peaknet::writer {

// The group /entry_1/peaknet is there.
void write_run_facts(H5Writer& out, const shm::RunFacts& facts);
shm::RunFacts read_run_facts(hid_t file);

// Of a run's master: what all of its files say.
class JoinedRunFacts {
 public:
  void add(hid_t file);
  shm::RunFacts facts() const { return facts_.value_or(shm::RunFacts{}); }

 private:
  std::optional<shm::RunFacts> facts_;
};

}  // namespace peaknet::writer
