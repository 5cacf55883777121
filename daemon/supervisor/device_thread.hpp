// DeviceThread: the one thread that owns a device; it does what it is given, in that order.
//
// Threads: run() from any; the destructor waits for what was given, so one whose thread stands still in a call is not
// destroyed but left behind.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace peaknet::supervisor {

class DeviceThread {
 public:
  DeviceThread() : thread_([this](const std::stop_token& stop) { serve(stop); }) {}
  DeviceThread(const DeviceThread&) = delete;
  DeviceThread& operator=(const DeviceThread&) = delete;
  ~DeviceThread() = default;

  template <class Answer>
  std::future<Answer> run(std::function<Answer()> work) {
    auto task = std::make_shared<std::packaged_task<Answer()>>(std::move(work));
    auto answer = task->get_future();
    {
      const std::lock_guard hold(mutex_);
      tasks_.push_back([task] { (*task)(); });
    }
    changed_.notify_one();
    return answer;
  }

 private:
  void serve(const std::stop_token& stop) {
    std::unique_lock hold(mutex_);
    while (changed_.wait(hold, stop, [&] { return !tasks_.empty(); })) {
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      hold.unlock();
      task();
      task = nullptr;  // here what it holds may go: this thread owns it
      hold.lock();
    }
  }

  std::mutex mutex_;  // tasks_
  std::condition_variable_any changed_;
  std::deque<std::function<void()>> tasks_;
  std::jthread thread_;  // last: it ends before what it uses
};

}  // namespace peaknet::supervisor
