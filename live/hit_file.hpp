// HitFile: one file of a run as a source of hits, from its first event on: while it grows out of its ledger and its
// .part, when it is finished out of the CXI file. Only hits that the run's book does not have yet.
//
// Memory: the hits of a file that is read; of one that is not (`unload`) only their number.
//
// Threads: one. Errors: those of the disk, of the ledger and of cxi.*; a file that cannot be read now is tried again.
#pragma once

#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "cxi/ledger.hpp"
#include "cxi/stored_image.hpp"
#include "live/served_book.hpp"

namespace peaknet::live {

class HitFile;

struct Hit {
  std::shared_ptr<HitFile> file;
  std::uint64_t row = 0;  // in the file
  writer::StoredEvent stored;

  HitKey key() const;
};

class HitFile : public std::enable_shared_from_this<HitFile> {
 public:
  // Of the file that has, or will have, this name. The book outlives it.
  static Result<std::shared_ptr<HitFile>> open(const std::filesystem::path& final_path, ServedBook& book);

  const std::filesystem::path& path() const { return path_; }
  const writer::FileFacts& facts() const { return facts_; }
  ServedBook& book() { return book_; }

  // Read what has been added. True: there are new hits.
  Result<bool> read_more();
  bool growing() const { return tail_.has_value(); }
  std::size_t waiting() const { return waiting_; }
  // Nothing will ever come of it any more.
  bool exhausted() const { return !growing() && waiting_ == 0 && taken_ == 0; }

  // A hit that waits, the first or the last of the file. It is given back, or done with.
  Result<std::optional<Hit>> take(bool newest);
  void give_back(const Hit& hit);
  void done(const Hit& hit);  // it is in the book
  void pass(const Hit& hit);  // it is not, and not to be offered again

  // No hit of it will ever be taken; how many waited.
  std::size_t give_up();

  // Let go of memory and descriptors until the next take(). Not of a file that grows, or of which hits are out.
  void unload();

  Result<std::vector<std::byte>> pixels(const Hit& hit, writer::StoredImages& images);
  // Which pixels of the slab are no data (writer::slab_mask). Known as soon as the file has an event.
  bool knows_mask() const { return !by_ledger_ || first_.has_value(); }
  Result<std::vector<std::uint16_t>> mask() const;

 private:
  struct Waiting {
    std::uint64_t row;
    writer::StoredEvent stored;
  };
  HitFile(std::filesystem::path path, ServedBook& book) : path_(std::move(path)), book_(book) {}
  Status load();
  void add(std::uint64_t row, writer::StoredEvent stored);
  bool find_part();
  Result<std::vector<std::byte>> pixels_of_finished(const Hit& hit, writer::StoredImages& images);

  std::filesystem::path path_;
  ServedBook& book_;
  writer::FileFacts facts_;
  std::optional<writer::LedgerTail> tail_;
  writer::PosixFile part_;      // of a file that was read while it grew: the places in its ledger are in this one
  writer::PosixFile finished_;  // of one that was read when it was finished
  bool by_ledger_ = false;      // the hits in memory are the ledger's
  bool loaded_ = false;
  std::optional<writer::StoredEvent> first_;  // of the ledger, for what is alike in all of them
  std::deque<Waiting> hits_;                  // by row
  std::set<HitKey> passed_;
  std::size_t waiting_ = 0;
  std::size_t taken_ = 0;
  std::uint64_t rows_ = 0;
};

}  // namespace peaknet::live
