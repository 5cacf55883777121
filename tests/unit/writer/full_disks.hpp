// A disk that is full again and again, each time at another place of the writer's work: it holds, goes on when there is
// room, and every frame is in exactly one finished file. Short forms run with the unit tests, the long one as soak.
#pragma once

namespace peaknet::test {

// Until the disk has been full so many times. Fails the running test where something is not as it must be; skips it
// where mounting is not allowed.
void expect_to_survive_full_disks(int times, unsigned seed);

}  // namespace peaknet::test
