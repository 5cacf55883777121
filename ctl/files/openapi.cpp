#include "ctl/files/openapi.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "ctl/files/sum_pictures.hpp"
#include "peaknet_version.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

json answer(const std::string& meaning, const std::string& type, const json& schema) {
  return {{"description", meaning}, {"content", {{type, {{"schema", schema}}}}}};
}

json object_of(const std::string& schema) {
  return {{"type", "object"},
          {"required", {"schema"}},
          {"properties", {{"schema", {{"type", "string"}, {"enum", {schema}}}}}}};
}

json get(const std::string& id, const std::string& meaning, const json& good) {
  const json error =
      answer("the reason, as peaknetctl --json says it", "application/json", object_of("peaknet.error/1"));
  return {
      {"get",
       {{"operationId", id}, {"summary", meaning}, {"responses", {{"200", good}, {"404", error}, {"503", error}}}}}};
}

void add_pictures(json& paths) {
  const json picture = {{"type", "string"}, {"format", "binary"}};
  paths["/api/v1/hits"] = get("hits", "the last hits that were drawn, the oldest first",
                              answer("the hits", "application/json", object_of("peaknet.hits/1")));
  paths["/api/v1/hits/latest.png"] = get("latest_hit", "the latest hit", answer("the picture", "image/png", picture));
  paths["/api/v1/hits/{id}.png"] = get("hit", "one of the hits", answer("the picture", "image/png", picture));
  paths["/api/v1/hits/{id}.png"]["get"]["parameters"] =
      json::array({{{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "integer"}}}}});
  paths["/api/v1/sums"] = get("sums", "of which hits the pictures of sums are",
                              answer("run and numbers, or null", "application/json", object_of("peaknet.sums/1")));
  paths["/api/v1/peakogram"] =
      get("peakogram", "peaks of the hits of the run by intensity and resolution",
          answer("counts, or what is not known", "application/json", object_of("peaknet.peakogram/1")));
  for (const char* kind : SumPictures::kKinds) {
    const std::string name = kind, meaning = "the newest " + name + " of the hits of the run";
    paths["/api/v1/sums/" + name + "/latest.png"] = get(name, meaning, answer("the picture", "image/png", picture));
  }
}

}  // namespace

bool has_document(PageScope scope, const ApiDocument& document) {
  return scope == PageScope::instance || std::string_view(document.name) != "model";
}

json openapi_document(PageScope scope) {
  json paths;
  for (const ApiDocument& document : kApiDocuments) {
    if (!has_document(scope, document)) continue;
    const std::string name = document.name;
    const bool by_host = scope == PageScope::nodes && (name == "status" || name == "stats");
    paths["/api/v1/" + name] =
        get(name, document.meaning,
            answer(document.meaning, "application/json", object_of("peaknet." + (by_host ? "hosts" : name) + "/1")));
  }
  if (scope == PageScope::instance) add_pictures(paths);
  return {
      {"openapi", "3.0.3"},
      {"info",
       {{"title", "peaknetd, read only"},
        {"description", "The documents of peaknetctl --json by HTTP; docs/protocol.md says what their members mean."},
        {"version", kVersion}}},
      {"paths", paths}};
}

}  // namespace peaknet::ctl
