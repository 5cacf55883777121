// ImagePacker: the bytes of images and masks as they shall lie in a file, made by threads of its own: panels put in
// their places, then bitshuffle + LZ4. HDF5 is not used here, so its lock holds nobody up, and the threads work while
// the writer waits for the disk.
//
// submit() and the jobs belong to one thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "writer/stored_form.hpp"

namespace peaknet::writer {

class ImagePacker {
  struct State;

 public:
  explicit ImagePacker(unsigned threads);
  ~ImagePacker();  // the jobs must be gone
  ImagePacker(const ImagePacker&) = delete;
  ImagePacker& operator=(const ImagePacker&) = delete;

  // One frame at work. It is waited for where the job goes, so that nobody reads pixels that are somebody else's by
  // then.
  class Job {
   public:
    Job() = default;
    Job(Job&&) noexcept = default;
    Job& operator=(Job&& other) noexcept;
    ~Job();
    explicit operator bool() const { return state_ != nullptr; }
    // Waits until it is done. Valid as long as the job.
    StoredBytes result() const;

   private:
    friend class ImagePacker;
    explicit Job(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };
  Job submit(const FrameToStore& frame);

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
