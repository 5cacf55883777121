// RejectedMessages: messages that could not be used, kept as files for those who want to know why. Bounded: at most so
// many files of one cause, and so many bytes in all, with what lies in the folder already. When it is full nothing more
// is kept and nothing is removed: the first of a kind tell the most. `peaknet-feed replay` reads none of them; they are
// for people, and for the sender's authors.
//
// Any thread. A file appears under its name when it is whole. Nobody else may write into the folder at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "base/result.hpp"

namespace peaknet::feed {

struct RejectedMessageLimits {
  std::uint64_t bytes = std::uint64_t{4} << 30;
  std::uint64_t files_per_cause = 8;
};

class RejectedMessages {
 public:
  // Makes the folder. Errors: quarantine.folder.
  static Result<std::unique_ptr<RejectedMessages>> open(const std::string& folder, RejectedMessageLimits limits = {});

  // Keeps a message as <cause>.<number>.bin, if there is room. True if it did. A disk that is full is no error here:
  // the feed goes on.
  bool keep(std::span<const std::byte> message, const std::string& cause);

 private:
  RejectedMessages(std::filesystem::path folder, RejectedMessageLimits limits);
  const std::filesystem::path folder_;
  const RejectedMessageLimits limits_;
  std::mutex mutex_;
  std::uint64_t bytes_ = 0;
  std::map<std::string, std::uint64_t> files_;  // by cause
};

}  // namespace peaknet::feed
