#include "writer/image_packer.hpp"

#include <algorithm>
#include <utility>

#include "cxi/compression.hpp"

namespace peaknet::writer {

struct ImagePacker::State {
  FrameToStore frame;
  BitshuffleLz4 image, segmentation;  // keep the chunks
  StoredBytes packed;
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

StoredBytes ImagePacker::Job::result() const {
  state_->wait();
  return state_->packed;
}

ImagePacker::ImagePacker(unsigned threads) {
  for (unsigned i = 0; i < std::max(1U, threads); ++i)
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

ImagePacker::~ImagePacker() = default;

ImagePacker::Job ImagePacker::submit(const FrameToStore& frame) {
  std::shared_ptr<State> state;
  // One that only we hold has no job any more.
  const auto idle = std::find_if(used_.begin(), used_.end(), [](const auto& one) { return one.use_count() == 1; });
  if (idle != used_.end()) {
    state = *idle;
  } else {
    state = used_.emplace_back(std::make_shared<State>());
  }
  state->frame = frame;
  state->done = false;
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(state);
  }
  wake_.notify_one();
  return Job(std::move(state));
}

void ImagePacker::work(const std::stop_token& stop) {
  StoredForm form;
  while (true) {
    std::shared_ptr<State> state;
    {
      std::unique_lock lock(mutex_);
      if (!wake_.wait(lock, stop, [&] { return !waiting_.empty(); })) return;
      state = std::move(waiting_.front());
      waiting_.pop_front();
    }
    const StoredBytes plain = form.make(state->frame);
    state->packed = {};
    if (!plain.image.empty()) state->packed.image = state->image.compress(plain.image, state->frame.pixel_bytes);
    if (!plain.segmentation.empty()) state->packed.segmentation = state->segmentation.compress(plain.segmentation, 1);
    {
      const std::lock_guard lock(state->mutex);
      state->done = true;
      state->changed.notify_all();  // under the lock: the waiter may take the state for another image at once
    }
  }
}

}  // namespace peaknet::writer
