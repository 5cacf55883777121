// Endpoint: one entry of feed.endpoints, "bind tcp://0.0.0.0:12321" or "connect tcp://host:port".
#pragma once

#include <string>

#include "base/result.hpp"

namespace peaknet::feed {

struct Endpoint {
  bool bind = false;
  std::string address;
};

// Errors: config.bad-value.
Result<Endpoint> parse_endpoint(const std::string& text);

}  // namespace peaknet::feed
