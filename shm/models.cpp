#include "shm/models.hpp"

#include <algorithm>

#include "shm/clock.hpp"

namespace peaknet::shm {

std::uint64_t enter_model(ControlLayout& layout, const ModelFacts& facts) {
  std::uint64_t last = 0;
  for (ModelRecord& record : layout.models) {
    last = std::max(last, record.number.load());
    if (record.number.load() == 0 || record.path.load() != facts.path || record.sha256.load() != facts.sha256 ||
        record.bad_pixels.load() != facts.bad_pixels)
      continue;
    record.golden.store(facts.golden);
    record.rows.store(facts.rows);
    record.since_ns.store(realtime_ns());
    return record.number.load();
  }
  ModelRecord& record = layout.models[last % kModels];
  record.number.store(0);  // nobody may take the texts of two models for one
  record.path.store(facts.path);
  record.sha256.store(facts.sha256);
  record.bad_pixels.store(facts.bad_pixels);
  record.kind.store(facts.kind);
  record.golden.store(facts.golden);
  record.rows.store(facts.rows);
  record.since_ns.store(realtime_ns());
  record.number.store(last + 1);
  return last + 1;
}

const ModelRecord* newest_model(const ControlLayout& layout) {
  const auto newest =
      std::max_element(layout.models.begin(), layout.models.end(),
                       [](const ModelRecord& a, const ModelRecord& b) { return a.number.load() < b.number.load(); });
  return newest->number.load() == 0 ? nullptr : &*newest;
}

const ModelRecord* model_of(const ControlLayout& layout, std::uint64_t number) {
  if (number == 0) return nullptr;
  const ModelRecord& record = layout.models[(number - 1) % kModels];
  return record.number.load() == number ? &record : nullptr;
}

}  // namespace peaknet::shm
