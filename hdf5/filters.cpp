#include "hdf5/filters.hpp"

#include <algorithm>

namespace peaknet::hdf5 {

std::vector<H5Z_filter_t> filters_of(hid_t creation_properties) {
  std::vector<H5Z_filter_t> filters;
  const int count = H5Pget_nfilters(creation_properties);
  for (int i = 0; i < count; ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    filters.push_back(
        H5Pget_filter2(creation_properties, static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, nullptr));
  }
  return filters;
}

std::vector<unsigned> filter_values(hid_t creation_properties, unsigned index) {
  std::vector<unsigned> values(32);
  unsigned flags = 0;
  std::size_t count = values.size();
  if (H5Pget_filter2(creation_properties, index, &flags, &count, values.data(), 0, nullptr, nullptr) < 0) return {};
  values.resize(std::min(count, values.size()));
  return values;
}

}  // namespace peaknet::hdf5
