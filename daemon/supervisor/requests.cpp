#include "daemon/supervisor/requests.hpp"

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/log_line.hpp"
#include "control/history.hpp"
#include "control/methods.hpp"
#include "control/status_documents.hpp"
#include "daemon/supervisor/systemd_notify.hpp"
#include "peaknet_version.hpp"

namespace peaknet::supervisor {
namespace {

using nlohmann::json;

json version_document(const shm::ControlSegment& /*control segment*/, const shm::Pool* /*pool*/,
                      const json& /*params*/) {
  return {{"version", kVersion},
          {"commit", kGitCommit},
          {"build", kBuildType},
          {"torch", kTorchVersion},
          {"cuda", kCudaVersion}};
}

json history_document(const shm::ControlSegment& control_segment, const shm::Pool* /*pool*/, const json& params) {
  const auto seconds = params.find("seconds");
  return control::history_document(
      control_segment, seconds == params.end() ? std::nullopt : std::optional(seconds->get<std::int64_t>()));
}

struct Reading {
  std::string_view method;
  json (*document)(const shm::ControlSegment& control_segment, const shm::Pool* pool, const json& params);
};
constexpr Reading kReading[] = {
    {"stats", [](const shm::ControlSegment& control_segment, const shm::Pool* pool,
                 const json& /*params*/) { return control::stats_document(control_segment, pool); }},
    {"status", [](const shm::ControlSegment& control_segment, const shm::Pool* pool,
                  const json& /*params*/) { return control::status_document(control_segment, pool); }},
    {"history", history_document},
    {"errors",
     [](const shm::ControlSegment& control_segment, const shm::Pool* /*pool*/, const json& /*params*/) {
       return control::errors_document(control_segment, control::kSourceDaemon);
     }},
    {"version", version_document},
};

// What the supervisor carries out.
struct Order {
  std::string_view method;
  void (RunControl::*carry_out)(const json& params, control::Answer answer);
};
constexpr Order kOrders[] = {
    {"start", &RunControl::start},           {"stop", &RunControl::stop},
    {"rebuffer", &RunControl::rebuffer},     {"reload", &RunControl::reload},
    {"model.load", &RunControl::load_model}, {"config", &RunControl::show_config},
};

void reload_by_signal(RunControl& control) {
  log::info("signal {}: reading the configuration again", SIGHUP);
  control.reload([](const control::Reply& reply) {
    if (!reply) {
      log::error("{}", reply.error().text());
    } else if (reply->at("changed").empty() && reply->at("restart").empty()) {
      log::info("reload: nothing has changed");
    }
  });
}

void obey_signal(int number, RunControl& control) {
  if (number == SIGHUP) return reload_by_signal(control);
  log::info("signal {}: ending", number);
  notify_stopping();
  control.begin_shutdown();
}

}  // namespace

control::Handler make_handler(const PoolManager& pool_manager, Mailbox& mailbox) {
  return [control_segment = pool_manager.shared_control_segment(), &pool_manager, &mailbox](control::Request request,
                                                                                            control::Answer answer) {
    const auto* reading = std::ranges::find(kReading, request.method, &Reading::method);
    if (reading != std::end(kReading)) {
      answer.send(reading->document(*control_segment, pool_manager.pool().get(), request.params));
      return;
    }
    if (!control::is_read_only(request.method))
      log::info("{} {} asked by {}", request.method, request.params.dump(), request.peer);
    mailbox.put(Command{std::move(request), std::move(answer)});
  };
}

void obey(Message message, RunControl& control) {
  if (const auto* signal = std::get_if<SignalCame>(&message)) return obey_signal(signal->number, control);
  auto& [request, answer] = std::get<Command>(message);
  const auto* order = std::ranges::find(kOrders, request.method, &Order::method);
  if (order == std::end(kOrders)) {
    answer.send(Error{"control.unknown-method", "peaknetd does not know '" + request.method + "'",
                      "nothing was changed", "peaknetctl --help"});
    return;
  }
  (control.*order->carry_out)(request.params, std::move(answer));
}

}  // namespace peaknet::supervisor
