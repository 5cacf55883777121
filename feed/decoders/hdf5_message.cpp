#include "feed/decoders/hdf5_message.hpp"

#include <span>

namespace peaknet::feed {
namespace {

// What the driver is told of a message.
struct Source {
  const Sandbox::ReadAt* read = nullptr;
  std::uint64_t bytes = 0;
};

// The library's idea of an open file comes first.
struct File {
  H5FD_t base;
  Source source;
  haddr_t end;
};

H5FD_t* open_file(const char*, unsigned, hid_t access, haddr_t) {
  const auto* source = static_cast<const Source*>(H5Pget_driver_info(access));
  return source == nullptr ? nullptr : &(new File{{}, *source, 0})->base;
}
File& file_of(H5FD_t* base) { return *reinterpret_cast<File*>(base); }
const File& file_of(const H5FD_t* base) { return *reinterpret_cast<const File*>(base); }

herr_t close_file(H5FD_t* base) {
  delete &file_of(base);
  return 0;
}
herr_t query(const H5FD_t*, unsigned long* features) {
  if (features != nullptr) *features = 0;
  return 0;
}
haddr_t end_of_addresses(const H5FD_t* base, H5FD_mem_t) { return file_of(base).end; }
herr_t set_end(H5FD_t* base, H5FD_mem_t, haddr_t end) {
  file_of(base).end = end;
  return 0;
}
haddr_t end_of_file(const H5FD_t* base, H5FD_mem_t) { return file_of(base).source.bytes; }
herr_t read_part(H5FD_t* base, H5FD_mem_t, hid_t, haddr_t at, size_t bytes, void* to) {
  const Source& source = file_of(base).source;
  return (*source.read)(at, std::span(static_cast<std::byte*>(to), bytes)) ? 0 : -1;
}
herr_t refuse_write(H5FD_t*, H5FD_mem_t, hid_t, haddr_t, size_t, const void*) { return -1; }

hid_t driver() {
  static const hid_t registered = [] {
    H5FD_class_t about{};
    about.name = "peaknet-message";
    about.maxaddr = HADDR_MAX;
    about.fc_degree = H5F_CLOSE_STRONG;
    about.fapl_size = sizeof(Source);
    about.open = open_file;
    about.close = close_file;
    about.query = query;
    about.get_eoa = end_of_addresses;
    about.set_eoa = set_end;
    about.get_eof = end_of_file;
    about.read = read_part;
    about.write = refuse_write;
    for (auto& kind : about.fl_map) kind = H5FD_MEM_SUPER;
    return H5FDregister(&about);
  }();
  return registered;
}

}  // namespace

Hdf5Handle open_hdf5_message(const Sandbox::ReadAt& message, std::uint64_t message_bytes) {
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  const Source source{&message, message_bytes};
  if (H5Pset_driver(access.get(), driver(), &source) < 0) return {};
  return {H5Fopen("message", H5F_ACC_RDONLY, access.get()), H5Fclose};
}

}  // namespace peaknet::feed
