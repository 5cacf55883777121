#include "feed/record.hpp"

#include <array>
#include <condition_variable>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log_line.hpp"
#include "base/text.hpp"
#include "feed/pull_socket.hpp"

namespace peaknet::feed {
namespace {

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// False if stopped before.
bool pause(std::chrono::nanoseconds span, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any nobody;
  std::unique_lock lock(mutex);
  nobody.wait_for(lock, stop, span, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace

Recorder::Recorder(RecordOptions options) : options_(std::move(options)) {}
Recorder::~Recorder() = default;

Result<std::unique_ptr<Recorder>> Recorder::open(const RecordOptions& options) {
  std::unique_ptr<Recorder> made(new Recorder(options));
  auto recording = Recording::open(options.recording);
  if (!recording) return recording.error();
  made->recording_ = std::move(*recording);
  auto socket = PullSocket::open(options.endpoints, options.longest);
  if (!socket) return socket.error();
  made->socket_ = std::move(*socket);
  return made;
}

const std::vector<std::string>& Recorder::addresses() const { return socket_->addresses(); }

RecordCounts Recorder::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

bool Recorder::limited() const {
  return (options_.most_messages > 0 && recording_->files() >= options_.most_messages) ||
         (options_.most_bytes > 0 && recording_->bytes() >= options_.most_bytes);
}

void Recorder::failed(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (counts_.failed[error.id]++ == 0) log::warn("{}", error.text());
}

// True if there was something to receive.
bool Recorder::receive_one(const std::stop_token& stop) {
  const auto received = socket_->receive();
  if (!received) return false;
  {
    const std::lock_guard lock(mutex_);
    ++counts_.messages;
  }
  if (received->parts > 1) {
    failed(multipart_error(received->parts, received->bytes()));
  } else if (limited()) {
    failed({"record.limit", "a message came after the limit of the recording was reached",
            "it is not in the recording; it was on its way when the limit was reached", ""});
  } else {
    store(received->bytes(), stop);
  }
  return true;
}

void Recorder::store(std::span<const std::byte> message, const std::stop_token& stop) {
  const std::int64_t received = now_ns();
  for (bool first = true;; first = false) {
    const auto kept = recording_->keep(message, received);
    if (kept) {
      const std::lock_guard lock(mutex_);
      if (counts_.full) log::info("there is room again: recording continues");
      counts_.full = false;
      ++counts_.stored;
      counts_.bytes += message.size();
      return;
    }
    const bool full = kept.error().id == "record.no-space";
    if (full && first) {
      log::error("{}", kept.error().text());
      log::error("nothing is received until there is room: the senders wait");
      const std::lock_guard lock(mutex_);
      counts_.full = true;
    }
    if (full && pause(options_.retry, stop)) continue;
    failed(kept.error());
    error_ = kept.error();
    return;
  }
}

// What is here was taken from its sender, who believes it delivered. A sender that goes on must not keep us here.
void Recorder::drain() {
  std::stop_source no_waiting;
  no_waiting.request_stop();
  const auto deadline = std::chrono::steady_clock::now() + options_.drain;
  while (std::chrono::steady_clock::now() < deadline && receive_one(no_waiting.get_token())) {
  }
}

std::optional<Error> Recorder::run(const std::stop_token& stop) {
  const Wake wake;
  const std::stop_callback on_stop(stop, [&wake] { wake.notify(); });
  auto last = std::chrono::steady_clock::now();
  while (!stop.stop_requested() && !error_ && !limited()) {
    std::chrono::milliseconds at_most{-1};
    if (options_.idle.count() > 0) {
      const auto left = last + options_.idle - std::chrono::steady_clock::now();
      if (left.count() <= 0) break;
      at_most = std::chrono::ceil<std::chrono::milliseconds>(left);
    }
    socket_->wait(wake, at_most);
    wake.clear();
    while (!stop.stop_requested() && !error_ && !limited() && receive_one(stop))
      last = std::chrono::steady_clock::now();
  }
  drain();
  if (auto flushed = recording_->flush(); !flushed && !error_) error_ = flushed.error();
  return error_;
}

std::string record_text(const RecordCounts& counts, double seconds) {
  std::string text = "record: " + std::to_string(counts.stored) + " of " + std::to_string(counts.messages) +
                     " messages in files, " + human_bytes(counts.bytes);
  for (const auto& [cause, n] : counts.failed) text += ", " + cause + " " + std::to_string(n);
  std::array<char, 32> span{};
  std::snprintf(span.data(), span.size(), " in %.2f s", seconds);
  return text + span.data();
}

std::string record_json(const RecordCounts& counts, double seconds) {
  nlohmann::ordered_json json;
  json["schema"] = "peaknet.feed/1";
  json["mode"] = "record";
  json["messages"] = counts.messages;
  json["stored"] = counts.stored;
  json["bytes"] = counts.bytes;
  json["failed"] = nlohmann::ordered_json::object();
  for (const auto& [cause, n] : counts.failed) json["failed"][cause] = n;
  json["seconds"] = seconds;
  return json.dump();
}

}  // namespace peaknet::feed
