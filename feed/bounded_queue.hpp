// BoundedQueue: from the threads that receive to those that decode. What is full holds the senders back; what is closed
// is emptied and then ends. Any thread may call everything.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

namespace peaknet::feed {

template <class Item>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

  // Waits for room. False, and `item` is untouched, if stopped or closed before.
  bool push(Item& item, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    const bool room = room_.wait(lock, stop, [&] { return closed_ || items_.size() < capacity_; });
    if (!room || closed_) return false;
    items_.push_back(std::move(item));
    lock.unlock();
    more_.notify_one();
    return true;
  }

  // Waits for an item. nullopt: closed and empty.
  std::optional<Item> pop() {
    std::unique_lock lock(mutex_);
    more_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) return std::nullopt;
    std::optional<Item> item(std::move(items_.front()));
    items_.pop_front();
    lock.unlock();
    room_.notify_one();
    return item;
  }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    more_.notify_all();
    room_.notify_all();
  }

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable_any room_;
  std::condition_variable more_;
  std::deque<Item> items_;
  bool closed_ = false;
};

}  // namespace peaknet::feed
