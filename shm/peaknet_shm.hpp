// The C ABI of peaknet_shm.h for C++20: handles that release themselves, images as spans, errors as exceptions.
//
//   peaknet_shm::Producer producer("mfx", "my detector");
//   while (detector.next()) {
//     auto frame = producer.claim(std::chrono::seconds(1));
//     if (!frame) continue;                     // the pool is full: counted as refused
//     detector.read_into(frame->image());       // or std::ranges::copy into frame->pixels<std::uint16_t>()
//     frame->info().event_id = detector.event();
//     frame->commit();
//   }
//
// Needs peaknet_shm.h and libpeaknet_shm.so, and nothing else of peaknetd. Header only: a program depends on the C ABI
// alone, so a newer library with the same PEAKNET_ABI serves it without a new compilation.
//
// Processes, threads, crashes: as peaknet_shm.h says. An object is used by one thread at a time.
// Errors: what a caller has to expect (a full pool, no result, nothing newer) is an empty std::optional or false; what
// else the library refuses is thrown as Error, with the status, the id and the text of the C ABI; a wrong call (pixels
// of another type, a frame that was committed) as std::logic_error. Destructors throw nothing.
#pragma once

#include <peaknet_shm.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace peaknet_shm {

using Geometry = peaknet_geometry;
using Info = peaknet_info;
using Descriptor = peaknet_descriptor;

// What failed, what was left untouched, what to try, and the id in brackets: what() is peaknet_last_error().
class Error : public std::runtime_error {
 public:
  // Of the last call of this thread that failed.
  explicit Error(peaknet_status status)
      : std::runtime_error(peaknet_last_error()), status_(status), id_(peaknet_last_error_id()) {}
  peaknet_status status() const noexcept { return status_; }  // PEAKNET_E_...
  const std::string& id() const noexcept { return id_; }      // "shm.absent", as in docs/errors.md

 private:
  peaknet_status status_;
  std::string id_;
};

template <class T>
concept Pixel = std::is_same_v<T, std::uint16_t> || std::is_same_v<T, std::int16_t> || std::is_same_v<T, float>;

namespace detail {

inline void check(peaknet_status status) {
  if (status != PEAKNET_OK) throw Error(status);
}

template <Pixel T>
constexpr peaknet_pixel_type pixel_type() {
  if constexpr (std::is_same_v<T, std::uint16_t>) return PEAKNET_UINT16;
  if constexpr (std::is_same_v<T, std::int16_t>) return PEAKNET_INT16;
  return PEAKNET_FLOAT32;
}

template <Pixel T>
void require_type(peaknet_pixel_type type) {
  if (type != pixel_type<T>()) throw std::invalid_argument("the pixels of this pool are of another type");
}

inline std::size_t bytes_of(peaknet_pixel_type type) { return type == PEAKNET_FLOAT32 ? 4 : 2; }

template <auto Function>
struct Release {
  template <class Handle>
  void operator()(Handle* handle) const noexcept {
    Function(handle);
  }
};

template <class Handle, auto Function>
using Owned = std::unique_ptr<Handle, Release<Function>>;

// Image and mask of a frame that has a descriptor.
struct View {
  const Descriptor* descriptor;
  const void* image;
  const std::uint64_t* mask;

  std::size_t pixels() const { return std::size_t{descriptor->panels} * descriptor->height * descriptor->width; }
  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(image), pixels() * bytes_of(descriptor->pixel_type)};
  }
  template <Pixel T>
  std::span<const T> as() const {
    require_type<T>(descriptor->pixel_type);
    return {static_cast<const T*>(image), pixels()};
  }
  std::span<const std::uint64_t> words() const {
    if (mask == nullptr) return {};
    return {mask, std::size_t{descriptor->panels} * descriptor->height * ((descriptor->width + 63) / 64)};
  }
};

}  // namespace detail

// Values of a frame of which nothing is known: what a claimed frame begins with, but for the original size, which is 0.
inline Info unknown_info() {
  Info info;
  peaknet_info_unknown(&info);
  return info;
}

// memcpy for images; see peaknet_copy_image. Precondition: `to` is as large as `from`.
inline void copy_image(std::span<std::byte> to, std::span<const std::byte> from) {
  if (to.size() < from.size()) throw std::invalid_argument("copy_image: the target is smaller than the image");
  detail::check(peaknet_copy_image(to.data(), from.data(), from.size()));
}

// A claimed slot. The destructor abandons it: a frame that was not committed never existed.
class Frame {
 public:
  // Straight in shared memory; it holds what the slot's last frame left there. Not valid after commit().
  std::span<std::byte> image() { return {static_cast<std::byte*>(memory()), geometry_.image_bytes}; }
  // The same as numbers. Throws std::invalid_argument if the pool has pixels of another type.
  template <Pixel T>
  std::span<T> pixels() {
    detail::require_type<T>(geometry_.pixel_type);
    return {static_cast<T*>(memory()), geometry_.image_bytes / sizeof(T)};
  }
  // What the producer knows about the frame.
  Info& info() {
    memory();
    return *peaknet_frame_info(handle_.get());
  }
  // Of the pool that this frame is in.
  const Geometry& geometry() const { return geometry_; }

  // From here on the frame exists. Returns its number, dense from 0 for its producer. After an Error it never existed.
  std::uint64_t commit() {
    std::uint64_t number = 0;
    detail::check(peaknet_commit(handle_.release(), &number));
    return number;
  }

 private:
  friend class Producer;
  Frame(peaknet_frame* handle, const Geometry& geometry) : handle_(handle), geometry_(geometry) {}
  void* memory() {
    if (handle_ == nullptr) throw std::logic_error("this frame was committed, or moved from");
    return peaknet_frame_image(handle_.get());
  }

  detail::Owned<peaknet_frame, peaknet_abandon> handle_;
  Geometry geometry_;
};

// What a claim does when no slot is free.
enum class Policy : peaknet_policy {
  pool = PEAKNET_POOL_POLICY,  // what pool.full in the configuration says
  block = PEAKNET_BLOCK,
  drop_newest = PEAKNET_DROP_NEWEST,
  drop_oldest = PEAKNET_DROP_OLDEST
};

// Panels, rows and columns of an image.
struct Shape {
  std::uint32_t panels = 1, height = 0, width = 0;
};

// Fills the frame pool of a running peaknetd. Frames may outlive it.
class Producer {
 public:
  // `label` is what people see in peaknetctl stats. Throws Error: shm.absent, shm.denied, ...
  Producer(const std::string& instance, const std::string& label, Policy policy = Policy::pool) {
    peaknet_producer* handle = nullptr;
    detail::check(
        peaknet_producer_attach(instance.c_str(), label.c_str(), static_cast<peaknet_policy>(policy), &handle));
    handle_.reset(handle);
  }

  // A free slot; empty if there is none in time, which peaknetd counts as refused.
  std::optional<Frame> claim(std::chrono::nanoseconds timeout) {
    peaknet_frame* frame = nullptr;
    const peaknet_status status = peaknet_claim(handle_.get(), timeout.count(), &frame);
    if (status == PEAKNET_E_POOL_FULL) return std::nullopt;
    detail::check(status);
    return Frame(frame, geometry());
  }

  // Claims, copies and commits pixels that are in memory of your own; `shape` says what they are. Returns the number of
  // the frame; empty if no slot was free in time. Throws Error frame.other-shape if they do not fit the pool.
  template <Pixel T>
  std::optional<std::uint64_t> put(std::span<const T> pixels, const Shape& shape, const Info& info,
                                   std::chrono::nanoseconds timeout) {
    if (pixels.size() != std::size_t{shape.panels} * shape.height * shape.width)
      throw std::invalid_argument("put: the number of pixels is not that of the shape");
    Geometry given{};
    given.panels = shape.panels;
    given.height = shape.height;
    given.width = shape.width;
    given.pixel_type = detail::pixel_type<T>();
    std::uint64_t number = 0;
    const peaknet_status status = peaknet_put(handle_.get(), pixels.data(), &given, &info, timeout.count(), &number);
    if (status == PEAKNET_E_POOL_FULL) return std::nullopt;
    detail::check(status);
    return number;
  }

  // Of the pool as of the last claim: peaknetd may change it while frames flow.
  Geometry geometry() const {
    Geometry now{};
    detail::check(peaknet_producer_geometry(handle_.get(), &now));
    return now;
  }
  // Under which the frames of this producer are known; never used twice by one instance.
  std::uint64_t number() const { return peaknet_producer_number(handle_.get()); }

 private:
  detail::Owned<peaknet_producer, peaknet_producer_detach> handle_;
};

enum class Outcome : peaknet_outcome {
  written = PEAKNET_WRITTEN,
  filtered = PEAKNET_FILTERED,
  failed = PEAKNET_FAILED
};

// A frame with its result. The destructor offers it to the consumers again.
class Result {
 public:
  const Descriptor& descriptor() const { return *view().descriptor; }
  std::span<const std::byte> image() const { return view().bytes(); }
  template <Pixel T>
  std::span<const T> pixels() const {
    return view().as<T>();
  }
  // One bit per pixel, rows of whole words (see peaknet_geometry); empty if descriptor().result is not PEAKNET_MASK.
  std::span<const std::uint64_t> mask() const { return view().words(); }

  // The frame's life is over. Call it when what you made of the result is durable.
  void finish(Outcome outcome) {
    detail::check(peaknet_finish(handle_.release(), static_cast<peaknet_outcome>(outcome)));
  }

 private:
  friend class Consumer;
  explicit Result(peaknet_result* handle) : handle_(handle) {}
  detail::View view() const {
    if (handle_ == nullptr) throw std::logic_error("this result was finished, or moved from");
    return {peaknet_result_descriptor(handle_.get()), peaknet_result_image(handle_.get()),
            peaknet_result_mask(handle_.get())};
  }

  detail::Owned<peaknet_result, peaknet_give_back> handle_;
};

// One of the writers of an instance: each result goes to one of them. Results may outlive it.
class Consumer {
 public:
  Consumer(const std::string& instance, const std::string& label) {
    peaknet_consumer* handle = nullptr;
    detail::check(peaknet_consumer_attach(instance.c_str(), label.c_str(), &handle));
    handle_.reset(handle);
  }

  // The oldest result that nobody has taken; empty if none came in time, or if peaknetd wants finished files: then
  // close_is_wanted() is true until closed() is called.
  std::optional<Result> take(std::chrono::nanoseconds timeout) {
    peaknet_result* result = nullptr;
    const peaknet_status status = peaknet_take(handle_.get(), timeout.count(), &result);
    close_is_wanted_ = status == PEAKNET_CLOSE;
    if (close_is_wanted_ || status == PEAKNET_NOTHING) return std::nullopt;
    detail::check(status);
    return Result(result);
  }
  bool close_is_wanted() const { return close_is_wanted_; }
  // Everything that this consumer finished is durable.
  void closed() {
    detail::check(peaknet_closed(handle_.get()));
    close_is_wanted_ = false;
  }

  Geometry geometry() const {
    Geometry now{};
    detail::check(peaknet_consumer_geometry(handle_.get(), &now));
    return now;
  }

 private:
  detail::Owned<peaknet_consumer, peaknet_consumer_detach> handle_;
  bool close_is_wanted_ = false;
};

// Copies the newest frame for a monitor. Needs the right to read the shared memory, and disturbs nobody.
class Tap {
 public:
  explicit Tap(const std::string& instance) {
    peaknet_tap* handle = nullptr;
    detail::check(peaknet_tap_open(instance.c_str(), &handle));
    handle_.reset(handle);
  }

  // True if there was a newer frame than the one that the tap has: it has that one now. Never waits.
  bool latest_frame() { return latest(PEAKNET_NEWEST_FRAME); }
  bool latest_result() { return latest(PEAKNET_NEWEST_RESULT); }

  // Of the frame that the tap has, until the next latest_...() that is true. Throws std::logic_error before the first.
  const Descriptor& descriptor() const { return *view().descriptor; }
  std::span<const std::byte> image() const { return view().bytes(); }
  template <Pixel T>
  std::span<const T> pixels() const {
    return view().as<T>();
  }
  std::span<const std::uint64_t> mask() const { return view().words(); }

 private:
  bool latest(peaknet_want want) {
    const peaknet_status status = peaknet_tap_latest(handle_.get(), want);
    if (status == PEAKNET_NOTHING) return false;
    detail::check(status);
    return true;
  }
  detail::View view() const {
    const Descriptor* descriptor = peaknet_tap_descriptor(handle_.get());
    if (descriptor == nullptr) throw std::logic_error("this tap has no frame yet");
    return {descriptor, peaknet_tap_image(handle_.get()), peaknet_tap_mask(handle_.get())};
  }

  detail::Owned<peaknet_tap, peaknet_tap_close> handle_;
};

}  // namespace peaknet_shm
