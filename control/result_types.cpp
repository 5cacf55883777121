#include "control/result_types.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace peaknet::control {
namespace {

using nlohmann::json;

constexpr std::array kNamed = {
    NamedType{"time", "string|null"},
    NamedType{"frames",
              "{committed, inferred, written, filtered, dropped: {oldest, shed}, failed: {model, descriptor, "
              "quarantined, mask, pool_lost}, refused: {pool_full, producer_died}, in_flight, imbalance, settled: "
              "boolean}"},
    NamedType{"model",
              "{path: string, sha256: string, kind: string, number, golden: string, rows: string, since: time}"},
    NamedType{"pool", "{epoch, slots, shape: [integer], dtype: string, full: string}|null"},
    NamedType{"slots", "{free, filling, ready, inferring, done, writing, quarantined}"},
    NamedType{
        "health",
        "{state: string, reasons: [{id: string, state: string, what: string, untouched: string, remedy: string}]}"},
    NamedType{"queues", "{q1, devices, q2, writers}"},
    NamedType{"rates",
              "{committed_per_s: number, inferred_per_s: number, written_per_s: number, filtered_per_s: number, "
              "file_bytes_per_s: number|null}"},
    NamedType{"latency", "{p50, p95, p99, max, count}"},
    NamedType{"shedding",
              "{enabled: boolean, level, levels, keep_one_of, effort: string, raises, lowerings, since: time}"},
    NamedType{"indexing",
              "{run: string, age_s: number, followed: boolean|null, served: number|null, frames, indexed, rate: "
              "number|null, crystals, nameless, cell: {a_nm: cell_number, b_nm: cell_number, c_nm: cell_number, "
              "alpha_deg: cell_number, beta_deg: cell_number, gamma_deg: cell_number}}|null"},
    NamedType{"cell_number", "{mean: number, deviation: number|null}|null"},
    NamedType{"pool_size", "{epoch, slots, shape: [integer], bytes}"},
    NamedType{"key_change", "{key: string, before: string, after: string, program?: string}"},
};

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  json whole() {
    json schema = type();
    if (at_ != text_.size()) fail();
    return schema;
  }

 private:
  [[noreturn]] void fail() const {
    throw std::invalid_argument("a result type is wrong at '" + std::string(text_.substr(at_)) + "'");
  }
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string word() {
    skip();
    const std::size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_'))
      ++at_;
    if (begin == at_) fail();
    return std::string(text_.substr(begin, at_ - begin));
  }
  json type() {
    json first = one();
    if (!take('|')) return first;
    if (word() != "null") fail();
    return {{"anyOf", {std::move(first), {{"type", "null"}}}}};
  }
  json one() {
    if (take('[')) {
      json schema = {{"type", "array"}, {"items", type()}};
      if (!take(']')) fail();
      return schema;
    }
    if (take('{')) return object();
    const std::string name = word();
    for (const char* scalar : {"string", "integer", "number", "boolean", "null"}) {
      if (name == scalar) return {{"type", name}};
    }
    if (name == "json_document") return {{"type", "object"}};  // of whatever members
    if (std::none_of(kNamed.begin(), kNamed.end(), [&](const NamedType& known) { return known.name == name; })) fail();
    return {{"$ref", "#/components/schemas/" + name}};
  }
  json object() {
    json members = json::object();
    json required = json::array();
    do {
      const std::string name = word();
      if (!take('?')) required.push_back(name);
      members[name] = take(':') ? type() : json{{"type", "integer"}};
    } while (take(','));
    if (!take('}')) fail();
    return {{"type", "object"},
            {"properties", std::move(members)},
            {"required", std::move(required)},
            {"additionalProperties", false}};
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::span<const NamedType> named_types() { return kNamed; }

json schema_of(std::string_view text) { return Reader(text).whole(); }

}  // namespace peaknet::control
