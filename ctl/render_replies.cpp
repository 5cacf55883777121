#include <nlohmann/json.hpp>

#include "base/columns.hpp"
#include "ctl/members.hpp"
#include "ctl/render.hpp"
#include "ctl/table.hpp"
#include "ctl/tables.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

std::string line(const std::string& text, std::size_t width) { return wrapped(text, width, 2) + '\n'; }

std::string pool_size(const json& pool) {
  return count(pool, {"slots"}) + " slots of " + shape_of(pool) + ", " + bytes(pool, {"bytes"}) + ", epoch " +
         count(pool, {"epoch"});
}

std::string took(const json& reply) { return span_of_us(number(reply, {"took_ms"}) * 1e3); }

}  // namespace

std::string render_start(const json& reply, std::size_t width) {
  return line("run " + text(reply, {"run"}) + " has begun. State: " + text(reply, {"state"}), width);
}

std::string render_stop(const json& reply, std::size_t width) {
  return line("run " + text(reply, {"run"}) + " ended (took " + took(reply) + "). State: " + text(reply, {"state"}),
              width) +
         frame_lines(member(reply, {"frames"}), width);
}

std::string render_rebuffer(const json& reply, std::size_t width) {
  const bool batch = number(reply, {"batch_before"}) != number(reply, {"batch_after"});
  std::string out = member(reply, {"dry_run"}) == true ? "nothing was changed; it would be:\n" : "";
  if (member(reply, {"pool_after"}).is_object()) {
    out += line("pool " + pool_size(member(reply, {"pool_before"})), width) +
           line("  -> " + pool_size(member(reply, {"pool_after"})) + "; " + bytes(reply, {"free_bytes"}) + " were free",
                width);
  }
  return out +
         line("depth " + count(reply, {"before"}) + " -> " + count(reply, {"after"}) +
                  (batch ? ", batch " + count(reply, {"batch_before"}) + " -> " + count(reply, {"batch_after"}) : "") +
                  " in " + took(reply) + ", " + count(reply, {"in_flight"}) + " frames in flight, " +
                  count(reply, {"lost"}) + " lost",
              width);
}

std::string render_reload(const json& reply, std::size_t width) {
  std::string out;
  for (const json& key : member(reply, {"changed"}))
    out += line(text(key, {"key"}) + "  " + text(key, {"before"}) + " -> " + text(key, {"after"}), width);
  for (const json& key : member(reply, {"restart"}))
    out += line(text(key, {"key"}) + "  " + text(key, {"before"}) + " -> " + text(key, {"after"}) + " when " +
                    text(key, {"program"}) + " is started again",
                width);
  return out.empty() ? "nothing has changed\n" : out;
}

std::string render_model_load(const json& reply, std::size_t width) {
  return line("model " + text(reply, {"before", "path"}) + " -> " + text(reply, {"after", "path"}) + " in " +
                  took(reply),
              width) +
         render_model(member(reply, {"after"}), width);
}

std::string render_view(const json& document, std::size_t width) {
  return line(text(document, {"file"}) + ": producer " + identifier(document, {"producer"}) + " frame " +
                  identifier(document, {"number"}) + ", run " + text(document, {"run"}) + ", " +
                  count(document, {"peaks"}) + " peaks",
              width);
}

std::string render_keygen(const json& document, std::size_t width) {
  return line("secret key  " + text(document, {"file"}) + " (mode 0400; stays here)", width) +
         line("public key  " + text(document, {"public"}) + "  (also in " + text(document, {"file"}) + ".pub)", width);
}

std::string render_version(const json& document, std::size_t width) {
  const json& own = member(document, {"ctl"});
  const json& daemon = member(document, {"daemon"});
  return line("peaknetctl " + text(own, {"version"}) + " (" + text(own, {"commit"}) + ", " + text(own, {"build"}) +
                  ", " + text(own, {"compiler"}) + ")",
              width) +
         line(daemon.is_object() ? "peaknetd   " + text(daemon, {"version"}) + " (" + text(daemon, {"commit"}) + ")"
                                 : "peaknetd   - (" + text(document, {"daemon_what"}) + ")",
              width);
}

}  // namespace peaknet::ctl
