// must: the value of a Result, or an exception with its error's text. For measurements and tests, in whose middle there
// is nobody to give an error to; programs handle theirs.
#pragma once

#include <stdexcept>
#include <utility>

#include "base/result.hpp"

namespace peaknet {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().text());
  return std::move(result).value();
}
inline void must(const Status& status) {
  if (!status) throw std::runtime_error(status.error().text());
}

}  // namespace peaknet
