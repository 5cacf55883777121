// Result<T>: what a control or data path returns when it may fail without ending the program.
//
// An Error is written for the person who reads it at three in the morning: what failed with the number that made it
// fail, what was left untouched, and what to do next. `id` is stable ("pool.no-space"): it is the same in logs, in JSON
// replies and in docs/errors.md (base/error_ids.inc), so scripts may compare it and people may search for it.
//
// Exceptions are kept for what a program cannot continue from (see base/fatal.hpp). Thread-compatible value types.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace peaknet {

struct Error {
  std::string id;         // stable, lower-case, "area.cause"
  std::string what;       // what failed, with the numbers
  std::string untouched;  // what is as it was before; may be empty where nothing could have changed
  std::string remedy;     // what to try next; may be empty where only the reader can know

  // One paragraph: "what. untouched. Try: remedy. [id]".
  std::string text() const {
    std::string out = what;
    if (!untouched.empty()) out += "; " + untouched;
    if (!remedy.empty()) out += ". Try: " + remedy;
    return out + " [" + id + "]";
  }
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: a value is a result
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: an error is a result

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: an error is a result

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    assert(error_.has_value());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace peaknet
