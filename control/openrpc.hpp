// The OpenRPC document of the control protocol (https://spec.open-rpc.org, version 1.3.2): what `rpc.discover` answers
// in other systems too, so that their clients, generators and inspectors read it. It is made of methods() and of the
// types of their results: written out by hand it would be 1607 lines of JSON, beside 75 of tables and 115 that read
// them.
//
// Beyond the standard each method says `x-read-only`: it is answered by the monitor endpoint too.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace peaknet::control {

nlohmann::json openrpc_document();

}  // namespace peaknet::control
