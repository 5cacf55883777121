// CrystfelOutlet: hits handed to the workers of indexamajig that ask for them, one hit to one worker.
//
// A request `counts` is answered with the counts as JSON; any other text asks for the next hit, and waits for one.
//
// Threads: one. Waiting is for others: fd() is readable when turn() has something to do. Errors: live.cannot-listen.
// After a crash: see served_book.hpp for hits, request_server.hpp for workers that wait.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "live/hit_folder.hpp"
#include "live/request_server.hpp"
#include "live/stream_tally.hpp"

namespace peaknet::live {

class CrystfelOutlet {
 public:
  // `streams`: what indexamajig makes of the hits, for the counts; they outlive the outlet.
  static Result<std::unique_ptr<CrystfelOutlet>> open(const std::string& address, std::unique_ptr<HitFolder> folder,
                                                      const std::vector<StreamTally>& streams);
  CrystfelOutlet(const CrystfelOutlet&) = delete;
  CrystfelOutlet& operator=(const CrystfelOutlet&) = delete;

  const std::string& address() const { return server_->address(); }
  int fd() const { return server_->fd(); }
  HitFolder& folder() { return *folder_; }
  const HitFolder& folder() const { return *folder_; }

  // Hear the workers, and hand out what there is.
  void turn();
  std::string counts_text() const;

 private:
  CrystfelOutlet(std::unique_ptr<HitFolder> folder, const std::vector<StreamTally>& streams)
      : folder_(std::move(folder)), streams_(streams) {}
  void answer();
  bool hand_over_to(RequestServer::Peer peer);
  void ended(RequestServer::Peer peer, bool sent);
  void lost(RequestServer::Peer peer);

  std::unique_ptr<HitFolder> folder_;
  const std::vector<StreamTally>& streams_;
  std::map<RequestServer::Peer, Hit> out_;  // on their way
  std::unique_ptr<RequestServer> server_;
};

}  // namespace peaknet::live
