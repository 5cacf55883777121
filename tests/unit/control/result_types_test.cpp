#include "control/result_types.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "control/methods.hpp"
#include "control/protocol.hpp"

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
  EXPECT_EQ(members["frames"]["$ref"], "#/types/frames");
  EXPECT_EQ(members["of"]["properties"]["p50"]["type"], "number");
}

TEST(ResultTypes, a_text_with_a_fault_is_refused) {
  for (const char* text : {"", "{", "{a:}", "{a b}", "{a}}", "[integer", "{a: unheard_of}", "string|number", "{a,}"})
    EXPECT_THROW(schema_of(text), std::invalid_argument) << text;
}

TEST(ResultTypes, every_method_has_one_and_every_name_is_known) {
  const json document = methods_document();
  ASSERT_EQ(document["methods"].size(), methods().size());
  for (const json& method : document["methods"]) EXPECT_EQ(method["result"]["type"], "object") << method["name"];
  EXPECT_EQ(document["types"].size(), named_types().size());
}

}  // namespace
}  // namespace peaknet::control
