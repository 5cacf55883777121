#include "writer/disk_note.hpp"

#include <algorithm>

#include "base/columns.hpp"

namespace peaknet::writer {

std::string waiting_for_disk(const Error& error) {
  constexpr std::size_t kMost = 255;  // bytes of the note
  const std::string begin = "WAITING FOR DISK: ", end = ". Try: " + error.remedy + " [" + error.id + "]";
  const std::size_t taken = std::min(kMost, begin.size() + end.size());
  return begin + shortened(error.what, kMost - taken) + end;
}

}  // namespace peaknet::writer
