// A message read as CrystFEL reads it (libcrystfel/src/image-msgpack.c), with its traps: keys are compared as far as
// the map's key goes, the bits of an integer are taken for those of a double, pixels are "<i4" or "<f4". The MsgPack
// itself is unpacked by nlohmann's library.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace peaknet::test {

struct CrystfelImage {
  std::string type;
  std::size_t ss = 0, fs = 0;
  std::vector<double> pixels;  // zeros where the type is not known
  std::vector<double> peak_fs, peak_ss, peak_intensity;
  std::map<std::string, std::string> headers;  // as --copy-header=KEY would print it
  std::string complaint;                       // what CrystFEL would print as ERROR; "" is well
};

struct CrystfelGeometryKeys {
  std::string data = "image", peak_list = "peak_list";
  std::vector<std::string> headers = {};
};

CrystfelImage read_as_crystfel(std::span<const std::uint8_t> message, const CrystfelGeometryKeys& keys = {});

}  // namespace peaknet::test
