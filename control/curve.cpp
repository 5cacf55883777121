#include "control/curve.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "base/text.hpp"
#include "base/write_all.hpp"

namespace peaknet::control {
namespace {

constexpr std::size_t kKeyCharacters = 40;
constexpr std::size_t kMostBytes = std::size_t{1} << 20;
constexpr const char* kUnchanged = "nothing was opened";

// Checked on what was opened, so nobody can change it in between.
Result<std::string> read_guarded(const std::string& name, mode_t forbidden, const std::string& harm) {
  std::string file = name;
  const std::string credential = "credential:";
  if (file.starts_with(credential)) {
    const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
    const std::string leaf = file.substr(credential.size());
    if (folder == nullptr || !is_plain_name(leaf, 64)) {
      return Error{"curve.unreadable", "'" + name + "' names a systemd credential, and there is none", kUnchanged,
                   "LoadCredential=" + leaf + ":FILE in a drop-in of the unit, or name a file"};
    }
    file = std::string(folder) + "/" + leaf;
  }
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe has no writer
  const auto unreadable = [&] {
    return Error{"curve.unreadable", "cannot read " + file + ": " + std::strerror(errno), kUnchanged,
                 "check the name and who may read it"};
  };
  if (fd < 0) return unreadable();
  struct stat there {};
  std::string text(kMostBytes, '\0');
  const ssize_t size = ::fstat(fd, &there) == 0 ? ::read(fd, text.data(), text.size()) : -1;
  const Error why = unreadable();
  ::close(fd);
  if (size < 0) return why;
  const bool mine = there.st_uid == ::geteuid() || there.st_uid == 0;
  if (!mine || (there.st_mode & forbidden) != 0) {
    std::array<char, 8> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", there.st_mode & 07777U);
    return Error{
        "curve.open-to-others",
        file + " (mode " + mode.data() + ", uid " + std::to_string(there.st_uid) + "): others may " + harm + " it",
        kUnchanged, "chown it to the user of this program and chmod 0400 " + file};
  }
  text.resize(static_cast<std::size_t>(size));
  return text;
}

Error bad_key(const std::string& where) {
  return {"curve.bad-key", where + " has no key of 40 characters (Z85)", kUnchanged,
          "make one: peaknetctl keygen FILE"};
}

Status write_file(const std::string& file, mode_t mode, const std::string& text) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0 && errno == EEXIST)
    return Error{"curve.exists", file + " is there already", "it was not touched", "choose another name"};
  const int cause = fd < 0 ? errno : write_all(fd, std::as_bytes(std::span(text)));
  if (fd >= 0) ::close(fd);
  if (cause == 0) return {};
  return Error{"curve.cannot-write", "cannot write " + file + ": " + std::strerror(cause), "no key was made",
               "choose another folder"};
}

}  // namespace

bool is_key(const std::string& text) {
  std::array<std::uint8_t, 32> bytes{};
  return text.size() == kKeyCharacters && text.find(' ') == std::string::npos &&
         zmq_z85_decode(bytes.data(), text.c_str()) != nullptr;
}

Result<CurveKey> read_secret_key(const std::string& file) {
  const auto text = read_guarded(file, 0077, "read");
  if (!text) return text.error();
  CurveKey key;
  key.secret = text->substr(0, text->find_first_of("\r\n"));
  std::array<char, kKeyCharacters + 1> public_key{};
  if (!is_key(key.secret) || zmq_curve_public(public_key.data(), key.secret.c_str()) != 0) return bad_key(file);
  key.public_key = public_key.data();
  return key;
}

Result<CurveClients> read_clients(const std::string& file) {
  const auto text = read_guarded(file, 0022, "write");
  if (!text) return text.error();
  CurveClients clients;
  std::istringstream lines(*text);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line);  // Z85 uses '#': a comment is a line of its own
    std::string key;
    CurveClient client;
    std::string right;
    if (!(words >> key) || (key.starts_with('#') && !is_key(key))) continue;
    words >> client.name >> right;
    if (!is_key(key) || !is_plain_name(client.name, 31) || (!right.empty() && right != "read"))
      return bad_key(file + ":" + std::to_string(number) + " (PUBLICKEY NAME [read])");
    client.read_only = right == "read";
    clients.insert_or_assign(key, client);
  }
  if (clients.empty()) {
    return Error{
        "curve.no-clients", file + " names no client", kUnchanged,
        "write a line PUBLICKEY NAME for each who may ask; PUBLICKEY is in the .pub file of peaknetctl keygen"};
  }
  return clients;
}

Result<std::string> make_key(const std::string& file) {
  std::array<char, kKeyCharacters + 1> public_key{};
  std::array<char, kKeyCharacters + 1> secret{};
  if (zmq_curve_keypair(public_key.data(), secret.data()) != 0) {
    return Error{"curve.cannot-write", "this libzmq has no CURVE", "no key was made", "use a libzmq with libsodium"};
  }
  if (auto written = write_file(file, 0400, std::string(secret.data()) + "\n"); !written) return written.error();
  if (auto written = write_file(file + ".pub", 0444, std::string(public_key.data()) + "\n"); !written) {
    ::unlink(file.c_str());
    return written.error();
  }
  return std::string(public_key.data());
}

}  // namespace peaknet::control
