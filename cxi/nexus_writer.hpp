// NexusWriter: groups, fields and attributes of NeXus in few bytes, since a detector may have a hundred modules of five
// fields each: values lie in the headers of their objects, texts have a fixed length, nothing has a time of its own.
//
// It remembers its first failure and does nothing more after it; look at status() at the end. One thread.
#pragma once

#include <hdf5.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/result.hpp"
#include "cxi/hdf5.hpp"
#include "cxi/laboratory.hpp"

namespace peaknet::writer {

class NexusWriter {
 public:
  NexusWriter(hid_t file, std::filesystem::path path) : file_(file), path_(std::move(path)) {}

  // The groups above must be there.
  void group(const std::string& name, const std::string& nx_class);
  // One value, or one for each event.
  void number(const std::string& name, double value, const std::string& units);
  void numbers(const std::string& name, std::span<const double> values, const std::string& units);
  void pair(const std::string& name, std::array<std::int32_t, 2> values);
  void text(const std::string& name, const std::string& value);
  void link(const std::string& name, const std::string& target);
  // The same object under another name.
  void same(const std::string& name, const std::string& object);
  void attribute(const std::string& object, const std::string& name, const std::string& value);
  void attribute(const std::string& object, const std::string& name, const Vector3& value);
  // Says of an NXdata group that none of the dimensions of its signal has an axis.
  void no_axes(const std::string& group, std::size_t dimensions);

  Status status() const { return status_; }

 private:
  void field(const std::string& name, hid_t file_type, hid_t memory_type, const H5Handle& space, const void* values,
             bool with_attributes = true);
  void any_attribute(const std::string& object, const std::string& name, hid_t file_type, hid_t memory_type,
                     const H5Handle& space, const void* values);
  bool good(bool happened, const std::string& action);
  hid_t file_;
  std::filesystem::path path_;
  Status status_;
};

}  // namespace peaknet::writer
