#include "writer/preview/png_file.hpp"

#include <fcntl.h>
#include <png.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>

namespace peaknet::writer {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

Error refused(const std::string& path, const char* step, int error) {
  return {.id = "preview.write",
          .what = "cannot write the picture " + path + ": " + step + ": " + std::generic_category().message(error),
          .untouched = "a picture of that name, if there is one, is as it was",
          .remedy = "a folder that exists, is writable and has free space"};
}

Status write_part(const RgbImage& picture, const std::string& path, const std::string& part) {
  const int descriptor = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return refused(path, "open", errno);
  File file(::fdopen(descriptor, "wb"));
  if (!file) {
    const int error = errno;
    ::close(descriptor);
    return refused(path, "fdopen", error);
  }
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = picture.width();
  image.height = picture.height();
  image.format = PNG_FORMAT_RGB;
  errno = 0;
  if (png_image_write_to_stdio(&image, file.get(), 0, picture.bytes(), 0, nullptr) == 0) {
    if (std::ferror(file.get()) != 0) return refused(path, "write", errno);
    return Error{.id = "preview.encode",
                 .what = "cannot make a PNG of " + std::to_string(picture.width()) + " x " +
                         std::to_string(picture.height()) + " pixels for " + path + ": " + image.message,
                 .untouched = "a picture of that name, if there is one, is as it was",
                 .remedy = "a smaller picture"};
  }
  if (std::fflush(file.get()) != 0) return refused(path, "write", errno);
  if (::fsync(::fileno(file.get())) != 0) return refused(path, "fsync", errno);
  if (std::fclose(file.release()) != 0) return refused(path, "close", errno);
  if (::rename(part.c_str(), path.c_str()) != 0) return refused(path, "rename", errno);
  return {};
}

}  // namespace

Status write_png(const RgbImage& picture, const std::string& path) {
  const std::string part = path + ".part";
  Status status = write_part(picture, path, part);
  if (!status.ok()) ::unlink(part.c_str());
  return status;
}

}  // namespace peaknet::writer
