// Methods: what can be asked of peaknetd, as one table for the server (which refuses what is not in it), peaknetctl,
// `rpc.discover` and docs/protocol.md (a test compares them).
#pragma once

#include <span>
#include <string_view>

namespace peaknet::control {

enum class ParamType { text, integer, number, boolean, shape };
constexpr std::string_view name(ParamType type) {
  switch (type) {
    case ParamType::text:
      return "string";
    case ParamType::integer:
      return "integer";
    case ParamType::number:
      return "number";
    case ParamType::boolean:
      return "boolean";
    case ParamType::shape:
      return "[integer, integer, integer]";
  }
  return "unknown";
}

// The parameter by which a request that is sent again is known; the server takes it, no handler sees it.
inline constexpr const char* kKeyParam = "key";

struct Param {
  std::string_view name;
  ParamType type;
  bool required;
  double least, most;  // of integer and number, of each number of a shape; of text: its length
  std::string_view meaning;
};

struct Method {
  std::string_view name;
  bool read_only;  // answered on the monitor endpoint too
  std::span<const Param> params;
  std::string_view meaning;
  std::string_view result;  // the type of its answer, see result_types.hpp
};

// All methods, in the order of the documentation. `rpc.discover` is one of them, and the server answers it itself.
std::span<const Method> methods();
// The method of that name, or nullptr.
const Method* find_method(std::string_view name);
// Is it a method that changes nothing?
inline bool is_read_only(std::string_view method) {
  const Method* found = find_method(method);
  return found != nullptr && found->read_only;
}

}  // namespace peaknet::control
