#include "cxi/stored_image.hpp"

#include <utility>

#include "cxi/checksum.hpp"

namespace peaknet::writer {

Result<std::vector<std::byte>> StoredImages::read(const PosixFile& file, const FileFacts& facts,
                                                  const StoredEvent& stored) {
  const std::string where = file.path().string() + ", " + describe(stored.event.key);
  if (!stored.image) {
    return Error{"image.absent", where + " has no image", "", "set output.images to hits"};
  }
  const auto damaged = [&](const std::string& how) {
    return Error{"image.damaged", "the image of " + where + " " + how, "the file was not touched",
                 "look at the disk; peaknetctl audit names what is damaged"};
  };
  if (facts.filter == Filter::none && stored.image->size != facts.image_bytes())
    return damaged("has " + std::to_string(stored.image->size) + " bytes, not " + std::to_string(facts.image_bytes()));
  const auto size = file.size();
  if (!size) return size.error();
  if (stored.image->size > *size || stored.image->address > *size - stored.image->size)
    return damaged("lies beyond the end of the file");
  std::vector<std::byte> chunk(stored.image->size);
  if (auto read = file.read_at(stored.image->address, chunk); !read) return read.error();
  if (checksum(chunk) != stored.image->checksum) return damaged("is not what was written");
  if (facts.filter == Filter::none) return chunk;
  std::vector<std::byte> pixels(facts.image_bytes());
  if (auto unpacked = codec_.decompress(chunk, size_of(facts.pixel_type), pixels); !unpacked) return unpacked.error();
  return pixels;
}

}  // namespace peaknet::writer
