#include <nlohmann/json.hpp>

#include "base/columns.hpp"
#include "ctl/members.hpp"
#include "ctl/render.hpp"
#include "ctl/table.hpp"
#include "ctl/tables.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

constexpr std::size_t kLabel = 9;

// A path in one line, its beginning and its end.
std::string path_line(const std::string& label, const std::string& path, std::size_t width) {
  return labelled(label, {shortened(path, width > kLabel + 8 ? width - kLabel : width)}, width);
}

// Only what is not 0: each is a surprise.
void add_surprise(std::vector<std::string>& items, const std::string& what, const json& document, const char* counter) {
  if (number(document, {counter}) > 0) items.push_back(count(document, {counter}) + " " + what);
}

// What was said of the run when it began; no line where nothing was.
std::string said_of_run(const json& run, const char* number_key, std::size_t width) {
  std::vector<std::string> said;
  if (run.contains(number_key)) said.push_back("number " + identifier(run, {number_key}));
  if (run.contains("proposal")) said.push_back("proposal " + text(run, {"proposal"}));
  if (run.contains("user")) said.push_back(text(run, {"user"}));
  return said.empty() ? "" : labelled("of run", said, width);
}

// "a 7.91 +- 0.04"
std::string cell_number(const json& cell, const char* member_name, const std::string& label, int decimals) {
  const json& mean = member(cell, {member_name, "mean"});
  if (!mean.is_number()) return label + " -";
  const json& deviation = member(cell, {member_name, "deviation"});
  return label + " " + rounded(mean.get<double>(), decimals) +
         (deviation.is_number() ? " +- " + rounded(deviation.get<double>(), decimals) : "");
}

// Nothing where no peaknet-live follows a stream, or has.
std::string indexing_lines(const json& document, std::size_t width) {
  constexpr double kOld = 10;  // seconds; it looks each second
  const json& indexing = member(document, {"indexing"});
  if (!indexing.is_object()) return "";
  std::vector<std::string> items = {
      percent(indexing, {"rate"}) + " (" + count(indexing, {"indexed"}) + " of " + count(indexing, {"frames"}) +
          " hits)",
      "crystals " + count(indexing, {"crystals"}),
      "handed out " + (member(indexing, {"served"}).is_number() ? count(indexing, {"served"}) : "-")};
  add_surprise(items, "frames without an id (--copy-header=frame)", indexing, "nameless");
  if (text(indexing, {"run"}) != text(document, {"run"})) items.push_back("of run " + text(indexing, {"run"}));
  const json& followed = member(indexing, {"followed"});
  if (number(indexing, {"age_s"}) > kOld || (followed.is_boolean() && !followed.get<bool>()))
    items.push_back("as of " + uptime(indexing, {"age_s"}) + " ago: no peaknet-live follows the streams");
  std::string out = labelled("indexed", items, width);
  if (number(indexing, {"crystals"}) == 0) return out;
  const json& cell = member(indexing, {"cell"});
  return out + labelled("cell",
                        {cell_number(cell, "a_nm", "a", 3), cell_number(cell, "b_nm", "b", 3),
                         cell_number(cell, "c_nm", "c", 3) + " nm", cell_number(cell, "alpha_deg", "al", 2),
                         cell_number(cell, "beta_deg", "be", 2), cell_number(cell, "gamma_deg", "ga", 2) + " deg"},
                        width);
}

}  // namespace

std::string render_status(const json& document, std::size_t width) {
  std::string out =
      labelled("peaknetd",
               {text(document, {"daemon", "version"}), "instance " + text(document, {"instance"}),
                "host " + text(document, {"daemon", "host"}), "pid " + identifier(document, {"daemon", "pid"}),
                "up " + uptime(document, {"daemon", "uptime_s"})},
               width) +
      labelled("state",
               {upper(text(document, {"state"})) + " since " + moment(document, {"state_since"}) + " UTC",
                "run " + text(document, {"run", "id"})},
               width) +
      said_of_run(member(document, {"run"}), "number", width) + health_lines(member(document, {"health"}), width);
  if (const std::string failure = text(document, {"failure"}); failure != "-")
    out += labelled("note", {failure}, width);
  out += path_line("model", text(document, {"model", "path"}), width);
  out += labelled("pool", pool_facts(document), width) + '\n';
  out += queue_table(document, width) + '\n';
  out += device_table(document, false).str(width) + '\n';
  out += writer_table(document).str(width) + '\n';
  out += frame_lines(member(document, {"frames"}), width);
  std::vector<std::string> surprises;
  add_surprise(surprises, "pixels were NaN or infinite and count as bad", document, "pixels_not_finite");
  if (!surprises.empty()) out += labelled("also", surprises, width);
  out += rate_line(document, width);
  const std::string producers = count(document, {"producers"});
  return out + labelled("feeding", {producers + (producers == "1" ? " producer" : " producers")}, width);
}

std::string render_stats(const json& document, std::size_t width) {
  std::string out = labelled("run",
                             {text(document, {"run"}), "state " + upper(text(document, {"state"})),
                              "at " + moment(document, {"time"}) + " UTC"},
                             width);
  out += said_of_run(document, "run_number", width);
  out += frame_lines(member(document, {"frames"}), width);
  out += rate_line(document, width);
  const json& refused = member(document, {"frames", "refused"});
  out += labelled("refused",
                  {"pool full " + count(refused, {"pool_full"}), "producer died " + count(refused, {"producer_died"})},
                  width);
  out += labelled("files",
                  {count(document, {"files"}) + " (" + bytes(document, {"file_bytes"}) + ")",
                   "peaks " + count(document, {"peaks"})},
                  width);
  out += indexing_lines(document, width);
  std::vector<std::string> surprises;
  add_surprise(surprises, "peaks beyond the most that a file takes", document, "peaks_cut");
  add_surprise(surprises, "messages lost with feeds that died", document, "messages_lost");
  add_surprise(surprises, "frames processed again after a program died", document, "redelivered");
  add_surprise(surprises, "results that a writer had already", document, "duplicates");
  add_surprise(surprises, "wake-ups that came late", document, "late_wakes");
  add_surprise(surprises, "pixels not finite (they count as bad)", document, "pixels_not_finite");
  if (!surprises.empty()) out += labelled("also", surprises, width);
  out += '\n' + queue_table(document, width) + '\n';
  out += latency_table(document).str(width) + '\n';
  out += device_table(document, true).str(width) + '\n';
  out += producer_table(document).str(width) + '\n';
  return out + writer_table(document).str(width);
}

std::string render_producers(const json& document, std::size_t width) { return producer_table(document).str(width); }
std::string render_writers(const json& document, std::size_t width) { return writer_table(document).str(width); }

std::string render_model(const json& document, std::size_t width) {
  const std::string golden = text(document, {"golden"});
  return path_line("model", text(document, {"path"}), width) +
         labelled("kind",
                  {text(document, {"kind"}), "number " + count(document, {"number"}),
                   "since " + moment(document, {"since"}) + " UTC"},
                  width) +
         labelled("sha256", {text(document, {"sha256"})}, width) +
         labelled("batches", {text(document, {"rows"}) + " images"}, width) +
         labelled("test",
                  {golden == "equal"  ? "passed: the stored test image gives the stored peaks"
                   : golden == "none" ? "none: no test image is stored beside the model"
                                      : golden},
                  width);
}

}  // namespace peaknet::ctl
