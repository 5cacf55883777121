// The columns that an operator asked for (feed.columns), as datasets of a CXI file, and back.
//
//   <dataset of the column>            (N,) or (N, length), in its own type; attributes `missing_value` (what stands
//   where
//                                      an event does not know it) and, where it has one, `units`
//   /entry_1/peaknet/columns/name      (C,) texts
//   /entry_1/peaknet/columns/dataset   (C,) texts: where they are
//
// One thread uses a file at a time.
#pragma once

#include <hdf5.h>

#include <string>
#include <vector>

#include "cxi/event.hpp"
#include "cxi/hdf5.hpp"
#include "shm/columns.hpp"

namespace peaknet::writer {

void write_columns(H5Writer& out, const shm::ColumnTable& columns, const std::vector<StoredEvent>& events);
// The names and places alone: what a master has beside copies of the datasets.
void write_column_names(H5Writer& out, const std::vector<std::string>& names, const std::vector<std::string>& datasets);

// The datasets that a finished file names; empty where it has none.
std::vector<std::string> column_names(hid_t file);
std::vector<std::string> column_datasets(hid_t file);

// The reverse of write_columns: what is not as it writes it is left out.
shm::ColumnTable read_columns(hid_t file, std::vector<StoredEvent>& events);

// Attributes of a column of one file to the same of another. Errors: output.*.
Status copy_column_attributes(hid_t from, hid_t to, const std::string& dataset, const std::filesystem::path& path);

}  // namespace peaknet::writer
