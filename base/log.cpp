#include "base/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "base/journal.hpp"

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

// Lines go to the journal with their fields; one that cannot, to stderr, which the journal reads too, with "<N>".
class JournalSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit JournalSink(const std::string& journal) : journal_(journal) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& line) override {
    const std::string text(line.payload.data(), line.payload.size());
    const std::string program(line.logger_name.data(), line.logger_name.size());
    const int priority = priority_of(line.level);
    if (journal_.send(journal_datagram(program, priority, text))) return;
    std::fprintf(stderr, "<%d>%s\n", priority, text.c_str());
  }
  void flush_() override {}

 private:
  JournalSocket journal_;
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

void set_up_log(const std::string& program, const std::string& level, const std::string& journal) {
  std::shared_ptr<spdlog::logger> logger;
  if (stderr_is_journal()) {
    logger = std::make_shared<spdlog::logger>(program, std::make_shared<JournalSink>(journal));
  } else {
    logger = std::make_shared<spdlog::logger>(program, std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %-5l %n: %v",
                                                                      spdlog::pattern_time_type::utc));
  }
  const auto known = spdlog::level::from_str(level == "error" ? "err" : level);
  logger->set_level(known == spdlog::level::off ? spdlog::level::info : known);
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace peaknet
