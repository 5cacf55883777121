#include "feed/endpoint.hpp"

#include <string_view>

namespace peaknet::feed {

Result<Endpoint> parse_endpoint(const std::string& text) {
  const std::size_t space = text.find(' ');
  const std::string verb = text.substr(0, space);
  const std::size_t begin = space == std::string::npos ? space : text.find_first_not_of(' ', space);
  const std::string address = begin == std::string::npos ? "" : text.substr(begin);
  const bool transport = address.find("://") != std::string::npos && address.find(' ') == std::string::npos;
  if ((verb != "bind" && verb != "connect") || !transport) {
    return Error{"config.bad-value", "feed.endpoints has the entry '" + text + "', which is no endpoint",
                 "nothing was opened", "write 'bind tcp://0.0.0.0:12321' or 'connect tcp://host:12321'"};
  }
  return Endpoint{verb == "bind", address};
}

}  // namespace peaknet::feed
