// A ZIP archive of stored records, as models are, for tests of what looks into one without loading it.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace peaknet::test {

namespace zip {
inline std::string number(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(i < 8 ? value >> (8 * i) & 0xffU : 0);
  return text;
}
// What the local header and the table have in common, from "version needed" to the length of the name.
inline std::string facts(const std::string& name, const std::string& content) {
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
  return number(0, 10) + number(crc, 4) + number(content.size(), 4) + number(content.size(), 4) +
         number(name.size(), 2);
}
}  // namespace zip

inline std::string zip_of(const std::vector<std::pair<std::string, std::string>>& records) {
  using zip::number;
  std::string file;
  std::string table;
  for (const auto& [name, content] : records) {
    table += number(0x02014b50, 4) + number(0, 2) + zip::facts(name, content) + number(0, 12) + number(file.size(), 4) +
             name;
    file += number(0x04034b50, 4) + zip::facts(name, content) + number(0, 2) + name + content;
  }
  const auto end = number(0x06054b50, 4) + number(0, 4) + number(records.size(), 2) + number(records.size(), 2) +
                   number(table.size(), 4) + number(file.size(), 4) + number(0, 2);
  return file + table + end;
}

}  // namespace peaknet::test
