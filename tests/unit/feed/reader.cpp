#include "tests/unit/feed/reader.hpp"

#include <unistd.h>

#include <filesystem>
#include <limits>
#include <stdexcept>

namespace peaknet::test {

Reader::Reader(const TestInstance& instance)
    : q1_(instance.consumer(shm::Queue::q1)), q2_(instance.consumer(shm::Queue::q2)) {}

std::vector<Arrived> Reader::take() {
  std::vector<Arrived> arrived;
  for (;;) {
    auto taken = q1_->take(64);
    if (!taken.refused.empty()) throw std::runtime_error(taken.refused.front().text());
    if (taken.frames.empty()) return arrived;
    for (auto& frame : taken.frames) {
      const auto image = frame.image();
      arrived.push_back({frame.descriptor(), {image.begin(), image.end()}});
      must(frame.publish(shm::ResultStatus::mask));
    }
    for (auto& frame : q2_->take(64).frames) must(frame.finish(shm::Counter::written));
  }
}

namespace {
struct Slot {
  explicit Slot(const shm::Geometry& geometry) : image(geometry.image_bytes(), std::byte{0xaa}) {
    info.photon_energy_ev = std::numeric_limits<double>::quiet_NaN();
    info.pixel_type = static_cast<std::uint32_t>(geometry.pixel_type);
    info.panels = geometry.panels;
    info.height = info.original_height = geometry.height;
    info.width = info.original_width = geometry.width;
  }
  shm::FrameDescriptor info;
  std::vector<std::byte> image;
};
}  // namespace

Arrived fill(feed::FrameSource& source, std::uint64_t index) {
  Slot slot(source.geometry());
  must(source.fill(index, {slot.image, slot.info}));
  must(slot.info.check(source.geometry()));
  return {slot.info, std::move(slot.image)};
}

Error fill_error(feed::FrameSource& source, std::uint64_t index) {
  Slot slot(source.geometry());
  const auto filled = source.fill(index, {slot.image, slot.info});
  if (filled) throw std::runtime_error("the frame was not refused");
  return filled.error();
}

std::string temporary_file(const std::string& name) {
  struct Folder {
    Folder() : path(std::filesystem::temp_directory_path() / ("peaknet-feed-test." + std::to_string(getpid()))) {
      std::filesystem::create_directories(path);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
  };
  static const Folder folder;
  return (folder.path / name).string();
}

}  // namespace peaknet::test
