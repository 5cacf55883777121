#include "ctl/files/node_watch.hpp"

#include <algorithm>
#include <condition_variable>
#include <thread>
#include <utility>

#include "ctl/members.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

constexpr int kTail = 12;  // seconds of the past in each answer: more than a look may be late
constexpr std::int64_t kSeconds = 600;

// What is no row is none: a node may be of another version.
void add_rows(PastRows& to, const json& rows) {
  for (const json& values : rows) {
    if (!values.is_array() || values.size() != kPastColumns) continue;
    PastRow row{};
    std::transform(values.begin(), values.end(), row.begin(), [](const json& value) {
      return value.is_number_integer() ? value.get<std::int64_t>() : std::int64_t{0};
    });
    if (row[1] > 0) to[row[0]] = row;
  }
}

}  // namespace

NodeWatch::NodeWatch(std::vector<std::string> hosts, Ask ask) : ask_(std::move(ask)), nodes_(hosts.size()) {
  for (std::size_t i = 0; i < hosts.size(); ++i) nodes_[i].last.host = std::move(hosts[i]);
}

void NodeWatch::follow(const std::stop_token& stop) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < std::min(kAtOnce, nodes_.size()); ++i) threads.emplace_back([&] { work(stop); });
}

std::vector<NodeAnswer> NodeWatch::answers() const {
  const std::lock_guard guard(mutex_);
  std::vector<NodeAnswer> all;
  all.reserve(nodes_.size());
  for (const Node& node : nodes_) all.push_back(node.last);
  return all;
}

// Each thread takes the node that has been due for the longest time.
void NodeWatch::work(const std::stop_token& stop) {
  std::condition_variable_any asked;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    Node* next = nullptr;
    for (Node& node : nodes_) {
      if (!node.busy && (next == nullptr || node.due < next->due)) next = &node;
    }
    const auto now = Clock::now();
    if (next == nullptr || next->due > now) {
      const auto until = next == nullptr ? now + kEvery : std::min(next->due, now + Clock::duration(kEvery));
      asked.wait_until(lock, stop, until, [&] { return stop.stop_requested(); });
      continue;
    }
    next->busy = true;
    const Said before = next->last.last;
    lock.unlock();
    auto said = ask_all(*next, before);
    lock.lock();
    next->busy = false;
    next->due = Clock::now() + (said ? Clock::duration(kEvery) : Clock::duration(kPause));
    next->last.silent = said ? std::nullopt : std::optional(said.error());
    if (said) {
      next->last.last = std::move(*said);
    } else {
      next->minutes_at.reset();  // what it tells next may be of a time that nobody asked about
    }
  }
}

Result<NodeWatch::Said> NodeWatch::ask_all(Node& node, const Said& before) {
  const std::string& host = node.last.host;
  auto said = std::make_shared<NodeSaid>();
  for (const auto& [method, into] :
       {std::pair{"status", &said->status}, {"stats", &said->stats}, {"errors", &said->errors}}) {
    auto reply = ask_(host, method, json::object());
    if (!reply) return reply.error();
    *into = std::move(*reply);
  }
  const bool whole = before == nullptr || !node.minutes_at || Clock::now() - *node.minutes_at >= kMinutes;
  const auto history = ask_(host, "history", whole ? json::object() : json{{"seconds", kTail}});
  if (!history) return history.error();
  said->peaks_per_frame = member(*history, {"peaks_per_frame"});
  if (whole) {
    node.minutes_at = Clock::now();
    add_rows(said->minutes, member(*history, {"minutes"}));
  } else {
    said->minutes = before->minutes;
    said->seconds = before->seconds;
  }
  add_rows(said->seconds, member(*history, {"seconds"}));
  const auto now = static_cast<std::int64_t>(number(*history, {"now"}));
  said->seconds.erase(said->seconds.begin(), said->seconds.upper_bound(now - kSeconds));
  return Said(std::move(said));
}

}  // namespace peaknet::ctl
