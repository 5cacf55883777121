#include "writer/file_names.hpp"

#include <algorithm>
#include <cctype>

#include "config/run_name.hpp"
#include "cxi/file_name.hpp"

namespace peaknet::writer {
namespace {

constexpr std::size_t kUserBytes = 32;
constexpr std::size_t kLongest = 255 - 15;  // of a name on Linux, without what the ledger appends to it

std::string plain(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](unsigned char c) { return c > 127 || (std::isalnum(c) == 0 && c != '.' && c != '_' && c != '-'); }, '-');
  return text;
}

std::string known(const std::string& text) { return text.empty() ? "unknown" : text; }

}  // namespace

std::filesystem::path FileNames::next(const std::string& run, const shm::RunFacts& facts, const std::string& source_run,
                                      std::uint64_t writer, std::int64_t realtime_ns) {
  // A clock that was set back does not put a file before those that are there.
  last_ns_ = std::max(realtime_ns, last_ns_ + 1000);
  const std::string source = source_run.empty() ? "" : "." + source_run;
  const auto named = [&](const std::string& of_run) {
    const FileName name{.stem = prefix_ + "_run" + plain(of_run + source),
                        .time = file_time(last_ns_),
                        .writer = writer,
                        .chunk = chunk_};
    return name.text();
  };
  std::string name =
      named(config::fill_run_name(run_name_, {.run = known(run),
                                              .run_number = facts.number ? std::to_string(*facts.number) : known(""),
                                              .proposal = known(facts.proposal),
                                              .user = known(facts.user.substr(0, kUserBytes))}));
  if (name.size() > kLongest) name = named(known(run));
  ++chunk_;
  return folder_ / name;
}

}  // namespace peaknet::writer
