#include "feed/rejected_messages.hpp"

#include <fstream>
#include <system_error>
#include <utility>

namespace peaknet::feed {

RejectedMessages::RejectedMessages(std::filesystem::path folder, RejectedMessageLimits limits)
    : folder_(std::move(folder)), limits_(limits) {}

Result<std::unique_ptr<RejectedMessages>> RejectedMessages::open(const std::string& folder,
                                                                 RejectedMessageLimits limits) {
  const auto failed = [&](const std::string& why) {
    return Error{"quarantine.folder", "the folder " + folder + " for bad messages cannot be used: " + why,
                 "nothing was received", "name a folder that this user may write, or leave --quarantine out"};
  };
  std::error_code trouble;
  std::filesystem::create_directories(folder, trouble);
  if (trouble) return failed(trouble.message());
  std::unique_ptr<RejectedMessages> made(new RejectedMessages(folder, limits));
  for (std::filesystem::directory_iterator entry(folder, trouble), end; !trouble && entry != end;
       entry.increment(trouble)) {
    std::error_code gone;
    if (!entry->is_regular_file(gone)) continue;
    const std::uint64_t bytes = entry->file_size(gone);
    if (!gone) made->bytes_ += bytes;
    // <cause>.<number>.bin
    const std::string cause = entry->path().stem().stem().string();
    if (entry->path().extension() == ".bin") ++made->files_[cause];
  }
  if (trouble) return failed(trouble.message());
  return made;
}

bool RejectedMessages::keep(std::span<const std::byte> message, const std::string& cause) {
  const std::lock_guard lock(mutex_);
  std::uint64_t& files = files_[cause];
  if (files >= limits_.files_per_cause || message.size() > limits_.bytes || bytes_ > limits_.bytes - message.size())
    return false;
  const auto path = folder_ / (cause + "." + std::to_string(files) + ".bin");
  const auto part = folder_ / (cause + ".part");
  bool good = false;
  {
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(message.data()), static_cast<std::streamsize>(message.size()));
    out.close();
    good = !out.fail();
  }
  std::error_code trouble;
  if (good) std::filesystem::rename(part, path, trouble);
  if (!good || trouble) {
    std::filesystem::remove(part, trouble);
    return false;
  }
  ++files;
  bytes_ += message.size();
  return true;
}

}  // namespace peaknet::feed
