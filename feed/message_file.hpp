// MessageFileSource: a file that holds one message, as lclstreamer's file handler writes them, as a FrameSource. Of
// many such files one at a time is open, whatever their number: those that share a MessageReader take turns. One thread
// uses all that share one.
#pragma once

#include <memory>
#include <string>

#include "feed/decoders/decoder.hpp"
#include "feed/frame_source.hpp"
#include "feed/input_files.hpp"

namespace peaknet::feed {

// The file that is open, and how messages are read.
class MessageReader {
 public:
  explicit MessageReader(std::unique_ptr<Decoder> decoder);
  ~MessageReader();
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  // The frames of a file; valid until another file is asked for. The file is not read again if it is open already.
  // Errors: input.absent, and those of Decoder::open with the file's name.
  Result<FrameSource*> frames_of(const std::string& path, const shm::Geometry& geometry);

 private:
  struct Open;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<Open> open_;
};

class MessageFileSource : public FrameSource {
 public:
  // Errors: those of MessageReader::frames_of.
  static Result<std::unique_ptr<MessageFileSource>> open(const InputFile& file, const shm::Geometry& geometry,
                                                         std::shared_ptr<MessageReader> reader);

  const shm::Geometry& geometry() const override { return geometry_; }
  std::uint64_t size() const override { return size_; }
  Result<Filled> fill(std::uint64_t index, SlotView slot) override;

 private:
  MessageFileSource(InputFile file, const shm::Geometry& geometry, std::shared_ptr<MessageReader> reader,
                    std::uint64_t size)
      : file_(std::move(file)), geometry_(geometry), reader_(std::move(reader)), size_(size) {}
  InputFile file_;
  shm::Geometry geometry_;
  std::shared_ptr<MessageReader> reader_;
  std::uint64_t size_;
};

// Does the file begin as a message does that is no HDF5 file? (Those are for Hdf5Source as well.)
bool begins_as_message(const std::string& path);

}  // namespace peaknet::feed
