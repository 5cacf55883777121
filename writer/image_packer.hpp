// ImagePacker: the bytes of images as they shall lie in a file, made by threads of its own: panels put in their places,
// then bitshuffle + LZ4. HDF5 is not used here, so its lock holds nobody up, and the threads work while the writer
// waits for the disk.
//
// submit() and the jobs belong to one thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "writer/cxi/slab.hpp"

namespace peaknet::writer {

// A frame's pixels and what they are to become. All of it must stay as it is until the job is done or gone.
struct ImageToPack {
  std::span<const std::byte> pixels;
  std::uint32_t height = 0;  // of a panel
  std::uint32_t width = 0;
  std::size_t pixel_bytes = 0;
  const SlabLayout* slab = nullptr;  // without places: panels are stacked, as they are in memory
};

class ImagePacker {
  struct State;

 public:
  explicit ImagePacker(unsigned threads);
  ~ImagePacker();  // the jobs must be gone
  ImagePacker(const ImagePacker&) = delete;
  ImagePacker& operator=(const ImagePacker&) = delete;

  // One image at work. It is waited for where the job goes, so that nobody reads pixels that are somebody else's by
  // then.
  class Job {
   public:
    Job() = default;
    Job(Job&&) noexcept = default;
    Job& operator=(Job&& other) noexcept;
    ~Job();
    explicit operator bool() const { return state_ != nullptr; }
    // Waits until it is done. Valid as long as the job.
    std::span<const std::byte> chunk() const;

   private:
    friend class ImagePacker;
    explicit Job(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };
  Job submit(const ImageToPack& image);

  unsigned threads() const { return static_cast<unsigned>(threads_.size()); }

 private:
  void work(const std::stop_token& stop);
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::shared_ptr<State>> waiting_;
  std::vector<std::shared_ptr<State>> used_;  // their buffers are taken again
  std::vector<std::jthread> threads_;         // last: ended before what they use
};

}  // namespace peaknet::writer
