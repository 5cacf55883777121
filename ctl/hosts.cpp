#include "ctl/hosts.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <string_view>
#include <thread>

#include "base/columns.hpp"
#include "base/text.hpp"
#include "control/protocol.hpp"
#include "ctl/members.hpp"
#include "ctl/table.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

constexpr std::size_t kAtOnce = 32;
constexpr std::string_view kHost = "{host}";
constexpr std::array<const char*, 4> kAdded = {"frames", "queues", "rates", "slots"};

Error usage(const std::string& what, const std::string& remedy) {
  return {"cli.usage", what, "nobody was asked", remedy};
}
Error bad_list(const std::string& what) { return usage("the hosts " + what, "write them as node1,node[02-16]"); }

std::optional<std::uint64_t> parse_number(std::string_view text) {
  return text.size() > 9 ? std::nullopt : number_in<std::uint64_t>(text);
}

// "02-04,07" -> 02 03 04 07. False if it is not that, or too much.
bool expand_numbers(std::string_view text, std::vector<std::string>& numbers) {
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const std::size_t dash = part.find('-');
    const std::string_view from = part.substr(0, dash);
    const auto first = parse_number(from),
               last = dash == std::string_view::npos ? first : parse_number(part.substr(dash + 1));
    if (!first || !last || *last < *first || *last - *first >= kMostHosts) return false;
    for (std::uint64_t n = *first; n <= *last; ++n) {
      std::string digits = std::to_string(n);
      if (digits.size() < from.size()) digits.insert(0, from.size() - digits.size(), '0');
      numbers.push_back(std::move(digits));
    }
    if (numbers.size() > kMostHosts) return false;
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

std::int64_t all_numbers(const json& value) {
  if (value.is_number()) return value.get<std::int64_t>();
  std::int64_t sum = 0;
  if (value.is_object()) {
    for (const auto& part : value) sum += all_numbers(part);
  }
  return sum;
}

void add_row(Table& table, const std::string& host, const std::string& state, const json& document) {
  const json frames = document.value("frames", json::object());
  const auto sum = [&](const char* key) {
    return count(json(frames.contains(key) ? all_numbers(frames.at(key)) : std::int64_t{0}), {});
  };
  table.add({host, state, sum("committed"), sum("written"), sum("filtered"), sum("dropped"), sum("failed"),
             sum("in_flight"), sum("imbalance"), rounded(number(document, {"rates", "committed_per_s"}))});
}

}  // namespace

Result<std::vector<std::string>> expand_hosts(const std::string& list) {
  std::vector<std::string> hosts;
  std::string_view rest = list;
  while (true) {
    std::size_t end = 0;
    for (bool inside = false; end < rest.size() && (inside || rest[end] != ','); ++end) {
      if (rest[end] == '[' || rest[end] == ']') inside = rest[end] == '[';
    }
    const std::string_view name = rest.substr(0, end);
    const std::size_t open = name.find('['), close = name.find(']');
    std::vector<std::string> numbers{""};
    std::string_view before = name, after;
    if (open != std::string_view::npos || close != std::string_view::npos) {
      numbers.clear();
      if (open == std::string_view::npos || close == std::string_view::npos || close < open ||
          !expand_numbers(name.substr(open + 1, close - open - 1), numbers))
        return bad_list("have '" + std::string(name) + "', which is no list of numbers");
      before = name.substr(0, open);
      after = name.substr(close + 1);
    }
    const auto good = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
             c == '_' || c == ':';
    };
    if (name.empty() || !std::all_of(before.begin(), before.end(), good) ||
        !std::all_of(after.begin(), after.end(), good))
      return bad_list("have '" + std::string(name) + "', which is no name of a machine");
    for (const std::string& digits : numbers) {
      std::string host = std::string(before) + digits + std::string(after);
      if (std::find(hosts.begin(), hosts.end(), host) == hosts.end()) hosts.push_back(std::move(host));
    }
    if (hosts.size() > kMostHosts) return bad_list("are more than " + std::to_string(kMostHosts));
    if (end == rest.size()) return hosts;
    rest.remove_prefix(end + 1);
  }
}

Result<std::string> endpoint_pattern(const std::string& given, const std::string& configured) {
  if (given.find(kHost) != std::string::npos) return given;
  if (given.empty() && configured.starts_with("tcp://")) {
    return "tcp://" + std::string(kHost) + configured.substr(configured.rfind(':'));
  }
  return usage(given.empty() ? "it is not said where the hosts listen"
                             : "the endpoint '" + given + "' is the same for every host",
               "--endpoint 'tcp://{host}:5555', or --config with a tcp control.endpoint");
}

std::string endpoint_of(const std::string& pattern, const std::string& host) {
  std::string endpoint = pattern;
  for (std::size_t at = endpoint.find(kHost); at != std::string::npos; at = endpoint.find(kHost, at + host.size()))
    endpoint.replace(at, kHost.size(), host);
  return endpoint;
}

std::vector<HostAnswer> ask_hosts(const std::vector<std::string>& hosts,
                                  const std::function<Result<json>(const std::string& host)>& ask) {
  std::vector<HostAnswer> answers;
  answers.reserve(hosts.size());
  for (const std::string& host : hosts) answers.push_back({host, json()});
  std::atomic<std::size_t> next{0};
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min(kAtOnce, hosts.size()); ++i) {
      threads.emplace_back([&] {
        for (std::size_t host = next++; host < answers.size(); host = next++)
          answers[host].reply = ask(answers[host].host);
      });
    }
  }
  return answers;
}

void add_numbers(json& sum, const json& part) {
  if (part.is_object()) {
    for (const auto& [key, value] : part.items()) add_numbers(sum[key], value);
  } else if (part.is_boolean()) {
    sum = part.get<bool>() && (sum.is_null() || sum.get<bool>());
  } else if (part.is_number_float() || (part.is_number() && sum.is_number_float())) {
    sum = (sum.is_number() ? sum.get<double>() : 0.0) + part.get<double>();
  } else if (part.is_number()) {
    sum = (sum.is_number() ? sum.get<std::int64_t>() : 0) + part.get<std::int64_t>();
  }
}

json add_up(const std::vector<HostAnswer>& answers) {
  json document = {{"schema", "peaknet.hosts/1"}, {"asked", answers.size()}, {"answered", 0}};
  json total = json::object(), hosts = json::array();
  std::size_t answered = 0;
  for (const auto& [host, reply] : answers) {
    if (!reply) {
      hosts.push_back({{"host", host}, {"error", control::to_json(reply.error())}});
      continue;
    }
    ++answered;
    for (const char* part : kAdded) {
      if (reply->is_object() && reply->contains(part)) add_numbers(total[part], reply->at(part));
    }
    hosts.push_back({{"host", host}, {"reply", *reply}});
  }
  document["answered"] = answered;
  document["total"] = std::move(total);
  document["hosts"] = std::move(hosts);
  return document;
}

std::string render_hosts(const json& document, std::size_t width) {
  Table table({{"HOST", true, 0, 8},
               {"STATE", true, 1},
               {"COMMITTED"},
               {"WRITTEN", false, 2},
               {"FILTERED", false, 5},
               {"DROPPED", false, 4},
               {"FAILED", false, 4},
               {"IN FLIGHT", false, 6},
               {"IMBALANCE", false, 7},
               {"IN/s", false, 3}});
  std::string silent;
  for (const auto& entry : member(document, {"hosts"})) {
    const std::string host = text(entry, {"host"});
    if (entry.contains("error")) {
      silent +=
          wrapped(host + ": " + text(entry, {"error", "what"}) + " [" + text(entry, {"error", "id"}) + "]", width, 2) +
          '\n';
      continue;
    }
    add_row(table, host, text(entry, {"reply", "state"}), member(entry, {"reply"}));
  }
  add_row(table, "all", identifier(document, {"answered"}) + "/" + identifier(document, {"asked"}),
          member(document, {"total"}));
  return table.str(width) + silent;
}

}  // namespace peaknet::ctl
