#include "config/model_file.hpp"

#include <openssl/evp.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <future>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "config/model_archive.hpp"
#include "config/model_form.hpp"

namespace peaknet::model {
namespace {

constexpr std::size_t kPart = std::size_t{1} << 20U;

Error unreadable(const std::string& path, const std::string& cause) {
  return {"model.unreadable", "cannot read " + path + ": " + cause, "no other model was touched",
          "check the file and its rights"};
}

std::string hex_of(const unsigned char* bytes, std::size_t count) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4U];
    text += kDigits[bytes[i] & 0xfU];
  }
  return text;
}

// "" where there is no such file: whoever reads it says so.
std::string identity_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  std::string text;
  for (const std::int64_t part : {std::int64_t(info.st_dev), std::int64_t(info.st_ino), std::int64_t(info.st_size),
                                  std::int64_t(info.st_mtim.tv_sec), std::int64_t(info.st_mtim.tv_nsec),
                                  std::int64_t(info.st_ctim.tv_sec), std::int64_t(info.st_ctim.tv_nsec)})
    text += std::to_string(part) + ' ';
  return text;
}

Result<std::string> read_sound(const std::string& path) {
  if (auto good = check_model_form(path); !good) return good.error();
  const auto archive = ModelArchive::open(path);
  if (!archive) return archive.error();
  if (auto sound = archive->check(); !sound) return sound.error();
  return sha256_of(path);
}

}  // namespace

Result<std::string> sha256_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return unreadable(path, std::strerror(errno));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> state(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool good = state && EVP_DigestInit_ex(state.get(), EVP_sha256(), nullptr) == 1;
  std::vector<char> part(kPart);
  while (good && file) {
    file.read(part.data(), static_cast<std::streamsize>(part.size()));
    good = EVP_DigestUpdate(state.get(), part.data(), static_cast<std::size_t>(file.gcount())) == 1;
  }
  if (good && !file.eof()) return unreadable(path, std::strerror(errno));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned bytes = 0;
  if (!good || EVP_DigestFinal_ex(state.get(), digest.data(), &bytes) != 1)
    return unreadable(path, "OpenSSL has no SHA-256 here");
  return hex_of(digest.data(), bytes);
}

Result<std::string> ModelFiles::sound_sha256(const std::string& path) {
  const std::string identity = identity_of(path);
  std::promise<Result<std::string>> found;
  std::shared_future<Result<std::string>> answer;
  bool ours = false;  // to read
  {
    const std::lock_guard lock(mutex_);
    const auto [known, added] = known_.try_emplace(identity);
    if (added) known->second = found.get_future().share();
    answer = known->second;
    ours = added;
  }
  if (ours) {
    auto read = read_sound(path);
    const bool stays = read && !identity.empty() && identity == identity_of(path);
    found.set_value(std::move(read));
    if (!stays) {
      const std::lock_guard lock(mutex_);
      known_.erase(identity);
    }
  }
  return answer.get();
}

}  // namespace peaknet::model
