#include "feed/input_files.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>
#include <utility>

#include "base/special_file.hpp"

namespace peaknet::feed {
namespace {

namespace fs = std::filesystem;

Error absent(const std::string& path, const std::string& why) {
  return {"input.absent", path + " cannot be read: " + why, "no frame was taken from anything",
          "is it the right path, and may this user read it?"};
}

// Events must be played once: either a master or the files that it shows.
void leave_out_what_is_shown_twice(std::vector<InputFile>& files) {
  constexpr std::string_view kOurs = "_master.cxi", kDectris = "_master.h5";
  std::set<std::string> paths, leave;
  for (const InputFile& file : files) paths.insert(file.path);
  const auto each_of = [&](const std::string& begin, auto work) {
    for (auto next = paths.lower_bound(begin); next != paths.end() && next->starts_with(begin); ++next) work(*next);
  };
  for (const std::string& path : paths) {
    if (path.ends_with(kOurs)) {
      each_of(path.substr(0, path.size() - kOurs.size()) + "_", [&](const std::string& other) {
        if (other != path && other.ends_with(".cxi")) leave.insert(path);
      });
    } else if (path.ends_with(kDectris)) {
      each_of(path.substr(0, path.size() - kDectris.size()) + "_data_",
              [&](const std::string& other) { leave.insert(other); });
    }
  }
  std::erase_if(files, [&](const InputFile& file) { return leave.contains(file.path); });
}

Result<std::vector<InputFile>> files_in(const fs::path& folder) {
  std::vector<InputFile> files;
  std::error_code trouble;
  for (fs::directory_iterator entry(folder, trouble), end; !trouble && entry != end; entry.increment(trouble)) {
    std::error_code gone;
    const std::string name = entry->path().filename().string();
    // A link that leads nowhere is not as if it were not there.
    const bool file = entry->is_regular_file(gone) || (entry->is_symlink(gone) && !entry->exists(gone));
    if (file && !name.starts_with('.') && !name.ends_with(".lst") && !name.ends_with(".part") &&
        !name.ends_with(".frames") && !name.ends_with(".new"))
      files.push_back({entry->path().string()});
  }
  if (trouble) return absent(folder.string(), trouble.message());
  std::sort(files.begin(), files.end(),
            [](const InputFile& a, const InputFile& b) { return natural_less(a.path, b.path); });
  leave_out_what_is_shown_twice(files);
  return files;
}

Error bad_line(const fs::path& list, const std::string& text, const std::string& what, const std::string& remedy) {
  return {"input.list", "a line of " + list.string() + " has '" + text + "' as its " + what,
          "no frame was taken from anything", remedy};
}

// What stands after a name: the time of a recording, or an event as CrystFEL names it.
Status take_ending(const fs::path& list, std::string& name, InputFile& file) {
  const std::size_t tab = name.find('\t'), event = name.rfind(" //");
  const char* const end = name.data() + name.size();
  if (tab != std::string::npos) {
    std::int64_t time = 0;
    if (const auto read = std::from_chars(name.data() + tab + 1, end, time); read.ptr != end || time <= 0)
      return bad_line(list, name.substr(tab + 1), "time",
                      "after the TAB stand nanoseconds since 1970, or leave it out");
    file.received_ns = time;
  } else if (event != std::string::npos) {
    std::uint64_t number = 0;
    const auto read = std::from_chars(name.data() + event + 3, end, number);
    file.only_event = name.data() + event + 3 == end;
    if (!file.only_event && (read.ec != std::errc{} || read.ptr != end))
      return bad_line(list, name.substr(event + 1), "event", "the event of a file is written as //3");
    file.events.push_back(number);
  }
  name.resize(std::min({name.size(), tab, event}));
  while (!name.empty() && name.back() == ' ') name.pop_back();
  return {};
}

Result<std::vector<InputFile>> files_of_list(const fs::path& list) {
  if (is_special_file(list.string())) return absent(list.string(), kSpecialFile);
  std::ifstream in(list);
  if (!in) return absent(list.string(), "it cannot be opened");
  std::vector<InputFile> files;
  bool first = true;
  for (std::string line; std::getline(in, line); first = false) {
    if (first && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    line.erase(0, line.find_first_not_of(' '));
    if (line.empty() || line.starts_with('#')) continue;
    // What opens files ends a name there, and would play another file than the one that is named.
    if (line.find('\0') != std::string::npos)
      return bad_line(list, line.substr(0, line.find('\0')), "name, with a byte that is zero",
                      "is it a text, and whole? UTF-16 is not read");
    InputFile file;
    if (auto good = take_ending(list, line, file); !good) return good.error();
    std::error_code ignored;
    const fs::path beside = list.parent_path() / line;
    file.path = !fs::exists(beside, ignored) && fs::exists(line, ignored) ? line : beside.string();
    if (!file.events.empty() && !file.only_event && !files.empty() && !files.back().only_event &&
        files.back().path == file.path && !files.back().events.empty()) {
      files.back().events.push_back(file.events.front());
    } else {
      files.push_back(std::move(file));
    }
  }
  return files;
}

bool digit(char c) { return c >= '0' && c <= '9'; }

// The digits at the front, without the zeros before them.
std::string_view take_number(std::string_view& text) {
  const auto begin = std::find_if_not(text.begin(), text.end(), [](char c) { return c == '0'; });
  const auto end = std::find_if_not(begin, text.end(), digit);
  const std::string_view number(begin, end);
  text = std::string_view(end, text.end());
  return number;
}

}  // namespace

bool natural_less(std::string_view a, std::string_view b) {
  const std::string_view whole_a = a, whole_b = b;
  while (!a.empty() && !b.empty()) {
    if (digit(a.front()) && digit(b.front())) {
      const auto x = take_number(a), y = take_number(b);
      if (x != y) return x.size() != y.size() ? x.size() < y.size() : x < y;
      continue;
    }
    if (a.front() != b.front()) return a.front() < b.front();
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  if (a.empty() != b.empty()) return a.empty();
  return whole_a < whole_b;  // the same but for zeros before numbers
}

Result<std::vector<InputFile>> input_files(const std::vector<std::string>& arguments) {
  std::vector<InputFile> all;
  for (const std::string& argument : arguments) {
    std::error_code trouble;
    const bool folder = fs::is_directory(argument, trouble);
    if (!folder && !argument.ends_with(".lst")) {
      all.push_back({argument});
      continue;
    }
    const auto files = folder ? files_in(argument) : files_of_list(argument);
    if (!files) return files.error();
    if (files->empty()) {
      return Error{"input.empty", argument + " has no files in it", "no frame was taken from anything",
                   "name a folder or a list that has some"};
    }
    all.insert(all.end(), files->begin(), files->end());
  }
  return all;
}

}  // namespace peaknet::feed
