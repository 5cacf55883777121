#!/usr/bin/env python3
"""Does the translator stop at what it does not know? A guess would be another program than the one that the GPU runs.

    ptx2cpp_test.py        (tests/gpusim/execute_test.cpp runs what it does know)
"""
import os
import subprocess
import sys
import tempfile
import unittest

TRANSLATOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ptx2cpp.py")
HEAD = """.version 9.0
.target sm_90
.address_size 64
"""
KERNEL = HEAD + """.visible .entry one(
	.param .u64 one_param_0
)
{
	.reg .pred 	%%p<3>;
	.reg .b32 	%%r<9>;
	.reg .f32 	%%f<9>;
	.reg .b64 	%%rd<9>;

	ld.param.u64 	%%rd1, [one_param_0];
	%s
	ret;
}
"""

KNOWN = ["add.s32 %r1, %r2, 5;", "st.global.u32 [%rd1+4], %r1;", "@!%p1 bra $L_1;\n$L_1:", "mov.u32 %r1, %laneid;",
         "vote.sync.ballot.b32 %r1, !%p1, -1;", "cvt.rzi.s32.f32 %r1, %f1;",
         "atom.global.add.u32 %r1, [%rd1], %r2;", "red.global.add.u64 [%rd1], 1;", "mov.b64 {%r1, %r2}, %rd1;"]
UNKNOWN = ["frobnicate.b32 %r1, %r2;",          # no such instruction
           "add.ftz.f32 %f1, %f2, %f3;",        # denormals would differ
           "add.sat.s32 %r1, %r2, %r3;",
           "min.f32 %f1, %f2, %f3;",            # std::min knows no NaN
           "fma.rz.f32 %f1, %f2, %f3, %f4;",    # another rounding
           "cvt.rni.s32.f32 %r1, %f1;",
           "cvt.sat.u8.u32 %r1, %r2;",
           "cvt.rn.bf16.f32 %r1, %f1;",
           "div.approx.f32 %f1, %f2, %f3;",
           "ld.const.u32 %r1, [%rd1];",
           "ld.local.u32 %r1, [%rd1];",
           "ld.global.volatile.u32 %r1, [%rd1];",
           "atom.global.add.s32 %r1, [%rd1], %r2;",
           "atom.global.max.u32 %r1, [%rd1], %r2;",
           "atom.shared.add.u32 %r1, [%rd1], %r2;",
           "red.release.gpu.global.add.u32 [%rd1], %r2;",
           "bar.sync 1;",                       # another barrier than that of the block
           "bar.sync 0, 64;",
           "vote.sync.uni.pred %p1, %p2, -1;",
           "activemask.b32 %r1;",               # lanes are interpreted one after the other: it has no answer
           "mov.u32 %r1, %clock;",
           "mov.u32 %r1, elsewhere;",
           "setp.eq.and.s32 %p1, %r1, %r2, %p2;",
           "call.uni function;",
           ".local .align 4 .b8 depot[8];"]


def translate(text):
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "in.ptx"), os.path.join(folder, "out.cpp")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        return subprocess.run([sys.executable, TRANSLATOR, target, source], capture_output=True, text=True, check=False)


class Translator(unittest.TestCase):
    def test_takes_what_it_knows(self):
        for line in KNOWN:
            with self.subTest(line):
                done = translate(KERNEL % line)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_stops_at_what_it_does_not_know_and_says_what_it_is(self):
        for line in UNKNOWN:
            with self.subTest(line):
                done = translate(KERNEL % line)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertRegex(done.stderr, r"^ptx2cpp: .*: not known$")

    def test_stops_at_a_module_of_another_form(self):
        for text in (HEAD, HEAD + ".func f()\n{\n\tret;\n}\n" + KERNEL % "", "not PTX"):
            with self.subTest(text):
                self.assertEqual(translate(text).returncode, 1)


if __name__ == "__main__":
    unittest.main()
