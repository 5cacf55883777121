"""EPICS process variables (PV Access) of a peaknetd instance, and a detector of ophyd-async made of them.

    peaknet-epics --config /etc/peaknet/mfx.yaml --prefix MFX:PEAKNET:

It knows what peaknetctl knows and what lies in the files, and asks peaknetctl for everything that it changes. So sockets,
keys, time-outs, idempotency and what is said when peaknetd hangs or is dead are those of peaknetctl, and there is no
second client of the control protocol to keep right; a look costs one process of 10 ms. Only pixels come another way: from
the instance's tap (peaknet_shm), which disturbs nobody. `docs/epics.md` lists the variables.

Unknown is an alarm and never 0: where nothing is known a variable has severity INVALID, a message that says why, and the
time since when. It keeps the last value then, or NaN, "" or 0 where there was none.
"""
