// The filters of a dataset, as its creation properties have them. Values only; the caller holds a Guard.
#pragma once

#include <hdf5.h>

#include <vector>

namespace peaknet::hdf5 {

// In the order in which they were applied.
std::vector<H5Z_filter_t> filters_of(hid_t creation_properties);
// The parameters of the filter with this index; at most 32.
std::vector<unsigned> filter_values(hid_t creation_properties, unsigned index);

}  // namespace peaknet::hdf5
