#include "imaging/png_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include "base/process_limits.hpp"

namespace peaknet::imaging {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

Error refused(const std::string& path, const char* step, int error) {
  return {.id = "preview.write",
          .what = "cannot write the picture " + path + ": " + step + ": " + std::generic_category().message(error),
          .untouched = "a picture of that name, if there is one, is as it was",
          .remedy = remedy_for_write(error, "a folder that exists, is writable and has free space")};
}

Status write_part(const Canvas& picture, const std::string& path, const std::string& part) {
  const int descriptor = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return refused(path, "open", errno);
  File file(::fdopen(descriptor, "wb"));
  if (!file) {
    const int error = errno;
    ::close(descriptor);
    return refused(path, "fdopen", error);
  }
  int write_error = 0;
  const Status encoded = picture.encode_png([&](const unsigned char* bytes, unsigned length) {
    if (std::fwrite(bytes, 1, length, file.get()) == length) return true;
    write_error = errno;
    return false;
  });
  if (write_error != 0) return refused(path, "write", write_error);
  if (!encoded) return encoded;
  if (std::fflush(file.get()) != 0) return refused(path, "write", errno);
  if (::fsync(::fileno(file.get())) != 0) return refused(path, "fsync", errno);
  if (std::fclose(file.release()) != 0) return refused(path, "close", errno);
  if (::rename(part.c_str(), path.c_str()) != 0) return refused(path, "rename", errno);
  return {};
}

}  // namespace

Status write_png(const Canvas& picture, const std::string& path) {
  const std::string part = path + ".part";
  Status status = write_part(picture, path, part);
  if (!status.ok()) ::unlink(part.c_str());
  return status;
}

}  // namespace peaknet::imaging
