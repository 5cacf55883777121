#include "feed/input_files.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace peaknet::feed {
namespace {

namespace fs = std::filesystem;

Error absent(const std::string& path, const std::string& why) {
  return {"input.absent", path + " cannot be read: " + why, "no frame was taken from anything",
          "is it the right path, and may this user read it?"};
}

Result<std::vector<InputFile>> files_in(const fs::path& folder) {
  std::vector<InputFile> files;
  std::error_code trouble;
  for (fs::directory_iterator entry(folder, trouble), end; !trouble && entry != end; entry.increment(trouble)) {
    std::error_code gone;
    const std::string name = entry->path().filename().string();
    if (entry->is_regular_file(gone) && !name.starts_with('.') && !name.ends_with(".lst") && !name.ends_with(".part"))
      files.push_back({entry->path().string()});
  }
  if (trouble) return absent(folder.string(), trouble.message());
  std::sort(files.begin(), files.end(),
            [](const InputFile& a, const InputFile& b) { return natural_less(a.path, b.path); });
  return files;
}

Result<std::vector<InputFile>> files_of_list(const fs::path& list) {
  std::ifstream in(list);
  if (!in) return absent(list.string(), "it cannot be opened");
  std::vector<InputFile> files;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty()) continue;
    const std::size_t tab = line.find('\t');
    InputFile file{(list.parent_path() / line.substr(0, tab)).string()};
    if (tab != std::string::npos) {
      std::int64_t time = 0;
      const char* const end = line.data() + line.size();
      if (const auto read = std::from_chars(line.data() + tab + 1, end, time); read.ptr != end || time <= 0) {
        return Error{"input.list", "a line of " + list.string() + " has '" + line.substr(tab + 1) + "' as its time",
                     "no frame was taken from anything", "after the TAB stand nanoseconds since 1970, or leave it out"};
      }
      file.received_ns = time;
    }
    files.push_back(std::move(file));
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
