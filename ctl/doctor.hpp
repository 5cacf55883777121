// peaknetctl doctor: looks at everything that an instance needs from its machine before somebody needs it at three in
// the morning: memory, rights, limits, model, output folder, devices, versions, what went wrong lately.
//
// Reads only; starts and changes nothing. Every finding says what was looked at, with the number, and what to do.
#pragma once

#include <string>
#include <vector>

#include "config/config.hpp"

namespace peaknet::ctl {

enum class Verdict { good, warning, bad };  // bad: the instance will not run, or loses frames

struct Finding {
  std::string subject;  // "pool memory"
  Verdict verdict = Verdict::good;
  std::string text;    // what was seen
  std::string remedy;  // "" where nothing is to be done
};

std::vector<Finding> examine(const config::Config& config);

}  // namespace peaknet::ctl
