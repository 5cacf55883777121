// What replies are made of, as types that a program can read: `rpc.discover` gives them as JSON Schema, and a test
// holds each command's real answer against them.
//
// They are written down briefly: `{name: string, count, note?: string|null, devices: [device]}` is an object; without a
// type a member is an integer; `?` says that it may be missing; a word that is no scalar names another type of the
// table.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>

namespace peaknet::control {

struct NamedType {
  std::string_view name;
  std::string_view text;
};

// The types that several replies share.
std::span<const NamedType> named_types();

// JSON Schema of a brief text. Named types become {"$ref": "#/types/NAME"}. Objects have no members but those named.
// Throws std::invalid_argument for a text with a fault, which is a fault of this program.
nlohmann::json schema_of(std::string_view text);

}  // namespace peaknet::control
