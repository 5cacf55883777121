// The pictures of `top`: an overview that is laid out by the size of the screen, and a page each for what one looks at
// more closely. Pure functions of the documents.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/terminal.hpp"

namespace peaknet::ctl {

enum class TopPage { overview, devices, producers, writers, errors, help };

// What is looked at. `scroll`: lines of a page that are above the screen.
struct TopView {
  TopPage page = TopPage::overview;
  std::size_t scroll = 0;
};

// What a key does to the view; nothing: it ends `top`. `key`: the bytes of one key as a terminal sends them.
std::optional<TopView> pressed(const std::string& key, TopView view, std::size_t page_rows);

// The picture, of never more lines than the screen has, and none longer (control sequences not counted). From two
// peaknet.stats/1 documents (the first may be null), of which the later has a peaknet.status/1 document as `status` and
// a peaknet.errors/1 document as `errors`. Takes the scroll back to where there still is something to see.
std::string top_screen(const nlohmann::json& before, const nlohmann::json& now, double seconds,
                       const Terminal& terminal, TopView& view);

}  // namespace peaknet::ctl
