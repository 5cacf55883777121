// The configuration that another program goes by, from the text in which it says so.
#pragma once

#include <string>

#include "base/result.hpp"
#include "config/config.hpp"

namespace peaknet::config {

// `text`: what to_yaml() of that program wrote, whole; its paths are absolute. `source` is named in errors. Errors:
// those of load().
Result<Config> from_yaml(const std::string& text, const std::string& source);

}  // namespace peaknet::config
