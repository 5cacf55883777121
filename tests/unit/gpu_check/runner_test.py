"""Does scripts/gpu-check tell the truth? Its exit code, its time-outs, its order, its table."""
import io
import json
import sys
import tempfile
import time
import unittest
import unittest.mock
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts/gpu_check"))
import bundle  # noqa: E402
import report  # noqa: E402
import steps  # noqa: E402
from machine import Machine  # noqa: E402
from runner import Failed, NoDevice, NotThere, Outcome, Step, Task, exit_code, run_steps  # noqa: E402


def raising(error):
    def step(_task):
        raise error
    return step


def run(*steps_of_run, budget=60.0):
    told = []
    outcomes, code = run_steps([Step(*one) for one in steps_of_run], budget, io.StringIO(), lambda so_far: told.append(len(so_far)))
    assert told == list(range(1, len(steps_of_run) + 1))
    return {one.name: one for one in outcomes}, code


class RunnerTest(unittest.TestCase):
    def test_all_that_passes_or_cannot_be_there_is_a_success(self):
        outcomes, code = run(("a", "", 9, lambda task: "done"), ("b", "", 9, raising(NotThere("no such tool"))))
        self.assertEqual([(one.verdict, one.text) for one in outcomes.values()], [("passed", "done"), ("not there", "no such tool")])
        self.assertEqual(code, 0)

    def test_steps_that_do_not_need_it_go_on_after_a_failure_and_the_failure_counts(self):
        outcomes, code = run(("a", "", 9, raising(Failed("3 of 4"))), ("b", "", 9, lambda task: "done", ("a",)),
                             ("c", "", 9, lambda task: "done"), ("d", "", 9, lambda task: "done", ("b",)))
        self.assertEqual([one.verdict for one in outcomes.values()], ["failed", "not run", "passed", "not run"])
        self.assertEqual(code, 1)

    def test_a_fault_of_the_check_itself_is_a_failure(self):
        outcomes, code = run(("a", "", 9, raising(KeyError("graphs"))), ("b", "", 9, lambda task: "done"))
        self.assertIn("KeyError", outcomes["a"].text)
        self.assertEqual(code, 1)

    def test_no_device_at_all_is_three_and_nothing_that_ran_is_no_success(self):
        self.assertEqual(run(("facts", "", 9, raising(NoDevice("none"))), ("b", "", 9, lambda task: "", ("facts",)))[1], 3)
        self.assertEqual(run(("a", "", 9, raising(NotThere("none"))))[1], 1)
        self.assertEqual(exit_code([]), 1)

    def test_a_program_that_does_not_end_is_ended_with_its_children_and_timed_out(self):
        with tempfile.TemporaryDirectory() as folder:
            alive = Path(folder) / "alive"
            script = f"(while :; do date +%s%N > {alive}; sleep 0.02; done) & sleep 600"
            outcomes, code = run(("hangs", "", 2.0, lambda task: task.call(["sh", "-c", script]).stdout),
                                 ("next", "", 9, lambda task: "done"))
            self.assertEqual([one.verdict for one in outcomes.values()], ["timed out", "passed"])
            self.assertEqual(code, 1)
            last = alive.read_text()
            time.sleep(0.2)
            self.assertEqual(alive.read_text(), last)

    def test_a_program_beside_a_step_ends_with_the_step(self):
        started = []
        with tempfile.TemporaryDirectory() as folder:
            def step(task):
                started.append(task.start(["sleep", "600"], Path(folder) / "log"))
                return "done"
            self.assertEqual(run(("a", "", 9, step))[1], 0)
        self.assertIsNotNone(started[0].poll())

    def test_a_step_gets_what_is_left_of_the_budget_and_none_is_begun_without(self):
        outcomes, code = run(("long", "", 600, lambda task: task.until(lambda: False)), ("late", "", 9, lambda task: "done"), budget=1.2)
        self.assertEqual([one.verdict for one in outcomes.values()], ["timed out", "timed out"])
        self.assertIn("not begun", outcomes["late"].text)
        self.assertEqual(code, 1)

    def test_a_command_that_is_not_there_is_127(self):
        self.assertEqual(Task(9, io.StringIO()).call(["/no/such/program"]).returncode, 127)

    def test_all_steps_together_fit_into_nine_minutes(self):
        self.assertLess(steps.BUDGET, 540)
        with tempfile.TemporaryDirectory() as folder:
            names = [step.name for step in steps.Check(Machine(Path(folder), None), steps.FULL, Path(folder)).steps()]
        self.assertEqual(len(names), len(set(names)))


class TestsTest(unittest.TestCase):
    """The judgement of a GoogleTest report."""

    def judge(self, code, *results):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.json"
            path.write_text(json.dumps({"testsuites": [{"testsuite": [dict(one, name=f"t{i}") for i, one in enumerate(results)]}]}))
            return steps.judge_tests("gpu_device_test", code, path)

    def test_tests_that_ran_are_counted(self):
        self.assertEqual(self.judge(0, {"result": "COMPLETED"}, {"result": "COMPLETED"}, {"result": "SUPPRESSED"}), 2)

    def test_a_skipped_test_a_failed_one_an_exit_code_and_no_test_at_all_are_failures(self):
        for code, results in ((0, [{"result": "COMPLETED"}, {"result": "SKIPPED"}]), (1, [{"result": "COMPLETED", "failures": [{}]}]),
                              (99, [{"result": "COMPLETED"}]), (0, [])):
            with self.assertRaises(Failed):
                self.judge(code, *results)
        with self.assertRaises(Failed):
            steps.judge_tests("gpu_device_test", -11, Path("/no/report"))


class MachineTest(unittest.TestCase):
    def test_our_programs_alone_get_the_libraries_and_what_was_set_stays(self):
        with unittest.mock.patch.dict("os.environ", LD_LIBRARY_PATH="/opt/driver:/opt/more"):
            machine = Machine(Path("/bundle"), None, extra={"LD_PRELOAD": "/sim.so"})
            folders = machine.environment()["LD_LIBRARY_PATH"].split(":")
            self.assertEqual(folders, ["/bundle/lib", "/opt/driver", "/opt/more", "/bundle/lib-last", "/usr/local/nvidia/lib64",
                                       "/usr/local/nvidia/lib"])
            self.assertEqual(machine.tools_environment()["LD_LIBRARY_PATH"], "/opt/driver:/opt/more")
            self.assertNotIn("LD_PRELOAD", machine.tools_environment())

    def test_the_c_library_and_libtorch_are_not_packed_and_what_torch_brings_comes_last(self):
        places = {"libc.so.6": "", "libtorch_cpu.so": "", "libc10_cuda.so": "", "libcap.so.2": "lib", "libcrypto.so.3": "lib",
                  "libhdf5_serial.so.103": "lib", "libcudart.so.13": "lib-last", "libgomp.so.1": "lib-last",
                  "libstdc++.so.6": "lib-libstdcxx", "libcupti.so.13": ""}
        self.assertEqual({name: bundle.place_of(name) for name in places}, places)

    def test_how_busy_a_device_was_is_read_by_the_name_of_the_column(self):
        dmon = "# gpu     pwr     sm    mem\n# Idx       W      %      %\n    0   400   97   12\n    1  1  2  3\n    0  1  99  1\n"
        self.assertEqual(steps.streaming_busy(dmon), [97, 99])
        self.assertEqual(steps.streaming_busy("not supported\n"), [])


class ReportTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def results(self, rehearsal):
        outcomes = [Outcome("facts", "GPU", "passed", "1 devices", 0.5, {"GPU": "a | b", "driver": "580"}),
                    Outcome("tune", "peaknetd tune", "failed", "exit 3", 2.0, {"events/s by batch": {"1": 5}})]
        about = {"commit": "abc", "command": "scripts/gpu-check --run x", "rehearsal": rehearsal, "time": "2026-11-30 06:00 UTC"}
        report.write(report.document(outcomes, 1, about), self.folder / "r.json")
        return self.folder / "r.json"

    def test_the_table_names_each_step_and_its_verdict(self):
        text = self.results(True).with_suffix(".md").read_text()
        self.assertIn("| tune | peaknetd tune | failed | 2.0 | exit 3 |", text)
        self.assertIn("| tune | events/s by batch | {\"1\": 5} |", text)
        self.assertIn("A rehearsal on simulated devices", text)

    def test_the_section_goes_into_the_benchmarks_and_leaves_the_others(self):
        benchmarks = self.folder / "benchmarks.md"
        before = (ROOT / "docs/benchmarks.md").read_text()
        benchmarks.write_text(before)
        report.publish(self.results(False), benchmarks)
        after = benchmarks.read_text()
        self.assertIn("<!-- suite gpu: begin -->\n## gpu: one run on a machine with a GPU", after)
        report.publish(self.results(False), benchmarks)
        self.assertEqual(benchmarks.read_text(), after)
        for section in before.split("<!-- suite ")[1:]:
            self.assertTrue(section.startswith("gpu:") or section.rstrip("\n") in after)

    def test_a_rehearsal_never_gets_into_the_benchmarks(self):
        with self.assertRaises(report.NotForTheDocuments):
            report.publish(self.results(True), self.folder / "benchmarks.md")
        self.assertFalse((self.folder / "benchmarks.md").exists())


if __name__ == "__main__":
    unittest.main()
