// Terminal: what the place where output goes can show.
//
// Threads: any. Errors: none; what is not known is taken as the least that every terminal has.
#pragma once

namespace peaknet {

struct Terminal {
  bool there = false;     // a terminal, and not a file or a pipe
  bool moves = false;     // takes the control sequences that move a cursor; TERM=dumb does not
  bool colour = false;    // moves, and NO_COLOR is not set to anything (no-color.org)
  bool utf8 = true;       // what is not ASCII can be shown; a file keeps all
  unsigned columns = 80;  // of the terminal; else what COLUMNS says, else 80
  unsigned rows = 24;

  static Terminal of(int descriptor);
};

}  // namespace peaknet
