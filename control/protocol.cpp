#include "control/protocol.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/text.hpp"
#include "control/methods.hpp"

namespace peaknet::control {
namespace {

using nlohmann::json;

constexpr const char* kUnchanged = "nothing was done";

// Brackets outside of texts never nested deeper than kMaxNesting; says nothing else about the syntax.
bool is_shallow(std::string_view bytes) {
  int depth = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (in_text) {
      if (c == '\\') ++i;
      if (c == '"') in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxNesting) return false;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return true;
}

// What a stranger sent, short enough for a message.
std::string shown(std::string_view text) {
  constexpr std::size_t kShown = 60;
  return "'" + std::string(text.substr(0, kShown)) + (text.size() > kShown ? "...'" : "'");
}

// Names come from strangers and may be as long as a request: compared is what could be a slip of the fingers.
std::string nearest_known(std::string_view name, std::span<const std::string> known) {
  return nearest(name.substr(0, 64), known);
}
std::string did_you_mean(const std::string& near) { return near.empty() ? "" : " (did you mean '" + near + "'?)"; }

Error invalid(std::string what, std::string remedy) {
  return {"control.invalid-request", std::move(what), kUnchanged, std::move(remedy)};
}

std::string plain(double number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.10g", number);
  return text.data();
}

std::string allowed(const Param& param) {
  const std::string range = plain(param.least) + " to " + plain(param.most);
  if (param.type == ParamType::boolean) return "true or false";
  if (param.type == ParamType::text) return "a string of " + range + " characters";
  if (param.type == ParamType::shape) return "an array of three integers from " + range;
  return "a" + std::string(param.type == ParamType::integer ? "n integer" : " number") + " from " + range;
}

bool fits(const Param& param, const json& value) {
  switch (param.type) {
    case ParamType::boolean:
      return value.is_boolean();
    case ParamType::text: {
      if (!value.is_string()) return false;
      const auto size = static_cast<double>(value.get_ref<const std::string&>().size());
      return size >= param.least && size <= param.most;
    }
    case ParamType::shape: {
      const Param one{param.name, ParamType::integer, param.required, param.least, param.most, param.meaning};
      return value.is_array() && value.size() == 3 &&
             std::all_of(value.begin(), value.end(), [&](const json& number) { return fits(one, number); });
    }
    case ParamType::integer:
      if (!value.is_number_integer()) return false;
      break;
    case ParamType::number:
      if (!value.is_number()) return false;
      break;
  }
  const auto number = value.get<double>();
  return number >= param.least && number <= param.most;
}

Status check_params(const Method& method, const json& params) {
  const auto refuse = [](std::string what, std::string remedy) {
    return Error{"control.bad-params", std::move(what), kUnchanged, std::move(remedy)};
  };
  const std::string owner = " of '" + std::string(method.name) + "'";
  if (!params.is_object())
    return refuse("the parameters" + owner + " are no object", "name the parameters: {\"name\": value}");
  std::vector<std::string> known;
  for (const Param& param : method.params) known.emplace_back(param.name);
  for (const auto& [key, value] : params.items()) {
    const auto param = std::find_if(method.params.begin(), method.params.end(),
                                    [&name = key](const Param& p) { return p.name == name; });
    if (param == method.params.end()) {
      const std::string near = nearest_known(key, known);
      return refuse("'" + std::string(method.name) + "' has no parameter " + shown(key) + did_you_mean(near),
                    near.empty() ? "ask 'rpc.discover' for the parameters" : near);
    }
    if (!fits(*param, value)) {
      return refuse("parameter '" + key + "'" + owner + " is " + shown(to_text(value)), "give " + allowed(*param));
    }
  }
  for (const Param& param : method.params) {
    if (param.required && !params.contains(param.name)) {
      return refuse("parameter '" + std::string(param.name) + "'" + owner + " is missing", "give " + allowed(param));
    }
  }
  return {};
}

int code_of(const std::string& id) {
  if (id == "control.parse-error") return -32700;
  if (id == "control.invalid-request") return -32600;
  if (id == "control.unknown-method") return -32601;
  if (id == "control.bad-params") return -32602;
  if (id == "control.failed") return -32603;
  return -32000;
}

}  // namespace

Result<Call> read_request(std::string_view bytes, json& id) {
  id = nullptr;
  if (!is_shallow(bytes)) {
    return invalid("the request is nested deeper than " + std::to_string(kMaxNesting) + " levels",
                   "send a flatter request");
  }
  json request = json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (request.is_discarded()) {
    return Error{"control.parse-error", "a message of " + std::to_string(bytes.size()) + " bytes is not JSON in UTF-8",
                 kUnchanged, "send one JSON-RPC 2.0 request as one frame"};
  }
  if (request.is_array()) return invalid("the request is a batch", "send one request per message");
  if (!request.is_object()) return invalid("the request is no object", "send one JSON-RPC 2.0 request as one frame");
  if (const auto given = request.find("id"); given != request.end() && (given->is_string() || given->is_number()))
    id = *given;
  if (const auto version = request.find("jsonrpc"); version == request.end() || *version != "2.0") {
    return invalid("the request does not say \"jsonrpc\": \"2.0\"", "speak JSON-RPC 2.0");
  }
  if (id.is_null()) {
    return invalid("the request has no id (a string or a number), so its reply could not be told from others",
                   "give each request an id of its own; there are no notifications");
  }
  const auto method_name = request.find("method");
  if (method_name == request.end() || !method_name->is_string()) {
    return invalid("the request names no method", "ask 'rpc.discover' for the methods");
  }
  Call call{method_name->get<std::string>(), json::object()};
  const Method* method = find_method(call.method);
  if (method == nullptr) {
    std::vector<std::string> known;
    for (const Method& m : methods()) known.emplace_back(m.name);
    const std::string near = nearest_known(call.method, known);
    return Error{"control.unknown-method", "there is no method " + shown(call.method) + did_you_mean(near), kUnchanged,
                 near.empty() ? "ask 'rpc.discover' for the methods" : near};
  }
  if (auto params = request.find("params"); params != request.end()) call.params = std::move(*params);
  if (auto good = check_params(*method, call.params); !good) return good.error();
  return call;
}

std::string write_request(std::uint64_t id, const std::string& method, const json& params) {
  return to_text({{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}});
}

std::string write_reply(const json& id, const Result<json>& reply) {
  json message = {{"jsonrpc", "2.0"}, {"id", id}};
  if (reply) {
    message["result"] = *reply;
  } else {
    const Error& e = reply.error();
    message["error"] = {{"code", code_of(e.id)}, {"message", e.what}, {"data", to_json(e)}};
  }
  return to_text(message);
}

Result<json> read_reply(std::string_view bytes, json& id) {
  id = nullptr;
  const auto bad = [&](const std::string& why) {
    return Error{"control.bad-reply", "the reply of " + std::to_string(bytes.size()) + " bytes " + why,
                 "the request may have been carried out",
                 "see that a peaknetd of this version listens at the endpoint"};
  };
  if (!is_shallow(bytes)) return bad("is nested too deep");
  json message = json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!message.is_object()) return bad("is no JSON object");
  if (const auto given = message.find("id"); given != message.end()) id = *given;
  if (auto result = message.find("result"); result != message.end()) return std::move(*result);
  const auto error = message.find("error");
  if (error == message.end() || !error->is_object()) return bad("has neither a result nor an error");
  const auto text = [](const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
  };
  const auto data = error->find("data");
  if (data == error->end() || !data->is_object()) return Error{"control.failed", text(*error, "message"), "", ""};
  return Error{text(*data, "id"), text(*data, "what"), text(*data, "untouched"), text(*data, "remedy")};
}

json to_json(const Error& error) {
  return {{"id", error.id}, {"what", error.what}, {"untouched", error.untouched}, {"remedy", error.remedy}};
}

json error_document(const Error& error) { return {{"schema", "peaknet.error/1"}, {"error", to_json(error)}}; }

std::string to_text(const json& document, int indent) {
  return document.dump(indent, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace);
}

}  // namespace peaknet::control
