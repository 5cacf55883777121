#include "writer/image_packer.hpp"

#include <algorithm>
#include <utility>

#include "writer/cxi/compression.hpp"

namespace peaknet::writer {

struct ImagePacker::State {
  ImageToPack image;
  BitshuffleLz4 codec;  // keeps the chunk
  std::span<const std::byte> chunk;
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;

  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done; });
  }
};

ImagePacker::Job& ImagePacker::Job::operator=(Job&& other) noexcept {
  if (state_ != nullptr && state_ != other.state_) state_->wait();
  state_ = std::move(other.state_);
  return *this;
}

ImagePacker::Job::~Job() {
  if (state_ != nullptr) state_->wait();
}

std::span<const std::byte> ImagePacker::Job::chunk() const {
  state_->wait();
  return state_->chunk;
}

ImagePacker::ImagePacker(unsigned threads) {
  for (unsigned i = 0; i < std::max(1U, threads); ++i)
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

ImagePacker::~ImagePacker() = default;

ImagePacker::Job ImagePacker::submit(const ImageToPack& image) {
  std::shared_ptr<State> state;
  // One that only we hold has no job any more.
  const auto idle = std::find_if(used_.begin(), used_.end(), [](const auto& one) { return one.use_count() == 1; });
  if (idle != used_.end()) {
    state = *idle;
  } else {
    state = used_.emplace_back(std::make_shared<State>());
  }
  state->image = image;
  state->done = false;
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(state);
  }
  wake_.notify_one();
  return Job(std::move(state));
}

void ImagePacker::work(const std::stop_token& stop) {
  std::vector<std::byte> placed;
  SlabLayout placed_for;
  while (true) {
    std::shared_ptr<State> state;
    {
      std::unique_lock lock(mutex_);
      if (!wake_.wait(lock, stop, [&] { return !waiting_.empty(); })) return;
      state = std::move(waiting_.front());
      waiting_.pop_front();
    }
    const ImageToPack& image = state->image;
    std::span<const std::byte> pixels = image.pixels;
    if (image.slab != nullptr && !image.slab->places.empty()) {
      const std::size_t bytes = std::size_t{image.slab->height} * image.slab->width * image.pixel_bytes;
      if (placed.size() != bytes || placed_for != *image.slab) {
        placed.assign(bytes, std::byte{0});  // between the panels it stays 0
        placed_for = *image.slab;
      }
      fill_slab(*image.slab, image.height, image.width, image.pixel_bytes, pixels, placed);
      pixels = placed;
    }
    state->chunk = state->codec.compress(pixels, image.pixel_bytes);
    {
      const std::lock_guard lock(state->mutex);
      state->done = true;
      state->changed.notify_all();  // under the lock: the waiter may take the state for another image at once
    }
  }
}

}  // namespace peaknet::writer
