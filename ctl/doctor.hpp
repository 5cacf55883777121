// peaknetctl doctor: looks at everything that an instance needs from its machine before somebody needs it at three in
// the morning: memory, rights, limits, model, output folder, devices, versions, what went wrong lately.
//
// Reads only; starts and changes nothing. What a service of the instance opens is tried with that service's rights,
// where it may be (as root, or as that user). Every finding says what was looked at, with the number, and what to do.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "ctl/service_unit.hpp"

namespace peaknet::ctl {

enum class Verdict { good, warning, bad };  // bad: the instance will not run, or loses frames

struct Finding {
  std::string subject;  // "pool memory"
  Verdict verdict = Verdict::good;
  std::string text;    // what was seen
  std::string remedy;  // "" where nothing is to be done
};

std::vector<Finding> examine(const config::Config& config, const ServiceUnits& services = {});

// The same as a peaknet.doctor/1 document; `good`: nothing is bad.
nlohmann::json doctor_document(const config::Config& config, const ServiceUnits& services);

}  // namespace peaknet::ctl
