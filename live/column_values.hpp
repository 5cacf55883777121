// The columns of an event (feed.columns) as values of a message. What the event does not know is left out, never 0.
//
// Pure functions, any thread.
#pragma once

#include <nlohmann/json.hpp>

#include "cxi/event.hpp"

namespace peaknet::live {

// For CrystFEL, into `message`: columns of single values, each under its name. Where a name is the beginning of another
// key, or another key that of the name, it stands in brackets, "[run_number]": CrystFEL compares only as far as the
// map's key goes. Integers that CrystFEL's are too short for are texts. Arrays are left out: nothing there takes them.
void add_for_crystfel(nlohmann::json& message, const shm::ColumnTable& columns, const shm::ColumnRow& row);

// For DIALS and our own feed: single values as numbers, arrays as the bytes that they have in the file. A name that the
// message has already is left out.
void add_for_simplon(nlohmann::json& message, const shm::ColumnTable& columns, const shm::ColumnRow& row);

}  // namespace peaknet::live
