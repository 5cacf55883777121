// Many nodes in one command: `peaknetctl -H node1,node[02-16] stats` asks each of them and adds up what they answer.
// Nodes share nothing, so this is all there is to a cluster: a list of names, and one endpoint each.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace peaknet::ctl {

inline constexpr std::size_t kMostHosts = 4096;

// "login,node[02-04,07]x" -> login, node02x, node03x, node04x, node07x: Slurm's form, one pair of brackets a name;
// zeros in front are kept. Doubles are asked once. Errors: cli.usage.
Result<std::vector<std::string>> expand_hosts(const std::string& list);

// Where the peaknetd of a host listens: `pattern` with the name in place of each "{host}". A configuration's own
// tcp endpoint is a pattern for all: tcp://0.0.0.0:5555 -> tcp://{host}:5555. Errors: cli.usage, where all hosts would
// be asked at one place.
Result<std::string> endpoint_pattern(const std::string& given, const std::string& configured);
std::string endpoint_of(const std::string& pattern, const std::string& host);

struct HostAnswer {
  std::string host;
  Result<nlohmann::json> reply;
};
// Asks all, up to 32 at once: as long as the slowest takes, not as all together. `ask` is called in other threads.
std::vector<HostAnswer> ask_hosts(const std::vector<std::string>& hosts,
                                  const std::function<Result<nlohmann::json>(const std::string& host)>& ask);

// Numbers are added, also those of objects inside; "settled" is so only if it is everywhere. What is not known (null)
// is left out.
void add_numbers(nlohmann::json& sum, const nlohmann::json& part);

// peaknet.hosts/1: `asked`, `answered`, `total` (the sums of frames, queues, rates and slots of those that answered),
// `hosts`:
// {`host`, `reply` or `error`}, in the order asked.
nlohmann::json add_up(const std::vector<HostAnswer>& answers);
std::string render_hosts(const nlohmann::json& document, std::size_t width);

}  // namespace peaknet::ctl
