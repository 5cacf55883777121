"""An instance of its own for one test: the program peaknet_test_instance, which plays the daemon and the writer."""

import json
import os
import subprocess
import time

UINT16, INT16, FLOAT32 = 1, 2, 3


class Instance:
    """with Instance(slots=4) as instance: Producer.attach(instance.name)"""

    def __init__(self, slots=8, shape=(1, 48, 70), pixel_type=UINT16, device=True, writer=True):
        without = ([] if device else ["no-device"]) + ([] if writer else ["no-writer"])
        numbers = [str(number) for number in (slots, *shape, pixel_type)]
        self._program = subprocess.Popen([os.environ["PEAKNET_TEST_INSTANCE"], *numbers, *without],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = self._program.stdout.readline().strip()
        self.slots = slots

    def ask(self, command):
        self._program.stdin.write(command + "\n")
        self._program.stdin.flush()
        return json.loads(self._program.stdout.readline())

    def books(self):
        return self.ask("books")

    def wait_until(self, holds, at_most=30.0):
        """Until `holds(books)`; returns the books. For what happens in other processes and no event announces."""
        end = time.monotonic() + at_most
        while True:
            books = self.books()
            if books["imbalance"] is not None and holds(books):
                return books
            if time.monotonic() > end:
                raise AssertionError(f"did not come to hold in {at_most} s: {books}")
            time.sleep(0.002)

    def wait_until_empty(self):
        return self.wait_until(lambda books: books["free"] == self.slots and books["imbalance"] == 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._program.stdin.close()
        self._program.wait(timeout=30)
        self._program.stdout.close()
        if self._program.returncode != 0:
            raise AssertionError(f"peaknet_test_instance ended with {self._program.returncode}")
