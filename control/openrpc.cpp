#include "control/openrpc.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "control/methods.hpp"
#include "control/result_types.hpp"
#include "peaknet_version.hpp"

namespace peaknet::control {
namespace {

using nlohmann::json;

json param_schema(const Param& param) {
  switch (param.type) {
    case ParamType::boolean:
      return {{"type", "boolean"}};
    case ParamType::text:
      return {{"type", "string"},
              {"minLength", static_cast<int>(param.least)},
              {"maxLength", static_cast<int>(param.most)}};
    case ParamType::shape: {
      json number = {{"type", "integer"}, {"minimum", param.least}, {"maximum", param.most}};
      return {{"type", "array"}, {"items", std::move(number)}, {"minItems", 3}, {"maxItems", 3}};
    }
    case ParamType::integer:
      return {{"type", "integer"}, {"minimum", param.least}, {"maximum", param.most}};
    case ParamType::number:
      break;
  }
  return {{"type", "number"}, {"minimum", param.least}, {"maximum", param.most}};
}

json method_object(const Method& method) {
  json params = json::array();
  for (const Param& param : method.params) {
    params.push_back({{"name", param.name},
                      {"description", param.meaning},
                      {"required", param.required},
                      {"schema", param_schema(param)}});
  }
  return {{"name", method.name},
          {"summary", method.meaning},
          {"paramStructure", "by-name"},
          {"params", std::move(params)},
          {"result", {{"name", "reply"}, {"schema", schema_of(method.result)}}},
          {"x-read-only", method.read_only}};
}

}  // namespace

json openrpc_document() {
  json list = json::array();
  for (const Method& method : methods()) list.push_back(method_object(method));
  json schemas = json::object();
  for (const NamedType& type : named_types()) schemas[std::string(type.name)] = schema_of(type.text);
  return {{"openrpc", "1.3.2"},
          {"info", {{"title", "The control socket of peaknetd"}, {"version", kVersion}}},
          {"methods", std::move(list)},
          {"components", {{"schemas", std::move(schemas)}}}};
}

}  // namespace peaknet::control
