#include "daemon/model/row_crew.hpp"

namespace peaknet::model {

RowCrew::RowCrew(unsigned helpers) {
  try {
    for (unsigned i = 0; i < helpers; ++i) helpers_.emplace_back([this] { help(); });
  } catch (...) {
    end();
    throw;
  }
}

RowCrew::~RowCrew() { end(); }

void RowCrew::end() {
  {
    const std::lock_guard hold(mutex_);
    ending_ = true;
  }
  offered_.notify_all();
  for (auto& helper : helpers_) helper.join();
}

void RowCrew::run(std::size_t parts, const std::function<void(std::size_t)>& work) {
  std::unique_lock hold(mutex_);
  work_ = &work;
  parts_ = parts;
  next_ = done_ = 0;
  for (std::size_t i = 1; i < parts && i <= helpers_.size(); ++i) offered_.notify_one();
  take(hold);
  finished_.wait(hold, [this] { return done_ == parts_; });
}

void RowCrew::take(std::unique_lock<std::mutex>& hold) {
  while (next_ < parts_) {
    const std::size_t part = next_++;
    hold.unlock();
    (*work_)(part);
    hold.lock();
    if (++done_ == parts_) finished_.notify_one();
  }
}

void RowCrew::help() {
  std::unique_lock hold(mutex_);
  for (;;) {
    offered_.wait(hold, [this] { return ending_ || next_ < parts_; });
    if (ending_) return;
    take(hold);
  }
}

}  // namespace peaknet::model
