#include "tests/unit/daemon/device/test_device.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/pixel_type.hpp"

namespace peaknet::device::test {
namespace {

using Kind = HappensBefore::Kind;

constexpr std::byte kRubbish{0xee};  // what memory holds that nobody has written, or that a broken device wrote

class TestMemory final : public Memory {
 public:
  TestMemory(std::size_t bytes, std::shared_ptr<HappensBefore> order)
      : order_(std::move(order)), bytes_(bytes, kRubbish) {}
  TestMemory(const TestMemory&) = delete;
  TestMemory& operator=(const TestMemory&) = delete;
  ~TestMemory() override { order_->forget(bytes_.data(), bytes_.size(), "freeing a lane"); }
  std::byte* address() const override { return const_cast<std::byte*>(bytes_.data()); }

 private:
  std::shared_ptr<HappensBefore> order_;
  std::vector<std::byte> bytes_;
};

}  // namespace

std::optional<Error> TestDeviceHandle::error_for(std::uint32_t rows) {
  if (rows > most_rows) {
    return Error{"device.no-memory",
                 std::to_string(rows) + " rows at once are too many, there is room for " + std::to_string(most_rows),
                 "", ""};
  }
  if (failing_runs == 0) return std::nullopt;
  --failing_runs;
  return Error{"device.transient", "a run fails that would have worked a moment later", "", ""};
}

TestDevice::TestDevice(std::string name, unsigned seed, std::shared_ptr<TestDeviceHandle> handle,
                       std::shared_ptr<HappensBefore> order)
    : name_(std::move(name)), random_(seed), handle_(std::move(handle)), order_(std::move(order)) {
  constexpr std::array<const char*, kAllStreams> kNames = {"upload", "compute", "download", "staging"};
  for (std::size_t i = 0; i < actors_.size(); ++i) actors_[i] = order_->add(name_ + "'s " + kNames[i] + " stream");
  handle_->device = this;
  if (!handle_->staged) return;
  // Smaller than most images, larger than some: both ways through the ring.
  constexpr std::size_t kPiece = 2000;
  pinned_ = std::make_unique<TestMemory>(kPieces * kPiece, order_);
  ring_.emplace(std::span(pinned_->address(), kPieces * kPiece), kPieces);
  for (auto* events : {&filled_, &sent_}) {
    for (Event& event : *events) event = make_event();
  }
}

TestDevice::~TestDevice() {
  while (step()) {  // as the other devices do; what it touches had better be there still
  }
  if (!empty()) order_->complain(name_ + " was destroyed with work on its streams");
  handle_->device = nullptr;
}

bool TestDevice::empty() const {
  return std::all_of(streams_.begin(), streams_.end(), [](const auto& stream) { return stream.empty(); });
}

void TestDevice::push(Stream stream, Operation operation) {
  order_->learn(actor(stream), order_->step(HappensBefore::kHost));
  operation.when = order_->step(actor(stream));
  streams_[static_cast<std::size_t>(stream)].push_back(std::move(operation));
}

void TestDevice::touch(Stream stream, const Clock& when, Kind kind, const void* begin, std::size_t bytes,
                       const std::string& what) {
  order_->access(actor(stream), when, kind, begin, bytes, what);
}

std::vector<std::size_t> TestDevice::able() const {
  std::vector<std::size_t> able;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (streams_[i].empty() || stuck_ == i) continue;
    const auto& ready = streams_[i].front().ready;
    if (!ready || ready()) able.push_back(i);
  }
  return able;
}

bool TestDevice::step() {
  const auto choice = able();
  if (choice.empty()) return false;
  auto& stream = streams_[choice[number(static_cast<std::uint32_t>(choice.size()))]];
  const Operation operation = std::move(stream.front());
  stream.pop_front();
  // After a breakdown some of the work is still done, with whatever is in memory, and some is not.
  if (!broken_ || operation.harmless || number(2) == 0) operation.run(operation.when);
  return true;
}

void TestDevice::stick(bool stubborn) {
  stuck_ = number(kStreams);
  stubborn_ = stubborn;
}

void TestDevice::break_down() { broken_ = true; }

Status TestDevice::adopt_payload(std::span<std::byte> /*payload*/, std::size_t /*slot_bytes*/) { return health(); }

Result<std::unique_ptr<Memory>> TestDevice::reserve(std::size_t bytes) {
  if (bytes > handle_->most_bytes) {
    return Error{"device.no-memory", name_ + " has no " + std::to_string(bytes) + " bytes for a lane",
                 "no lane was changed", ""};
  }
  return std::unique_ptr<Memory>(new TestMemory(bytes, order_));
}

Event TestDevice::make_event(bool /*timed*/) {
  marks_.emplace_back();
  return static_cast<Event>(marks_.size() - 1);
}

void TestDevice::record(Event event, Stream stream) {
  Mark& mark = marks_[event];
  push(stream, {.ready = {},
                .run = [&mark, generation = ++mark.recorded](
                           const Clock&) { mark.reached = std::max(mark.reached, generation); },
                .when = {},
                .harmless = true});
  mark.clock = order_->clock(actor(stream));
}

void TestDevice::wait(Stream stream, Event event) {
  Mark& mark = marks_[event];
  order_->learn(actor(stream), mark.clock);
  push(stream, {.ready = [&mark, generation = mark.recorded] { return mark.reached >= generation; },
                .run = [](const Clock&) {},
                .when = {},
                .harmless = true});
}

bool TestDevice::done(Event event) {
  const Mark& mark = marks_[event];
  if (broken_) return number(2) == 0;  // what an event says then means nothing
  if (mark.reached < mark.recorded) return false;
  order_->learn(HappensBefore::kHost, mark.clock);
  return true;
}

void TestDevice::on_done(Event /*event*/, Stream stream, std::function<void()> notify) {
  push(stream,
       {.ready = {}, .run = [notify = std::move(notify)](const Clock&) { notify(); }, .when = {}, .harmless = true});
}

void TestDevice::fill(std::byte* piece, const ImageRun& images) {
  const std::string what = "filling a piece " + std::to_string(operations_++);
  push(kStagingStream, {.ready = {},
                        .run =
                            [this, piece, images, what](const Clock& when) {
                              for (std::uint32_t i = 0; i < images.count; ++i)
                                touch(kStagingStream, when, Kind::read, images.image(i), images.bytes, what);
                              touch(kStagingStream, when, Kind::write, piece, images.count * images.bytes, what);
                              StagingRing::pack(images, piece);
                            },
                        .when = {}});
}

void TestDevice::send(const std::byte* piece, std::size_t bytes, std::uint32_t count, std::byte* to,
                      std::size_t to_stride) {
  const std::string what = "sending a piece " + std::to_string(operations_++);
  push(Stream::upload, {.ready = {},
                        .run =
                            [=, this](const Clock& when) {
                              touch(Stream::upload, when, Kind::read, piece, count * bytes, what);
                              for (std::uint32_t i = 0; i < count; ++i) {
                                touch(Stream::upload, when, Kind::write, to + i * to_stride, bytes, what);
                                std::memcpy(to + i * to_stride, piece + i * bytes, bytes);
                              }
                            },
                        .when = {}});
}

Uploaded TestDevice::upload(const ImageRun& images, std::byte* lane, std::size_t lane_stride) {
  if (ring_) return ring_->upload(*this, images, lane, lane_stride);
  const std::string what = "upload " + std::to_string(operations_++);
  push(Stream::upload, {.ready = {},
                        .run =
                            [this, images, lane, lane_stride, what](const Clock& when) {
                              for (std::uint32_t i = 0; i < images.count; ++i) {
                                touch(Stream::upload, when, Kind::read, images.image(i), images.bytes, what);
                                touch(Stream::upload, when, Kind::write, lane + i * lane_stride, images.bytes, what);
                                std::memcpy(lane + i * lane_stride, images.image(i), images.bytes);
                              }
                            },
                        .when = {}});
  return {{lane, images.bytes, lane_stride, images.count}, 1};
}

std::uint64_t* TestDevice::result_place(std::span<std::uint64_t> /*slot*/, std::uint64_t* lane) { return lane; }

void TestDevice::download(const std::uint64_t* place, std::span<std::uint64_t> slot) {
  const std::string what = "download " + std::to_string(operations_++);
  push(Stream::download, {.ready = {},
                          .run =
                              [this, place, slot, what](const Clock& when) {
                                touch(Stream::download, when, Kind::read, place, slot.size_bytes(), what);
                                touch(Stream::download, when, Kind::write, slot.data(), slot.size_bytes(), what);
                                if (broken_) {
                                  std::memset(slot.data(), static_cast<int>(kRubbish), slot.size_bytes());
                                } else {
                                  std::memcpy(slot.data(), place, slot.size_bytes());
                                }
                              },
                          .when = {}});
}

void TestDevice::compute(std::function<void(void*)> work) {
  push(Stream::compute, {.ready = {},
                         .run =
                             [this, work = std::move(work)](const Clock& when) {
                               running_ = &when;
                               work(nullptr);
                               running_ = nullptr;
                             },
                         .when = {}});
}

bool TestDevice::idle_within(std::chrono::nanoseconds /*at_most*/) {
  while (step()) {
  }
  waited_in_vain_ = !empty();  // no time passes here: who waits longer waits for ever
  if (!waited_in_vain_)
    for (const auto actor : actors_) order_->learn(HappensBefore::kHost, order_->clock(actor));
  return true;
}

Status TestDevice::health() {
  if (waited_in_vain_) return Error{"device.stuck", name_ + " does not go on", "", ""};
  if (!broken_) return {};
  return Error{"device.lost", name_ + " broke down on demand", "its frames go back to Q1", ""};
}

bool TestDevice::release(std::chrono::nanoseconds /*at_most*/) {
  if (stuck_ && stubborn_) return false;
  if (stuck_) {
    for (auto& stream : streams_) stream.clear();
    stuck_.reset();
  }
  while (step()) {
  }
  broken_ = false;  // what takes the model down still has to run
  for (const auto actor : actors_) order_->learn(HappensBefore::kHost, order_->clock(actor));
  return empty();
}

void TestDevice::WatchedKernels::before(const kernels::FrameLayout& layout, const std::byte* const* events,
                                        std::uint32_t count, const kernels::TensorView& input,
                                        std::uint64_t* const* odd, void* stream) {
  const std::size_t bytes =
      std::size_t{layout.panels} * layout.height * layout.width * size_of(static_cast<PixelType>(layout.pixel_type));
  for (std::uint32_t i = 0; i < count; ++i)
    device_.touch(Stream::compute, *device_.running_, Kind::read, events[i], bytes, "before");
  for (std::uint32_t i = 0; odd != nullptr && i < count; ++i)
    device_.touch(Stream::compute, *device_.running_, Kind::write, odd[i], 8, "before");
  const auto rows = std::size_t{count} * layout.panels;
  device_.touch(Stream::compute, *device_.running_, Kind::write, input.data,
                rows * static_cast<std::size_t>(input.strides[0] * size_of(input.element)), "before");
  inner_.before(layout, events, count, input, odd, stream);
}

void TestDevice::WatchedKernels::after(const kernels::FrameLayout& layout, const kernels::TensorView& logits,
                                       std::uint64_t* const* masks, std::uint64_t* const* not_finite,
                                       std::uint32_t count, void* stream) {
  for (std::uint32_t i = 0; i < count; ++i) {
    device_.touch(Stream::compute, *device_.running_, Kind::write, masks[i], layout.mask_words() * 8, "after");
    if (not_finite != nullptr)
      device_.touch(Stream::compute, *device_.running_, Kind::write, not_finite[i], 8, "after");
  }
  inner_.after(layout, logits, masks, not_finite, count, stream);
}

}  // namespace peaknet::device::test
