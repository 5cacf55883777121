#include "live/crystfel_outlet.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "live/crystfel_message.hpp"

namespace peaknet::live {
namespace {

constexpr std::string_view kCounts = "counts";

// By run; a cell that nothing was measured of is absent.
nlohmann::json indexing_of(const std::vector<StreamTally>& streams) {
  constexpr std::array<const char*, 6> kNames{"a_nm", "b_nm", "c_nm", "alpha_deg", "beta_deg", "gamma_deg"};
  nlohmann::json runs = nlohmann::json::object();
  for (const auto& [run, tally] : sum_of(streams)) {
    nlohmann::json& entry = runs[run];
    entry = {{"frames", tally.frames}, {"indexed", tally.indexed}, {"crystals", tally.crystals}};
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      const Spread& spread = tally.cell[i];
      if (spread.count() == 0) continue;
      entry["cell"][kNames[i]] = {{"mean", spread.mean()}, {"deviation", spread.deviation()}};
    }
  }
  return runs;
}

}  // namespace

Result<std::unique_ptr<CrystfelOutlet>> CrystfelOutlet::open(const std::string& address,
                                                             std::unique_ptr<HitFolder> folder,
                                                             const std::vector<StreamTally>& streams) {
  std::unique_ptr<CrystfelOutlet> outlet(new CrystfelOutlet(std::move(folder), streams));
  CrystfelOutlet& self = *outlet;
  auto server =
      RequestServer::open({.address = address},
                          {.begins = [&self](RequestServer::Peer peer) { return HitFolder::begin(self.out_.at(peer)); },
                           .ended = [&self](RequestServer::Peer peer, bool sent) { self.ended(peer, sent); },
                           .lost = [&self](RequestServer::Peer peer) { self.lost(peer); }});
  if (!server) return server.error();
  outlet->server_ = std::move(*server);
  return outlet;
}

void CrystfelOutlet::turn() {
  server_->serve();
  server_->look_after(RequestServer::Clock::now());
  answer();
}

// Who asks for counts does not wait behind those who wait for a hit.
void CrystfelOutlet::answer() {
  bool hits = true;
  for (const auto& [peer, text] : server_->requests()) {
    if (text == kCounts) {
      const std::string counts = counts_text();
      server_->answer(peer, Bytes(counts.begin(), counts.end()));
    } else {
      hits = hits && hand_over_to(peer);
    }
  }
}

// False: there is no hit.
bool CrystfelOutlet::hand_over_to(RequestServer::Peer peer) {
  while (auto hit = folder_->take()) {
    const auto pixels = folder_->pixels(*hit);
    if (!pixels) {
      folder_->pass(*hit, pixels.error());
      continue;
    }
    const Bytes message = crystfel_message(hit->file->facts(), hit->stored.event, *pixels);
    out_.insert_or_assign(peer, std::move(*hit));
    server_->hand_over(peer, message);
    return true;
  }
  return false;
}

void CrystfelOutlet::ended(RequestServer::Peer peer, bool sent) {
  folder_->end(out_.at(peer), sent);
  if (sent) out_.erase(peer);
}

void CrystfelOutlet::lost(RequestServer::Peer peer) {
  folder_->give_back(out_.at(peer));
  out_.erase(peer);
}

std::string CrystfelOutlet::counts_text() const {
  const auto counts = folder_->counts();
  const auto requests = server_->requests();
  const auto waiting = std::count_if(requests.begin(), requests.end(),
                                     [](const RequestServer::Request& request) { return request.text != kCounts; });
  return nlohmann::json{{"served", counts.served},          {"served_before", counts.served_before},
                        {"skipped", counts.skipped},        {"waiting", counts.waiting},
                        {"in_hand", out_.size()},           {"uncertain", counts.uncertain},
                        {"unreadable", counts.unreadable},  {"growing", folder_->growing()},
                        {"workers", server_->peers()},      {"workers_waiting", waiting},
                        {"indexing", indexing_of(streams_)}}
      .dump();
}

}  // namespace peaknet::live
