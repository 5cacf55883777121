// Text in the columns of a terminal: what is printed may be other people's (labels, paths, notes), in any bytes.
//
// Widths are those of UTF-8 text as a terminal shows it: nothing for a combining character, two columns for a wide one.
// What is no UTF-8, controls the terminal or turns the direction of writing counts and is shown as '?'.
//
// Threads: any. Errors: none.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace peaknet {

// The text with '?' for each byte or character that must not reach a terminal; newlines too.
std::string printable(std::string_view text);
// Of printable text.
std::size_t columns_of(std::string_view text);

// The beginning that fits.
std::string clipped(std::string_view text, std::size_t columns);
// Beginning and end, "mfx_run0217..chunk0002.cxi", where the whole does not fit.
std::string shortened(std::string_view text, std::size_t columns);
// Filled with blanks to that width, at the right or at the left.
std::string padded(std::string_view text, std::size_t columns);
std::string padded_left(std::string_view text, std::size_t columns);

// In lines of at most `columns`, broken between words; lines after the first begin with `indent` blanks, and the first
// one has `used` columns of something else before it. A word that is longer than a line stays whole, in a line of its
// own: it is a path or a command, and people copy it. Newlines in `text` stay.
std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent = 0, std::size_t used = 0);

// Only ASCII: '?' for every other character, as often as it is wide.
std::string ascii(std::string_view text);

}  // namespace peaknet
