#include "writer/index_thread.hpp"

#include <algorithm>
#include <utility>

#include "base/log_line.hpp"

namespace peaknet::writer {
namespace {

constexpr std::chrono::seconds kListsEvery{1};
constexpr std::chrono::seconds kFirstRetry{10}, kLongestRetry{600};

}  // namespace

IndexThread::IndexThread(std::filesystem::path folder, const std::string& prefix)
    : index_(std::move(folder), prefix), thread_([this](const std::stop_token& stop) { work(stop); }) {}

void IndexThread::file_finished(const std::filesystem::path& path) {
  {
    const std::lock_guard lock(mutex_);
    finished_.push_back(path);
  }
  wake_.notify_one();
}

void IndexThread::make_all() {
  std::unique_lock lock(mutex_);
  const auto mine = ++all_asked_;
  wake_.notify_one();
  made_.wait(lock, [&] { return all_made_ >= mine; });
}

void IndexThread::work(const std::stop_token& stop) {
  say(index_.update_all());
  std::unique_lock lock(mutex_);
  while (true) {
    wait_for_work(lock, stop);
    if (stop.stop_requested()) return;
    const auto files = std::exchange(finished_, {});
    const auto asked = all_asked_;
    const bool all = asked != all_made_;
    lock.unlock();

    const auto now = RunIndex::Clock::now();
    auto made = index_.files_finished(files, now);
    lists_at_ = now + kListsEvery;
    if (made) made = all ? index_.make_masters() : index_.make_due_masters(now);
    retry_after_ = made ? std::chrono::seconds(0) : std::clamp(2 * retry_after_, kFirstRetry, kLongestRetry);
    retry_at_ = now + retry_after_;
    say(made);

    lock.lock();
    all_made_ = asked;
    made_.notify_all();
  }
}

// Until lists or masters are to be made, or the end.
void IndexThread::wait_for_work(std::unique_lock<std::mutex>& lock, const std::stop_token& stop) {
  const auto asked = [this] { return all_asked_ != all_made_; };
  const auto something = [&] { return asked() || !finished_.empty(); };
  if (const auto due = index_.next_due()) {
    wake_.wait_until(lock, stop, std::max(*due, retry_at_), something);
  } else {
    wake_.wait(lock, stop, something);
  }
  if (!finished_.empty()) wake_.wait_until(lock, stop, lists_at_, asked);
}

void IndexThread::say(const Status& made) {
  if (made) {
    said_.clear();
  } else if (said_.insert(made.error().text()).second) {
    log::warn("what lies beside the files is not up to date: {}", made.error().text());
  }
}

}  // namespace peaknet::writer
