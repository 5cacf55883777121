#include "tests/unit/shm_model/explorer.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <vector>

namespace peaknet::model {
namespace {

struct Key {
  std::uint64_t low = 0, high = 0;
  bool operator==(const Key&) const = default;
};

Key key_of(const State& state) {
  static_assert(std::has_unique_object_representations_v<IntentRecord>);
  Key key{0x9e3779b97f4a7c15ULL, 0xc2b2ae3d27d4eb4fULL};
  const auto* bytes = reinterpret_cast<const unsigned char*>(&state);
  for (std::size_t i = 0; i < sizeof state; i += 8) {
    std::uint64_t part = 0;
    std::memcpy(&part, bytes + i, std::min<std::size_t>(8, sizeof state - i));
    key.low = (key.low ^ part) * 0xff51afd7ed558ccdULL;
    key.low ^= key.low >> 32;
    key.high = (key.high + part) * 0xc4ceb9fe1a85ec53ULL;
    key.high ^= key.high >> 29;
  }
  return key;
}

// Which states have been seen, and their numbers in the order of discovery.
class Seen {
 public:
  Seen() : slots_(std::size_t{1} << 16, kNone) {}
  // The number of the state; a new one if it was not seen before.
  std::pair<std::uint32_t, bool> add(const Key& key) {
    if (2 * keys_.size() >= slots_.size()) grow();
    std::size_t at = place(key);
    if (slots_[at] != kNone) return {slots_[at], false};
    slots_[at] = static_cast<std::uint32_t>(keys_.size());
    keys_.push_back(key);
    return {slots_[at], true};
  }
  std::size_t size() const { return keys_.size(); }

 private:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  std::size_t place(const Key& key) const {
    std::size_t at = key.low & (slots_.size() - 1);
    while (slots_[at] != kNone && keys_[slots_[at]] != key) at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  void grow() {
    slots_.assign(2 * slots_.size(), kNone);
    for (std::uint32_t i = 0; i < keys_.size(); ++i) slots_[place(keys_[i])] = i;
  }
  std::vector<Key> keys_;
  std::vector<std::uint32_t> slots_;
};

struct From {
  std::uint32_t state;
  Action action;
};

std::string way_to(const Settings& settings, const std::vector<From>& from, std::uint32_t state) {
  std::vector<Action> way;
  for (; state != 0; state = from[state].state) way.push_back(from[state].action);
  std::reverse(way.begin(), way.end());
  State now = initial(settings);
  const char* ignored = nullptr;
  std::string text;
  for (const Action action : way) {
    text += "\n  " + describe(now, action);
    apply(settings, now, action, ignored);
    normalise(now);
  }
  return text + "\n  => " + describe(settings, now);
}

}  // namespace

Exploration explore(const Settings& settings, std::size_t most_states) {
  const auto start = std::chrono::steady_clock::now();
  Exploration result;
  Seen seen;
  std::vector<From> from;
  std::vector<std::uint32_t> next;        // successors of all states, one after the other
  std::vector<std::uint64_t> next_of{0};  // where those of each state end
  std::vector<bool> good;                 // the end can be reached
  std::vector<State> level{initial(settings)}, level_after;
  std::vector<Action> possible;
  seen.add(key_of(level.front()));
  from.push_back({0, {}});
  good.push_back(is_end(settings, level.front()));

  const auto finish = [&](const std::string& problem, std::uint32_t state) {
    result.states = seen.size();
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (!problem.empty()) result.problem = problem + way_to(settings, from, state);
    return result;
  };

  for (std::uint32_t number = 0; !level.empty(); ++result.depth) {
    for (const State& state : level) {
      actions(settings, state, possible);
      for (const Action action : possible) {
        State after = state;
        const char* problem = nullptr;
        apply(settings, after, action, problem);
        normalise(after);
        ++result.transitions;
        const auto [to, fresh] = seen.add(key_of(after));
        next.push_back(to);
        if (!fresh) continue;
        from.push_back({number, action});
        good.push_back(is_end(settings, after));
        if (good.back()) ++result.ends;
        if (problem == nullptr) problem = check(settings, after);
        if (problem != nullptr) return finish(problem, to);
        if (seen.size() >= most_states) return finish("more states than " + std::to_string(most_states), to);
        level_after.push_back(after);
      }
      next_of.push_back(next.size());
      ++number;
    }
    level.clear();
    std::swap(level, level_after);
  }

  // Backwards from the ends: who leads to each state, then everything that leads to what is good already.
  std::vector<std::uint64_t> former_of(seen.size() + 2, 0);
  for (const std::uint32_t to : next) ++former_of[to + 2];
  for (std::size_t i = 2; i < former_of.size(); ++i) former_of[i] += former_of[i - 1];
  std::vector<std::uint32_t> former(next.size());
  for (std::uint32_t state = 0; state < seen.size(); ++state) {
    for (std::uint64_t i = next_of[state]; i < next_of[state + 1]; ++i) former[former_of[next[i] + 1]++] = state;
  }
  std::vector<std::uint32_t> reached;
  for (std::uint32_t state = 0; state < seen.size(); ++state) {
    if (good[state]) reached.push_back(state);
  }
  while (!reached.empty()) {
    const std::uint32_t state = reached.back();
    reached.pop_back();
    for (std::uint64_t i = former_of[state]; i < former_of[state + 1]; ++i) {
      if (good[former[i]]) continue;
      good[former[i]] = true;
      reached.push_back(former[i]);
    }
  }
  for (std::uint32_t state = 0; state < seen.size(); ++state) {
    if (!good[state]) return finish("somebody waits for ever, or a slot is lost: the end cannot be reached", state);
  }
  return finish("", 0);
}

}  // namespace peaknet::model
