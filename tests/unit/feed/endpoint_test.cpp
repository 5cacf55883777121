#include "feed/endpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peaknet::feed {
namespace {

TEST(Endpoint, BindAndConnectAreTheTwoKinds) {
  const auto bind = parse_endpoint("bind tcp://0.0.0.0:12321"), connect = parse_endpoint("connect  ipc:///run/x");
  ASSERT_TRUE(bind.ok() && connect.ok());
  EXPECT_TRUE(bind->bind);
  EXPECT_EQ(bind->address, "tcp://0.0.0.0:12321");
  EXPECT_FALSE(connect->bind);
  EXPECT_EQ(connect->address, "ipc:///run/x");
}

TEST(Endpoint, AnythingElseIsRefusedWithAnExample) {
  for (const char* text :
       {"", "bind", "tcp://0.0.0.0:1", "listen tcp://0.0.0.0:1", "bind 0.0.0.0:1", "bind tcp://a b"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_FALSE(endpoint.ok()) << text;
    EXPECT_EQ(endpoint.error().id, "config.bad-value");
    EXPECT_THAT(endpoint.error().text(), testing::HasSubstr("bind tcp://0.0.0.0:12321"));
  }
}

}  // namespace
}  // namespace peaknet::feed
