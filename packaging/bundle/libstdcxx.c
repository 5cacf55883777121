// What the libstdc++ of a bundle needs beside the objects that Debian ships for one (scripts/older_libraries).
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

// glibc has arc4random(3) since 2.36; std::random_device calls it.
__attribute__((visibility("hidden"))) uint32_t arc4random(void) {
  uint32_t number;
  while (getrandom(&number, sizeof number, 0) != sizeof number)
    if (errno != EINTR) abort();
  return number;
}

// std::istream::ignore(n), which libstdc++ keeps for programs of older compilers, as LibTorch: ignore(n, end of file).
extern void* ignore_until(void* stream, long n, int delimiter) __asm__("_ZNSi6ignoreEli");
void* ignore_n(void* stream, long n) { return ignore_until(stream, n, -1); }
__asm__(".symver ignore_n, _ZNSi6ignoreEl@@GLIBCXX_3.4.5");
