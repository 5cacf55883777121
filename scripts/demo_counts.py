#!/usr/bin/env python3
"""Prints what became of the frames of a demo; exit 1 unless all of them are accounted for and some were written.

    scripts/demo_counts.py STATS.json FILE.cxi PICTURE.png
"""
import json
import sys


def rows(stats):
    frames, latency, device = stats["frames"], stats["latency_us"]["total"], stats["devices"][0]
    yield "frames in", frames["committed"]
    for name in ("inferred", "written", "filtered"):
        yield name, frames[name]
    for name in ("dropped", "failed"):
        yield name, sum(frames[name].values())
    yield "imbalance", frames["imbalance"]
    if device.get("busy_ns"):
        yield "rate", f"{frames['inferred'] / (device['busy_ns'] / 1e9):.0f} frames/s while the device was busy"
    yield "latency", f"p50 {latency['p50'] / 1000:.0f} ms, p99 {latency['p99'] / 1000:.0f} ms from commit to durable file"


def is_whole(frames):
    lost = sum(frames["dropped"].values()) + sum(frames["failed"].values())
    return frames["written"] and not (frames["imbalance"] or lost or frames["in_flight"])


def main(stats_file, *files):
    with open(stats_file, encoding="utf-8") as file:
        stats = json.load(file)
    for name, value in [*rows(stats), *zip(("CXI file", "picture"), files)]:
        print(f"  {name:<10} {value}")
    if not is_whole(stats["frames"]):
        sys.exit("the counts do not balance, or frames were dropped, failed or left over")


if __name__ == "__main__":
    main(*sys.argv[1:])
