// docs/protocol.md and the code say the same: the table of methods, and the Python client, which runs as it stands
// there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "control/methods.hpp"
#include "control/protocol.hpp"
#include "control/server.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::control {
namespace {

std::string document() {
  std::ifstream file(test::source_dir() + "/docs/protocol.md");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string params_text(const Method& method) {
  std::string text;
  for (const Param& param : method.params) {
    text += (text.empty() ? "`" : ", `") + std::string(param.name) + "`: " + std::string(name(param.type)) +
            (param.required ? "" : ", may be left out");
  }
  return text.empty() ? "none" : text;
}

TEST(ProtocolDocument, has_every_method_with_its_parameters_in_order) {
  const std::string text = document();
  std::vector<std::string> rows;
  for (std::size_t at = text.find("\n| `"); at != std::string::npos; at = text.find("\n| `", at + 1)) {
    const std::string row = text.substr(at + 1, text.find('\n', at + 1) - at - 1);
    if (row.find("| yes |") != std::string::npos || row.find("| no |") != std::string::npos) rows.push_back(row);
  }
  std::vector<std::string> expected;
  for (const Method& method : methods()) {
    expected.push_back("| `" + std::string(method.name) + "` | " + (method.read_only ? "yes" : "no") + " | " +
                       params_text(method) + " | " + std::string(method.meaning) + " |");
  }
  EXPECT_EQ(rows, expected);
}

TEST(ProtocolDocument, its_python_client_works) {
  auto zmq = test::Child::start({"/usr/bin/python3", "-c", "import zmq"});
  if (zmq.wait() != test::Exit::code(0)) GTEST_SKIP() << "python3-zmq is not installed";
  const std::string text = document();
  const std::string fence = "```python\n";
  const auto begin = text.find(fence);
  ASSERT_NE(begin, std::string::npos);
  const std::string code =
      text.substr(begin + fence.size(), text.find("```", begin + fence.size()) - begin - fence.size());

  test::TempFolder folder;
  const std::string endpoint = "ipc://" + folder / "ctl";
  const auto server = test::must(Server::listen({endpoint, "", 0660, ""}, [](const Request& request, Answer answer) {
    if (request.method == "start")
      return answer.send(Error{"start.running", "run 0217 is going on", "it goes on", "stop first"});
    answer.send(nlohmann::json{{"state", "idle"}, {"method", request.method}});
  }));
  auto good = test::Child::start({"/usr/bin/python3", "-c", code, endpoint, "status"});
  EXPECT_EQ(good.wait(), test::Exit::code(0)) << good.err();
  EXPECT_THAT(good.out(), testing::HasSubstr("\"state\": \"idle\""));
  auto refused = test::Child::start({"/usr/bin/python3", "-c", code, endpoint, "start"});
  EXPECT_EQ(refused.wait(), test::Exit::code(1));
  EXPECT_THAT(refused.err(), testing::HasSubstr("run 0217 is going on"));
}

}  // namespace
}  // namespace peaknet::control
