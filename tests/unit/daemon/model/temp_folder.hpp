// TempFolder: a folder of its own for one test, removed with everything in it at the end.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace peaknet::test {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "peaknet-model-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder " + name);
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;  // a file that cannot be removed must not hide what the test says
    std::filesystem::remove_all(path_, ignored);
  }

  std::string path(std::string_view name) const { return path_ / name; }
  // A file that others cannot write, whatever the umask of the test is.
  std::string file(std::string_view name, std::string_view content) const {
    const std::string full = path(name);
    std::ofstream(full, std::ios::binary) << content;
    std::filesystem::permissions(full, std::filesystem::perms{0644});
    return full;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace peaknet::test
