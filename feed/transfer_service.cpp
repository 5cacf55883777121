#include "feed/transfer_service.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/small_file.hpp"

namespace peaknet::feed {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kPatience = 30s;
constexpr std::size_t kMostWords = 400;  // of the service's own, in a message
constexpr std::uint64_t kLongestToken = 16383;

std::string shortened(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  if (text.size() > kMostWords) text = text.substr(0, kMostWords) + "...";
  return text;
}

Error not_understood(const std::string& what, const std::string& answer) {
  return {"request.answer", what + ": " + shortened(answer), "nothing of it was used",
          "is this an lclstream_api of 2026 (docs/feed.md)?"};
}

// Eight groups of hexadecimal digits and dashes: what may stand in a path without being quoted.
bool is_id(const std::string& text) {
  return !text.empty() && text.size() <= 64 && text.find_first_not_of("0123456789abcdefABCDEF-") == std::string::npos;
}

json number_or_text(const std::string& text) {
  if (text.find_first_of("0123456789") == std::string::npos) return text;  // inf and nan are words
  const char* const last = text.data() + text.size();
  std::int64_t integer = 0;
  if (const auto [end, failed] = std::from_chars(text.data(), last, integer); failed == std::errc() && end == last)
    return integer;
  double number = 0;
  if (const auto [end, failed] = std::from_chars(text.data(), last, number); failed == std::errc() && end == last)
    return number;
  return text;
}

// YAML 1.2's core schema: what is quoted is a text.
json value_of(const YAML::Node& node) {
  if (node.IsSequence()) {
    json list = json::array();
    for (const auto& item : node) list.push_back(value_of(item));
    return list;
  }
  if (node.IsMap()) {
    json map = json::object();
    for (const auto& item : node) map[item.first.as<std::string>()] = value_of(item.second);
    return map;
  }
  if (!node.IsScalar()) return nullptr;
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;
  if (text.empty() || text == "null" || text == "~") return nullptr;
  if (text == "true" || text == "True") return true;
  if (text == "false" || text == "False") return false;
  return number_or_text(text);
}

}  // namespace

Result<std::string> transfer_body(const std::string& text, const std::string& name) {
  json body;
  try {
    body = value_of(YAML::Load(text));
  } catch (const YAML::Exception& failure) {
    return Error{"request.file", name + " is neither YAML nor JSON: " + failure.what(), "nothing was asked", ""};
  }
  if (!body.is_object()) {
    return Error{"request.file", name + " holds no keys", "nothing was asked",
                 "name lclstreamer's configuration, or a request with `parameters`"};
  }
  if (!body.contains("parameters")) body = json{{"parameters", std::move(body)}};
  const json& parameters = body["parameters"];
  if (!parameters.is_object() || !parameters.contains("source_identifier")) {
    return Error{"request.file", name + " has no source_identifier: which experiment and run are meant is not said",
                 "nothing was asked", "as source_identifier: exp=mfx100852324,run=355"};
  }
  body["consumer_socket"] = "pull";
  return body.dump();
}

Result<std::string> TransferService::token() const {
  if (token_file_.empty()) return std::string();
  auto [text, problem] = read_small_file(token_file_, kLongestToken);
  if (text.starts_with("Bearer ")) text.erase(0, 7);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  const bool printable = std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (text.empty() || !printable) {
    return Error{"request.token", "there is no token in " + token_file_ + (problem.empty() ? "" : ": " + problem),
                 "nothing was asked", "the file holds one line, the token, and may be read by this user"};
  }
  return text;
}

Result<std::string> TransferService::ask(const std::string& method, const std::string& path, const std::string& body,
                                         const std::stop_token& stop) const {
  auto token = this->token();
  if (!token) return token.error();
  auto reply = client_.call({method, path, std::move(*token), body}, kPatience, stop);
  if (!reply) return reply.error();
  if (reply->status >= 200 && reply->status < 300) return std::move(reply->body);
  const std::string refused = method + " " + path + " was answered with " + std::to_string(reply->status);
  std::string remedy = "ask the operators of the service";
  if (reply->status == 401 || reply->status == 403) remedy = "get a new token, and the right to this experiment";
  if (reply->status == 404) remedy = "is the address that of the service, with its path?";
  if (reply->status == 422) remedy = "correct the request: its own words say where";
  const std::string id = reply->status >= 500 ? "request.unreachable" : "request.refused";
  return Error{id, refused + ": " + shortened(reply->body), "", remedy};
}

Result<std::string> TransferService::create(const std::string& body, const std::stop_token& stop) const {
  const auto answer = ask("POST", "/transfers/", body, stop);
  if (!answer) return answer.error();
  const json made = json::parse(*answer, nullptr, false);
  if (!made.is_object() || !made.contains("id") || !made["id"].is_string() || !is_id(made["id"].get<std::string>()))
    return not_understood("the service has made a transfer and not said which", *answer);
  return made["id"].get<std::string>();
}

Result<Transfer> TransferService::look(const std::string& id, const std::stop_token& stop) const {
  const auto answer = ask("GET", "/transfers/" + id, "", stop);
  if (!answer) return answer.error();
  const json found = json::parse(*answer, nullptr, false);
  static const std::set<std::string> states{"provisioning", "ready", "canceling", "canceled", "completed", "failed"};
  const bool known = found.is_object() && found.contains("state") && found["state"].is_string() &&
                     states.contains(found["state"].get<std::string>());
  if (!known) return not_understood("the transfer is in no state that is known here", *answer);
  Transfer transfer{found["state"].get<std::string>(), std::nullopt};
  const json connection = found.value("connection_info", json());
  if (connection.is_null()) return transfer;
  if (!connection.is_object() || connection.value("socket", json()) != "pull" ||
      !connection.value("uri", json()).is_string())
    return not_understood("the cache has no PULL socket", connection.dump());
  const std::string uri = connection["uri"].get<std::string>();
  if (!uri.starts_with("tcp://") || uri.size() > 300 || uri.find_first_of(" \t\r\n;,*") != std::string::npos)
    return not_understood("the cache's address is none for ZeroMQ over TCP", uri);
  transfer.address = uri;
  return transfer;
}

Status TransferService::cancel(const std::string& id) const {
  const auto answer = ask("DELETE", "/transfers/" + id, "", std::stop_token());
  if (!answer) return answer.error();
  return {};
}

}  // namespace peaknet::feed
