"""Do the benchmarks run, and is what scripts/bench writes well-formed? At the smallest size, with the peers that are here."""
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ["PEAKNET_SOURCE_DIR"])
PROGRAMS = Path(os.environ["PEAKNET_BIN_DIR"])
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "bench" / "shm"), str(ROOT / "bench" / "chain")]
import ours  # noqa: E402
from frames import saved  # noqa: E402
from handover import TRANSPORTS, Plan, RunFailed, measure  # noqa: E402
from suite import Spread, interleaved, short, table  # noqa: E402

ANOTHER = "<!-- suite another: begin -->\n## another: a suite that is not run here\n\n| a | b |\n<!-- suite another: end -->\n"


def report(output: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, str(ROOT / "bench/report.py"), "--smallest", "--bin", str(PROGRAMS), "--output",
                           str(output), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout


class HandOver(unittest.TestCase):
    def test_a_run_counts_frames_cpu_and_latencies(self) -> None:
        outcome = measure(Plan("peaknet-python", 4096, 2, 1, seconds=0.3, warm_up=0.1), PROGRAMS)
        self.assertGreater(outcome["frames"], 0)
        self.assertAlmostEqual(outcome["gb_per_s"], outcome["frames_per_s"] * 4096e-9)
        self.assertGreater(outcome["cpu_us_per_frame"], outcome["producer_cpu_us_per_frame"])
        self.assertGreater(outcome["latency_us"]["p50"], 0)
        self.assertLessEqual(outcome["latency_us"]["p50"], outcome["latency_us"]["p99"])

    def test_a_run_that_cannot_begin_says_so_and_leaves_nothing(self) -> None:
        with self.assertRaises(RunFailed):
            measure(Plan("peaknet", 7, seconds=0.1), PROGRAMS)  # no image has 7 bytes
        left = [name for name in os.listdir("/dev/shm") if name.startswith(f"peaknet.bench-{os.getpid()}-")]
        self.assertEqual(left, [])


class Chain(unittest.TestCase):
    def run_of(self, **more) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            frames = saved(Path(folder), (1, 64, 64), 8, 0.5)
            return ours.measure(ours.Plan(frames, seconds=0.5, warm_up=0.5, slots=32, disk=Path(folder), **more), PROGRAMS)

    def test_a_run_counts_what_came_through_and_what_it_cost(self) -> None:
        outcome = self.run_of(producers=2)
        self.assertGreater(outcome["frames_per_s"], 0)
        self.assertGreater(outcome["cpu_us_per_frame"], 0)
        self.assertGreater(outcome["memory_mib"], 0)
        self.assertLessEqual(outcome["latency_ms"]["p50"], outcome["latency_ms"]["p99"])

    def test_what_the_pool_refused_is_said(self) -> None:
        self.assertEqual(self.run_of(rate=20)["refused"], 0)
        self.assertGreater(self.run_of(rate=1e4, model="builtin:delay=200")["refused"], 0)

    def test_a_run_that_cannot_begin_says_so_and_leaves_nothing(self) -> None:
        with self.assertRaises(ours.RunFailed):
            self.run_of(model="builtin:nothing")
        left = [name for name in os.listdir("/dev/shm") if name.startswith(f"peaknet.bench-{os.getpid()}-")]
        self.assertEqual(left, [])


class Rounds(unittest.TestCase):
    def test_everybody_has_a_turn_in_every_round(self) -> None:
        order = []
        found = interleaved("abc", 2, lambda key: order.append(key) or len(order))
        self.assertEqual("".join(order), "abccba")
        self.assertEqual(found, {"a": [1, 6], "b": [2, 5], "c": [3, 4]})

    def test_ratios_are_taken_round_by_round(self) -> None:
        self.assertEqual(Spread.of_ratios([2, None, 30, 8], [1, 1, 10, 2]), Spread(3, 2, 4))
        self.assertIsNone(Spread.of_ratios([None], [1.0]))

    def test_numbers_are_short(self) -> None:
        self.assertEqual([short(x) for x in (0.12345, 12.345, 1234.5, 12345, 123456, 1234567, None)],
                         ["0.123", "12.3", "1234", "12.3 k", "123 k", "1.23 M", "–"])


class Report(unittest.TestCase):
    def test_a_section_is_replaced_and_the_others_stay(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "benchmarks.md"
            output.write_text("old head\n\n" + ANOTHER + "\n<!-- suite shm: begin -->\nold figures\n<!-- suite shm: end -->\n")
            report(output, "shm")
            text = output.read_text()
            self.assertIn(ANOTHER, text)
            self.assertNotIn("old head", text)
            self.assertNotIn("old figures", text)
            self.assertEqual(text.count("<!-- suite shm: begin -->"), 1)
            for what in ("- Machine: ", "- Versions: commit ", "- Command: `scripts/bench"):
                self.assertIn(what, text)
            self.check_tables(text.split("<!-- suite shm: begin -->")[1].split("\n<!-- suite shm: end -->")[0])
            for name in ("peaknet", "memcpy", "zeromq", "boost"):
                row = re.search(rf"^\| {re.escape(TRANSPORTS[name].title)} \| ([^|]+) \|", text, re.MULTILINE)
                self.assertIsNotNone(row, name)
                self.assertRegex(row.group(1), r"^[\d.]+( [kM])?$")

    def check_tables(self, text: str) -> None:
        tables = [block for block in text.split("\n\n") if block.startswith("| ")]
        self.assertGreaterEqual(len(tables), 3)
        for block in tables:
            self.assertEqual(len({line.count("|") for line in block.splitlines()}), 1, block)

    def test_every_suite_says_what_it_needs_built(self) -> None:
        done = subprocess.run([sys.executable, str(ROOT / "bench/report.py"), "--list-targets"], capture_output=True, text=True)
        self.assertIn("handover_bench", done.stdout.split(), done.stderr)

    def test_a_table_is_markdown(self) -> None:
        self.assertEqual(table(["x", "y"], [["a", None]]), "| x | y |\n| --- | --: |\n| a | – |")


if __name__ == "__main__":
    unittest.main()
