// The paths of the live page's interface for programs, and its OpenAPI document: one table for both.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace peaknet::ctl {

// Documents under /api/v1/, each as `peaknetctl --json NAME` says it (health: `status --check`).
struct ApiDocument {
  const char* name;
  const char* meaning;
};
inline constexpr std::array<ApiDocument, 8> kApiDocuments = {{
    {"status", "what to look at first, with the health and its reasons"},
    {"stats", "every counter"},
    {"health", "what is wrong, and what to do"},
    {"errors", "what went wrong, by kind, the latest first"},
    {"history", "rates of the last ten minutes by second and of the last day by minute; peaks of a frame"},
    {"model", "the network"},
    {"producers", "who brings frames"},
    {"writers", "who writes files"},
}};

// Of many nodes there are no pictures, and `status` and `stats` are peaknet.hosts/1.
enum class PageScope { instance, nodes };
// Is there such a document?
bool has_document(PageScope scope, const ApiDocument& document);

// OpenAPI 3.0.
nlohmann::json openapi_document(PageScope scope = PageScope::instance);

}  // namespace peaknet::ctl
