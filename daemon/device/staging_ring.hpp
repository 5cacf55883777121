// StagingRing: how images reach a device that cannot read the slots: through a few pieces of memory that it can read
// (pinned). The processor fills a piece, the device takes it from there, and meanwhile the next one is filled.
//
// Nobody waits: filling is work of a stream of its own, the staging stream, and events order the two streams:
//
//   staging   wait sent[k] | fill piece k | record filled[k]
//   upload                                                   wait filled[k] | send piece k | record sent[k]
//
// So a piece is filled again only after the device took what was in it, and what follows on the upload stream finds the
// whole run in the lane. No CUDA in here: the streams are a device's (StagingStreams), the tests' too. Used by the
// worker's thread, which owns the device.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "daemon/device/device.hpp"

namespace peaknet::device {

// What a device does for a StagingRing. All of it is put on streams and returns at once.
class StagingStreams {
 public:
  virtual ~StagingStreams() = default;
  // On the staging stream, by the processor: pack(images, piece).
  virtual void fill(std::byte* piece, const ImageRun& images) = 0;
  // On the upload stream: `count` images of `bytes` each, which lie densely in the piece, to the device's memory.
  virtual void send(const std::byte* piece, std::size_t bytes, std::uint32_t count, std::byte* to,
                    std::size_t to_stride) = 0;
  virtual void record_filled(std::uint32_t piece) = 0;      // on the staging stream
  virtual void wait_until_filled(std::uint32_t piece) = 0;  // on the upload stream
  virtual void record_sent(std::uint32_t piece) = 0;        // on the upload stream
  virtual void wait_until_sent(std::uint32_t piece) = 0;    // on the staging stream
};

class StagingRing {
 public:
  // `pinned` is cut into so many pieces of equal size, of at least a byte. It outlives what is put on the streams.
  StagingRing(std::span<std::byte> pinned, std::uint32_t pieces)
      : pinned_(pinned), pieces_(pieces), piece_bytes_(pinned.size() / pieces) {}

  // As Device::upload; an image that is larger than a piece goes in parts.
  Uploaded upload(StagingStreams& streams, const ImageRun& images, std::byte* lane, std::size_t lane_stride) {
    Uploaded uploaded{{lane, images.bytes, lane_stride, images.count}, 0};
    if (images.bytes > piece_bytes_) {
      for (std::uint32_t i = 0; i < images.count; ++i) {
        for (std::size_t at = 0; at < images.bytes; at += piece_bytes_) {
          const std::size_t part = std::min(piece_bytes_, images.bytes - at);
          pass(streams, {images.image(i) + at, part, part, 1}, lane + i * lane_stride + at, part);
          ++uploaded.transfers;
        }
      }
      return uploaded;
    }
    const auto at_once = static_cast<std::uint32_t>(piece_bytes_ / std::max<std::size_t>(1, images.bytes));
    for (std::uint32_t i = 0; i < images.count; i += at_once) {
      const std::uint32_t some = std::min(at_once, images.count - i);
      pass(streams, {images.image(i), images.bytes, images.stride, some}, lane + i * lane_stride, lane_stride);
      ++uploaded.transfers;
    }
    return uploaded;
  }

  // What fill() has to do: the images one behind the other.
  static void pack(const ImageRun& images, std::byte* piece) {
    for (std::uint32_t i = 0; i < images.count; ++i)
      std::memcpy(piece + i * images.bytes, images.image(i), images.bytes);
  }

 private:
  void pass(StagingStreams& streams, const ImageRun& images, std::byte* to, std::size_t to_stride) {
    const std::uint32_t piece = std::exchange(next_, (next_ + 1) % pieces_);
    std::byte* const memory = pinned_.data() + piece * piece_bytes_;
    if (passes_ >= pieces_) streams.wait_until_sent(piece);
    ++passes_;
    streams.fill(memory, images);
    streams.record_filled(piece);
    streams.wait_until_filled(piece);
    streams.send(memory, images.bytes, images.count, to, to_stride);
    streams.record_sent(piece);
  }

  std::span<std::byte> pinned_;
  std::uint32_t pieces_;
  std::size_t piece_bytes_;
  std::uint32_t next_ = 0;
  std::uint64_t passes_ = 0;
};

}  // namespace peaknet::device
