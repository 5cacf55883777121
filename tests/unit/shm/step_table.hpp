// StepTable: what a test of every step has seen, one row per operation, printed at the end of the process's tests.
#pragma once

#include <map>
#include <string>

namespace peaknet::test {

class StepTable {
 public:
  struct Row {
    std::string operation = {};
    long steps = 0;          // of the operation, when nobody disturbs it
    long killed = 0;         // times killed at a step
    long pairs = 0;          // pairs of a step of it with a step of another participant
    unsigned states = 0;     // states of slots at the kills, as a set of bits
    std::string bad = {};    // "" if everything was right
    bool every_one = false;  // every step and every pair was tried, not a sample
  };
  // The one table of this process.
  static StepTable& of_this_process();
  void add(Row row);
  void print() const;

 private:
  std::map<std::string, Row> rows_;  // by operation; rows of one operation are put together
};

}  // namespace peaknet::test
