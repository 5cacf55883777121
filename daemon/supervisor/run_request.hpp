// RunRequest: what a `start` says of the run that shall begin, checked. A pure function.
//
// Run id and proposal are parts of file names where output.run_name wants them, so they are plain names: no path comes
// out of them. The user's line may be any text; of it file names take what can stand there (writer/file_names.hpp).
// Errors: start.bad-run, start.bad-proposal, start.bad-user; number and lengths are those of control/methods.hpp.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.hpp"
#include "shm/run_facts.hpp"

namespace peaknet::supervisor {

struct RunRequest {
  std::string id;  // "": one of its own
  shm::RunFacts facts;
};

Result<RunRequest> run_request_of(const nlohmann::json& params);

}  // namespace peaknet::supervisor
