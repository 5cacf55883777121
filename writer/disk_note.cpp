#include "writer/disk_note.hpp"

#include <algorithm>

#include "base/columns.hpp"

namespace peaknet::writer {
namespace {

// A limit of the process is none of the disk.
bool is_of_disk(const Error& error) { return error.id.starts_with("output.") && error.id != "output.file-too-large"; }

// With less of the middle of its longest word, a path, until it fits; else of its own middle.
std::string fitted(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t begin = 0, longest = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (end - at > longest) {
      begin = at;
      longest = end - at;
    }
    at = end + 1;
  }
  const std::size_t too_many = text.size() - most;
  if (longest < too_many) return shortened(text, most);
  return text.substr(0, begin) + shortened(text.substr(begin, longest), longest - too_many) +
         text.substr(begin + longest);
}

}  // namespace

std::string log_of_waiting(const Error& error) {
  return (is_of_disk(error) ? "waiting for the disk: " : "waiting: ") + error.text();
}

std::string note_of_waiting(const Error& error) {
  constexpr std::size_t kMost = 255;  // bytes of the note
  const std::string begin = is_of_disk(error) ? "WAITING FOR DISK: " : "WAITING: ";
  const std::string end = ". Try: " + error.remedy + " [" + error.id + "]";
  const std::size_t taken = std::min(kMost, begin.size() + end.size());
  return begin + fitted(error.what, kMost - taken) + end;
}

}  // namespace peaknet::writer
