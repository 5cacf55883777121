#include "feed/file_holes.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace peaknet::feed {
namespace {

constexpr std::uint64_t kBlock = 4096;

}  // namespace

FileHoles::~FileHoles() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool FileHoles::contain(const std::string& path, std::uint64_t at, std::uint64_t bytes) {
  if (descriptor_ < 0) descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) return false;
  const std::uint64_t first = (at + kBlock - 1) / kBlock * kBlock, end = (at + bytes) / kBlock * kBlock;
  if (first >= end) return false;
  const off_t written = lseek(descriptor_, static_cast<off_t>(first), SEEK_DATA);
  if (written < 0) return errno == ENXIO;  // from there to the end of the file
  return static_cast<std::uint64_t>(written) >= end;
}

}  // namespace peaknet::feed
