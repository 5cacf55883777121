#include "base/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>

#include "base/journald.hpp"
#include "base/line_output.hpp"

namespace peaknet {
namespace {

int priority_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical:
      return 2;
    case spdlog::level::err:
      return 3;
    case spdlog::level::warn:
      return 4;
    case spdlog::level::info:
      return 6;
    default:
      return 7;
  }
}

// stderr, whose reader may stand still: threads that log go on, and the first line that gets through again is preceded
// by how many were lost.
class PatientStderr {
 public:
  // `as_line`: a text as this sink writes lines.
  template <class AsLine>
  void write(std::string_view line, const AsLine& as_line) {
    if (lost_ > 0 && output_.write(as_line(std::to_string(lost_) + " lines of the log were lost while its reader "
                                                                   "stood still"),
                                   kGone)) {
      lost_ = 0;
    }
    if (lost_ > 0 || !output_.write(line, kPatience)) ++lost_;
  }

 private:
  static constexpr std::chrono::milliseconds kPatience{100}, kGone{0};
  LineOutput output_{STDERR_FILENO};
  std::uint64_t lost_ = 0;
};

class StderrSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& line) override {
    output_.write(formatted(line), [&](const std::string& text) {
      return formatted({line.time, line.source, line.logger_name, spdlog::level::warn, text});
    });
  }
  void flush_() override {}

 private:
  std::string formatted(const spdlog::details::log_msg& line) {
    spdlog::memory_buf_t text;
    formatter_->format(line, text);
    return {text.data(), text.size()};
  }
  PatientStderr output_;
};

// Lines go to the journal with their fields; one that cannot, to stderr, which the journal reads too, with "<N>".
class JournaldSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit JournaldSink(const std::string& journal) : journal_(journal) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& line) override {
    const std::string text(line.payload.data(), line.payload.size());
    const std::string program(line.logger_name.data(), line.logger_name.size());
    const int priority = priority_of(line.level);
    if (journal_.send(journal_datagram(program, priority, text))) return;
    const auto as_line = [](int of, const std::string& what) { return "<" + std::to_string(of) + ">" + what + "\n"; };
    output_.write(as_line(priority, text),
                  [&](const std::string& lost) { return as_line(priority_of(spdlog::level::warn), lost); });
  }
  void flush_() override {}

 private:
  JournaldSocket journal_;
  PatientStderr output_;
};

// JOURNAL_STREAM is "device:inode" of the stream that the journal reads; a program whose stderr was redirected since
// then still has the variable, so the numbers are compared.
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat mine {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &mine) != 0) return false;
  return stream == std::to_string(mine.st_dev) + ":" + std::to_string(mine.st_ino);
}

}  // namespace

void say_last_words(const std::string& program, const std::string& text) {
  if (stderr_is_journal() && JournaldSocket().send(journal_datagram(program, priority_of(spdlog::level::err), text)))
    return;
  std::fprintf(stderr, "%s: %s\n", program.c_str(), text.c_str());
}

void set_up_log(const std::string& program, const std::string& level, const std::string& journal) {
  std::shared_ptr<spdlog::logger> logger;
  if (stderr_is_journal()) {
    logger = std::make_shared<spdlog::logger>(program, std::make_shared<JournaldSink>(journal));
  } else {
    logger = std::make_shared<spdlog::logger>(program, std::make_shared<StderrSink>());
    logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %-5l %n: %v",
                                                                      spdlog::pattern_time_type::utc));
  }
  const auto known = spdlog::level::from_str(level == "error" ? "err" : level);
  logger->set_level(known == spdlog::level::off ? spdlog::level::info : known);
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace peaknet
