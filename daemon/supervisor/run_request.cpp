#include "daemon/supervisor/run_request.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.hpp"

namespace peaknet::supervisor {

Result<RunRequest> run_request_of(const nlohmann::json& params) {
  constexpr const char* kUntouched = "nothing was started";
  constexpr std::size_t kMaxId = 31;
  const auto text = [&](const char* name) { return params.value(name, std::string{}); };
  RunRequest request{.id = text("run"), .facts = {.number = {}, .proposal = text("proposal"), .user = text("user")}};
  if (!request.id.empty() && !is_plain_name(request.id, kMaxId)) {
    return Error{"start.bad-run", "'" + request.id + "' cannot name a run", kUntouched,
                 "use 1 to 31 letters, digits, '.', '_' or '-'"};
  }
  auto& [number, proposal, user] = request.facts;
  if (const auto found = params.find("run_number"); found != params.end()) number = found->get<std::uint32_t>();
  if (!proposal.empty() && !is_plain_name(proposal, shm::kMaxProposal)) {
    return Error{"start.bad-proposal", "'" + proposal + "' cannot be part of a file name", kUntouched,
                 "name the proposal with 1 to 31 letters, digits, '.', '_' or '-', not '.' or '-' first"};
  }
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (user.size() > shm::kMaxUserText || std::any_of(user.begin(), user.end(), is_control)) {
    return Error{"start.bad-user",
                 "the user's text has " + std::to_string(user.size()) + " bytes or a control character in it",
                 kUntouched, "give one line of at most 127 bytes"};
  }
  return request;
}

}  // namespace peaknet::supervisor
