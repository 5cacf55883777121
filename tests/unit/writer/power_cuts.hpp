// Power cuts under a writer at work, on a PowerDisk: every event that was acknowledged (its slot was free again,
// counted as written) is in exactly one readable file afterwards. Short form with the unit tests, the long one as soak.
#pragma once

namespace peaknet::test {

// Fails the running test where something is not as it must be; skips it where nothing may be mounted.
void expect_to_survive_power_cuts(int cuts, unsigned seed);

}  // namespace peaknet::test
