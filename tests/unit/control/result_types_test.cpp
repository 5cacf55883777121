#include "control/result_types.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "control/methods.hpp"
#include "control/openrpc.hpp"

namespace peaknet::control {
namespace {

using nlohmann::json;

TEST(ResultTypes, a_brief_text_becomes_a_schema) {
  const json schema = schema_of("{count, name?: string|null, sizes: [integer], frames: frames, of: {p50: number}}");
  EXPECT_EQ(schema["type"], "object");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(schema["required"], json({"count", "sizes", "frames", "of"}));
  const json& members = schema["properties"];
  EXPECT_EQ(members["count"]["type"], "integer");
  EXPECT_EQ(members["name"]["anyOf"][0]["type"], "string");
  EXPECT_EQ(members["name"]["anyOf"][1]["type"], "null");
  EXPECT_EQ(members["sizes"]["items"]["type"], "integer");
  EXPECT_EQ(members["frames"]["$ref"], "#/components/schemas/frames");
  EXPECT_EQ(members["of"]["properties"]["p50"]["type"], "number");
}

TEST(ResultTypes, a_text_with_a_fault_is_refused) {
  for (const char* text : {"", "{", "{a:}", "{a b}", "{a}}", "[integer", "{a: unheard_of}", "string|number", "{a,}"})
    EXPECT_THROW(schema_of(text), std::invalid_argument) << text;
}

TEST(OpenRpc, each_method_has_its_parameters_and_the_schema_of_its_result) {
  const json document = openrpc_document();
  EXPECT_EQ(document["openrpc"], "1.3.2");
  ASSERT_EQ(document["methods"].size(), methods().size());
  for (const json& method : document["methods"]) {
    EXPECT_EQ(method["result"]["schema"]["type"], "object") << method["name"];
    EXPECT_EQ(method["paramStructure"], "by-name");
  }
  EXPECT_EQ(document["components"]["schemas"].size(), named_types().size());
  const json& start = document["methods"][0];
  EXPECT_EQ(start["x-read-only"], false);
  EXPECT_EQ(start["params"][0]["schema"], json({{"type", "string"}, {"minLength", 1}, {"maxLength", 31}}));
  EXPECT_EQ(start["params"][1]["schema"]["type"], "integer");
  const auto no_writer = std::find_if(start["params"].begin(), start["params"].end(),
                                      [](const json& param) { return param["name"] == "no_writer"; });
  ASSERT_NE(no_writer, start["params"].end());
  EXPECT_EQ((*no_writer)["schema"], json({{"type", "boolean"}}));
  const json& shape = document["methods"][2]["params"][3];
  EXPECT_EQ(shape["required"], false);
  EXPECT_EQ(shape["schema"]["minItems"], 3);
  EXPECT_EQ(shape["schema"]["items"]["maximum"], 32768);
}

}  // namespace
}  // namespace peaknet::control
