// The document of the live page, which CMake makes of page.html, page.css, page.js and page_charts.js. PAGE_NONCE in it
// is what the server puts there.
#pragma once

namespace peaknet::ctl {

extern const char* const kPageHtml;

}  // namespace peaknet::ctl
