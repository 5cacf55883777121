// feed.columns: what is kept of an event beside image, time and energy; read from YAML and written as YAML.
//
// Threads: any; pure. Errors: a Refusal, which says what is allowed; the value stays what it was.
#pragma once

#include "config/key_access.hpp"

namespace peaknet::config {

// A list of mappings: {name: laser_on, from: evr.laser, dataset: /LCLS/laser_on, dtype: uint8, length: 0, unit: "",
// unknown: 255}. Of these only `name` has no default.
Access feed_columns();

}  // namespace peaknet::config
