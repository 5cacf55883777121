"""Ctrl-C in a program that waits for shared memory: no wait may hold it back, and what was interrupted leaves nothing.

The wait that is asked for is so long that it cannot have ended by itself; the signal comes when a wait has begun.
"""

import subprocess
import sys
import unittest

import numpy as np
from instance import Instance
from peaknet_shm import PoolFull, Producer

LONG = 1e6  # seconds

PROGRAM = """
import sys, threading, os, signal
import numpy as np
from peaknet_shm import Consumer, Producer
name, what = sys.argv[1:3]
Client = Consumer if what == 'take' else Producer
waiting = {
    'put': lambda client: client.put(np.zeros((1, 48, 70), np.uint16), timeout=%(long)r),
    'claim': lambda client: client.claim(timeout=%(long)r),
    'take': lambda client: client.take(timeout=%(long)r),
}[what]
with Client.attach(name) as client:
    threading.Timer(0.35, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        waiting(client)
        print('it did not wait')
    except KeyboardInterrupt:
        print('interrupted')
""" % {"long": LONG}


class InterruptTest(unittest.TestCase):
    def interrupted(self, instance, what):
        program = subprocess.Popen([sys.executable, "-c", PROGRAM, instance.name, what], stdout=subprocess.PIPE, text=True)
        try:
            said, _ = program.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.fail(f"Ctrl-C does not reach a program that waits in {what}")
        finally:
            program.kill()
            program.wait()
        return said.strip()

    def test_no_wait_holds_back_a_keyboard_interrupt(self):
        with Instance(slots=2, device=False, writer=False) as instance:
            self.assertEqual(self.interrupted(instance, "take"), "interrupted")
            with Producer.attach(instance.name) as full:
                for _ in range(2):
                    full.put(np.zeros((1, 48, 70), np.uint16))
                self.assertEqual(self.interrupted(instance, "put"), "interrupted")
                self.assertEqual(self.interrupted(instance, "claim"), "interrupted")
                books = instance.books()
                self.assertEqual((books["refused_full"], books["committed"], books["imbalance"]), (0, 2, 0))

    def test_a_wait_is_as_long_as_was_asked_for_and_its_end_is_counted_once(self):
        with Instance(slots=2, device=False, writer=False) as instance, Producer.attach(instance.name) as producer:
            for _ in range(2):
                producer.put(np.zeros((1, 48, 70), np.uint16))
            for waits in (lambda: producer.put(np.zeros((1, 48, 70), np.uint16), timeout=0.35),
                          lambda: producer.claim(timeout=0.35)):
                with self.assertRaises(PoolFull) as refused:
                    waits()
                waited = int(str(refused.exception).split(" after ")[1].split()[0])
                self.assertGreaterEqual(waited, 350)
            self.assertEqual(instance.books()["refused_full"], 2)


if __name__ == "__main__":
    unittest.main()
