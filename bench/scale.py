#!/usr/bin/env python3
"""What bounds 10, 100 and 1000 nodes: measures a node, and plays a stream over many of them. Writes the tables of docs/scale.md.

    scale.py --bin build/release/bin [--inputs FILE.json] [--ranks 128] [--rate HZ] [--infer-ms MS] [--link-gbps 100] [--disk-gbs 100]

Measured here, on one node: messages/s that the feed brings into slots (bench/feed: stored npz of 8 images over loopback), and images/s
that the writer brings into durable files (bench/writer: 2 MiB images as they are), scaled to the image size by bytes. Given, because
nobody can measure them here: the time of the network per image (--infer-ms: of your GPU and model), links, and the shared file system. Saved with
--inputs, and read from there if the file exists: the tables can be made again without measuring.

The play: each rank is a PUSH socket that connects to some of the nodes, gives messages to those in turn whose pipe has room (5 at the
sender, 4 at the node), and sends at its share of the rate over its own link. A node takes one message after the other, through its link,
feed, network and writer, which work side by side, so the slowest sets its pace; service times vary by a tenth. One node in a hundred dies in
mid-run. Ranks x nodes connections cost memory, which is why the last column is there.
"""
import argparse
import heapq
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List

EVENTS, SIDE, BYTES = 8, 1920, 8 * 1920 * 1920 * 4
PIPE, HELD = 5, 4  # messages: ZeroMQ's high-water marks at the sender and at the node


def measure(bin_dir: Path) -> Dict[str, float]:
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.path.insert(0, str(Path(__file__).resolve().parent / "feed"))
    from suite import Bench

    import report  # of bench/feed

    bench = Bench("quick", bin_dir)
    with tempfile.TemporaryDirectory(prefix="bench_scale_") as folder:
        runs = report.Runs(bench, Path(folder))
        runs.make_messages()
        feed = [runs.measure("listen:stored") for _ in range(3)]
        writer = []
        for _ in range(3):
            with tempfile.TemporaryDirectory(dir=".", prefix="bench_scale_") as out:
                done = subprocess.run([str(bin_dir / "writer_run"), "none", "--size", "1024", "--events", "400", "--slots", "128",
                                       "--folder", out], capture_output=True, text=True, check=True)
            writer.append(json.loads(done.stdout)["events_per_s"])
    return {"feed_messages_per_s": sorted(f["messages_per_s"] for f in feed if f)[len(feed) // 2],
            "writer_bytes_per_s": sorted(writer)[len(writer) // 2] * 2 * 1024 * 1024}


def play(nodes: int, peers: int, ranks: int, rate: float, pace: float, messages: int, disk: float) -> Dict[str, float]:
    """`pace`: seconds a message takes a node; `rate`: messages/s of all ranks; `disk`: seconds a message takes the shared file system."""
    choice = random.Random(1)
    # Neighbouring ranks connect to neighbouring nodes, round and round: every node has about ranks x peers / nodes of them.
    connected = [[(rank * nodes // ranks + i) % nodes for i in range(peers)] for rank in range(ranks)]
    turn = [0] * ranks
    waiting = [dict.fromkeys(c, 0) for c in connected]  # messages in each pipe
    free_at, disk_free, done, lost = [0.0] * nodes, 0.0, 0, 0
    deaths = {choice.randrange(nodes): messages / rate / 2 for _ in range(nodes // 100)}
    events: List[Any] = [(r * 1.0 / rate, 0, r, -1) for r in range(ranks)]
    heapq.heapify(events)
    sent, in_time, last_sent = 0, 0, 0.0
    while events:
        now, kind, rank, node = heapq.heappop(events)
        if kind == 1:  # a node is done with a message of this rank
            waiting[rank][node] -= 1
            if node in deaths and now > deaths[node]:
                lost += 1
            else:
                done += 1
                in_time += 1 if now <= last_sent or sent < messages else 0
            continue
        if sent >= messages:
            continue
        for _ in range(len(connected[rank])):
            node = connected[rank][turn[rank] % len(connected[rank])]
            turn[rank] += 1
            alive = node not in deaths or now <= deaths[node]
            if alive and waiting[rank][node] < PIPE + HELD:
                break
        else:
            heapq.heappush(events, (now + 0.2 * pace, 0, rank, -1))
            continue
        sent += 1
        last_sent = now
        waiting[rank][node] += 1
        start = max(now, free_at[node])
        free_at[node] = start + pace * choice.uniform(0.9, 1.1)
        disk_free = max(disk_free, start) + disk
        heapq.heappush(events, (max(free_at[node], disk_free), 1, rank, node))
        heapq.heappush(events, (now + ranks / rate, 0, rank, -1))
    return {"done": done, "lost": lost, "per_s": in_time / last_sent if last_sent else 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=Path("build/release/bin"))
    parser.add_argument("--inputs", type=Path)
    parser.add_argument("--ranks", type=int, default=128)
    parser.add_argument("--infer-ms", type=float, default=5.0, help="of the network, per image, all GPUs of a node together")
    parser.add_argument("--link-gbps", type=float, default=100.0)
    parser.add_argument("--disk-gbs", type=float, default=100.0, help="GB/s of the shared file system")
    parser.add_argument("--hit-fraction", type=float, default=0.1, help="share of the images that are written")
    arguments = parser.parse_args()
    if arguments.inputs and arguments.inputs.exists():
        inputs = json.loads(arguments.inputs.read_text())
    else:
        inputs = measure(arguments.bin)
        if arguments.inputs:
            arguments.inputs.write_text(json.dumps(inputs) + "\n")
    hits = arguments.hit_fraction
    stages = {"link": BYTES * 8 / (arguments.link_gbps * 1e9), "feed": 1 / inputs["feed_messages_per_s"],
              "network": EVENTS * arguments.infer_ms * 1e-3, "writer": hits * BYTES / inputs["writer_bytes_per_s"]}
    slowest = max(stages, key=lambda stage: stages[stage])
    pace = stages[slowest]
    disk = hits * BYTES / (arguments.disk_gbs * 1e9)
    print("| stage of a node | ms a message of 8 images | images/s alone |\n| --- | --: | --: |")
    for stage, seconds in stages.items():
        print(f"| {stage}{' (the slowest)' if stage == slowest else ''} | {seconds * 1e3:.1f} | {EVENTS / seconds:.0f} |")
    print(f"\nShared: {arguments.ranks} ranks with links of {arguments.link_gbps:.0f} Gbit/s, a file system of {arguments.disk_gbs:.0f} GB/s.\n")
    print("| nodes | nodes a rank connects to | asked images/s | images/s | of all nodes' capacity | bound by | memory at most, a rank / a node "
          "| lost by dying nodes |\n| --: | --: | --: | --: | --: | --- | --: | --: |")
    for nodes in (1, 10, 100, 1000):
        for peers in sorted({nodes, min(nodes, max(8, -(-4 * nodes // arguments.ranks)))}, reverse=True):
            capacity = nodes / pace
            shared = {"file system": 1 / disk if disk else 1e18, "ranks' links": arguments.ranks * arguments.link_gbps * 1e9 / 8 / BYTES}
            asked = 1.2 * capacity
            # A rank cannot send faster than its link.
            rate = min(asked, shared["ranks' links"])
            found = play(nodes, peers, arguments.ranks, rate, pace, max(4000, 100 * nodes), disk)
            bound = min({**shared, f"nodes ({slowest})": capacity}.items(), key=lambda item: item[1])[0]
            rank_memory = peers * PIPE * BYTES / 1e9
            node_memory = arguments.ranks * peers / nodes * HELD * BYTES / 1e9
            print(f"| {nodes} | {peers} | {asked * EVENTS:.0f} | {found['per_s'] * EVENTS:.0f} | {100 * found['per_s'] / capacity:.0f} % | {bound} "
                  f"| {rank_memory:.1f} / {node_memory:.1f} GB | {100 * found['lost'] / max(1, found['lost'] + found['done']):.2f} % |")


if __name__ == "__main__":
    main()
