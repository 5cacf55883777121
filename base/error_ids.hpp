// ErrorIds: what is known about the id of an Error beyond the case at hand: meaning, remedy, exit code, C number.
// The table is base/error_ids.inc; docs/errors.md shows it.
//
// Threads: any; the table is constant. Errors: none.
#pragma once

#include <span>
#include <string_view>

namespace peaknet {

struct ErrorId {
  std::string_view id;  // "pool.full"
  int exit_code;        // of peaknetctl; docs/protocol.md
  int c_status;         // PEAKNET_E_... of peaknet_shm.h; 0: it has no number of its own
  std::string_view meaning;
  std::string_view remedy;
};

// Sorted by id.
std::span<const ErrorId> error_ids();

// Null for an id that the table has not: one that another version of a program said.
const ErrorId* find_error_id(std::string_view id);

}  // namespace peaknet
