#include "shm/pool.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace peaknet::shm {

std::string control_segment_name(const std::string& instance) { return "/peaknet." + instance; }
std::string pool_name(const std::string& instance, std::uint64_t epoch) {
  return control_segment_name(instance) + ".g" + std::to_string(epoch);
}

Pool::Pool(Segment segment, const Geometry& geometry, ColumnTable columns, std::uint64_t epoch, FullPolicy policy)
    : segment_(std::move(segment)), geometry_(geometry), columns_(std::move(columns)), epoch_(epoch), policy_(policy) {
  const PoolOffsets offsets(geometry_);
  auto* base = static_cast<std::byte*>(segment_.data());
  header_ = reinterpret_cast<PoolHeader*>(base);
  words_ = reinterpret_cast<std::atomic<std::uint64_t>*>(base + offsets.words);
  descriptors_ = base + offsets.descriptors;
  payload_ = base + offsets.payload;
}

Result<std::shared_ptr<Pool>> Pool::create(const std::string& instance, std::uint64_t epoch, const Geometry& frames,
                                           FullPolicy policy, std::uint64_t instance_uuid,
                                           const SegmentOptions& options, const ColumnTable& columns) {
  Geometry geometry = frames;
  geometry.columns = static_cast<std::uint32_t>(columns.size());
  geometry.side_bytes = static_cast<std::uint32_t>(columns.side_bytes());
  if (auto fits = geometry.check(); !fits) return fits.error();
  const PoolOffsets offsets(geometry);
  auto segment = Segment::create(pool_name(instance, epoch), offsets.total, options);
  if (!segment) return segment.error();

  // Fresh shared memory is zero: every word is a free slot of sequence 0.
  auto* header = new (segment->data()) PoolHeader;
  header->header.magic = kPoolMagic;
  header->header.abi_major = kAbiMajor;
  header->header.abi_minor = kAbiMinor;
  header->header.layout_hash = kLayoutHash;
  header->header.total_bytes = offsets.total;
  header->header.instance_uuid = instance_uuid;
  header->epoch = epoch;
  header->slots = geometry.slots;
  header->panels = geometry.panels;
  header->height = geometry.height;
  header->width = geometry.width;
  header->pixel_type = static_cast<std::uint32_t>(geometry.pixel_type);
  header->full_policy = static_cast<std::uint32_t>(policy);
  header->columns = geometry.columns;
  header->side_bytes = geometry.side_bytes;
  const auto records = columns.records();
  std::copy(records.begin(), records.end(),
            reinterpret_cast<ColumnRecord*>(static_cast<std::byte*>(segment->data()) + offsets.columns));
  header->header.state.store(SegmentState::live, std::memory_order_release);
  if (auto published = segment->publish(); !published) return published.error();
  return std::shared_ptr<Pool>(new Pool(std::move(*segment), geometry, columns, epoch, policy));
}

Result<std::shared_ptr<Pool>> Pool::open(const std::string& instance, std::uint64_t epoch, std::uint64_t instance_uuid,
                                         Access access) {
  auto segment = Segment::open(pool_name(instance, epoch), access, sizeof(PoolHeader));
  if (!segment) return segment.error();
  const auto* header = static_cast<const PoolHeader*>(segment->data());
  const std::string name = pool_name(instance, epoch);
  if (header->header.magic != kPoolMagic || header->header.instance_uuid != instance_uuid || header->epoch != epoch) {
    return Error{
        "pool.foreign",
        "shared memory " + name + " is not the pool that the control segment of instance '" + instance + "' names",
        "it was not used", "stop the instance and start peaknetd again"};
  }
  if (header->header.abi_major != kAbiMajor || header->header.layout_hash != kLayoutHash) {
    return Error{"pool.other-version",
                 "shared memory " + name + " has layout " + std::to_string(header->header.abi_major) + "/" +
                     std::to_string(header->header.layout_hash) + ", this program has " + std::to_string(kAbiMajor) +
                     "/" + std::to_string(kLayoutHash),
                 "it was not used", "use programs of one version, or restart peaknetd with this one"};
  }
  const Geometry geometry{
      header->slots,   header->panels,    header->height, header->width, static_cast<PixelType>(header->pixel_type),
      header->columns, header->side_bytes};
  const auto policy = static_cast<FullPolicy>(header->full_policy);
  if (auto fits = geometry.check(); !fits || PoolOffsets(geometry).total > segment->size() || header->full_policy > 2) {
    return Error{"pool.damaged",
                 "the header of " + name + " describes " + std::to_string(geometry.slots) + " slots of " +
                     describe(geometry) + ", which does not fit its " + std::to_string(segment->size()) + " bytes",
                 "it was not used", "stop the instance and start peaknetd again"};
  }
  const auto* records = reinterpret_cast<const ColumnRecord*>(static_cast<const std::byte*>(segment->data()) +
                                                              PoolOffsets(geometry).columns);
  auto columns = ColumnTable::from_records({records, geometry.columns});
  if (!columns || columns->side_bytes() != geometry.side_bytes) {
    return Error{"pool.damaged",
                 "the table of columns in " + name + " cannot be: " +
                     (columns ? "they have " + std::to_string(columns->side_bytes()) + " bytes, the header says " +
                                    std::to_string(geometry.side_bytes)
                              : columns.error().what),
                 "it was not used", "stop the instance and start peaknetd again"};
  }
  return std::shared_ptr<Pool>(new Pool(std::move(*segment), geometry, std::move(*columns), epoch, policy));
}

std::array<std::uint32_t, kSlotStates> Pool::count_states() const {
  std::array<std::uint32_t, kSlotStates> counts{};
  for (std::uint32_t slot = 0; slot < geometry_.slots; ++slot) {
    const auto state = static_cast<std::size_t>(StateWord::unpack(word(slot).load(std::memory_order_seq_cst)).state);
    if (state < counts.size()) ++counts[state];
  }
  return counts;
}

}  // namespace peaknet::shm
