#include "feed/message_file.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace peaknet::feed {
namespace {

// Read, not mapped: a file that is cut while it is open must not end this process.
Result<std::vector<std::byte>> read_message(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  std::vector<std::byte> bytes;
  if (in) {
    bytes.resize(static_cast<std::size_t>(std::max<std::streamoff>(0, in.tellg())));
    in.seekg(0);
    in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  if (in) return bytes;
  return Error{"input.absent", path + " cannot be read", "no frame was taken from it",
               "is it the right path, and may this user read it?"};
}

}  // namespace

struct MessageReader::Open {
  std::string path;
  std::vector<std::byte> message;
  std::unique_ptr<FrameSource> frames;
};

MessageReader::MessageReader(std::unique_ptr<Decoder> decoder) : decoder_(std::move(decoder)) {}
MessageReader::~MessageReader() = default;

Result<FrameSource*> MessageReader::frames_of(const std::string& path, const shm::Geometry& geometry) {
  if (open_ && open_->path == path && open_->frames->geometry().same_frames(geometry)) return open_->frames.get();
  open_.reset();
  auto message = read_message(path);
  if (!message) return message.error();
  auto now = std::make_unique<Open>(Open{path, std::move(*message), nullptr});
  auto frames = decoder_->open(now->message, geometry);
  if (!frames) {
    Error error = frames.error();
    error.what = path + ": " + error.what;
    return error;
  }
  now->frames = std::move(*frames);
  open_ = std::move(now);
  return open_->frames.get();
}

Result<std::unique_ptr<MessageFileSource>> MessageFileSource::open(const InputFile& file, const shm::Geometry& geometry,
                                                                   std::shared_ptr<MessageReader> reader) {
  const auto frames = reader->frames_of(file.path, geometry);
  if (!frames) return frames.error();
  const std::uint64_t size = (*frames)->size();
  return std::unique_ptr<MessageFileSource>(new MessageFileSource(file, geometry, std::move(reader), size));
}

Result<Filled> MessageFileSource::fill(std::uint64_t index, SlotView slot) {
  const auto frames = reader_->frames_of(file_.path, geometry_);
  if (!frames) return frames.error();
  if (index >= (*frames)->size()) {
    return Error{"input.changed", file_.path + " has fewer frames than when it was opened",
                 "no frame was taken from it", "leave the files alone while they are replayed"};
  }
  auto filled = (*frames)->fill(index, slot);
  if (filled) filled->received_ns = file_.received_ns;
  return filled;
}

bool begins_as_message(const std::string& path) {
  std::array<char, 16> begin{};
  std::ifstream in(path, std::ios::binary);
  in.read(begin.data(), begin.size());
  const auto bytes =
      std::as_bytes(std::span(begin)).first(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  const Dialect dialect = dialect_of(bytes);
  return dialect != Dialect::unknown && dialect != Dialect::hdf5;
}

}  // namespace peaknet::feed
