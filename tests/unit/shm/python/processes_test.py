"""Several processes, some of which are killed: what was committed is there once, and the frame accounting balances."""

import multiprocessing
import os
import random
import signal
import tempfile
import time
import unittest
from collections import Counter
from pathlib import Path

from instance import Instance
from peaknet_shm import Consumer, Forked, Producer, Tap


def produce(name, log, frames):
    """Commits frames and notes each one, by (producer, producer_seq, event), after its commit has returned."""
    with Producer.attach(name, label=f"python {os.getpid()}") as producer, open(log, "ab", buffering=0) as notes:
        event = 0
        while event < frames:
            with producer.claim(timeout=60) as frame:
                frame.image[...] = event % 60000
                frame.info.event_id = event
            notes.write(b"%d %d %d\n" % (producer.number, frame.producer_seq, event))
            event += 1


def take_and_die(name, taken):
    with Consumer.attach(name) as consumer:
        result = consumer.take(timeout=20)
        taken.send(result.descriptor.info.event_id)
        signal.pause()


class ProcessesTest(unittest.TestCase):
    def test_eight_producers_two_of_them_killed(self):
        frames = 400
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        with tempfile.TemporaryDirectory() as folder, Instance(slots=16) as instance:
            logs = [Path(folder) / f"{i}.log" for i in range(8)]
            processes = []
            for i, log in enumerate(logs):
                context = multiprocessing.get_context("fork" if i < 4 else "spawn")
                endless = i in (0, 4)  # one of each kind is killed
                processes.append(context.Process(target=produce, args=(instance.name, log, 1 << 40 if endless else frames)))
            for process in processes:
                process.start()
            for i in (0, 4):
                while not logs[i].exists() or logs[i].stat().st_size == 0:
                    self.assertTrue(processes[i].is_alive())
                    time.sleep(0.001)
                time.sleep(chance.uniform(0, 0.2))
                os.kill(processes[i].pid, signal.SIGKILL)
            for process in processes:
                process.join()
            self.assertEqual([p.exitcode for p in processes], [-9, 0, 0, 0, -9, 0, 0, 0])

            books = instance.wait_until_empty()
            finished = [tuple(entry) for entry in instance.ask("finished")]
            self.assertEqual(books["committed"], len(finished), f"seed {seed}")
            self.assertEqual(books["written"], len(finished))
            keys = Counter(entry[:2] for entry in finished)
            self.assertEqual([key for key, count in keys.items() if count > 1], [])
            for entry in finished:  # whole, and what its event says
                self.assertEqual(entry[3], entry[2] % 60000)

            done = {entry[:3] for entry in finished}
            for i, log in enumerate(logs):
                notes = {tuple(map(int, line.split())) for line in log.read_text().splitlines()}
                self.assertTrue(notes, f"producer {i} committed nothing")
                self.assertEqual(notes - done, set(), f"lost, seed {seed}")
                number = next(iter(notes))[0]
                mine = {entry for entry in done if entry[0] == number}
                self.assertEqual({seq for _, seq, _ in mine}, set(range(len(mine))), "dense")
                if i in (0, 4):  # the last commit may not have been noted any more
                    self.assertLessEqual(len(mine - notes), 1, f"seed {seed}")
                else:
                    self.assertEqual(mine, notes)
                    self.assertEqual(len(mine), frames)

    def test_a_forked_child_has_to_attach_for_itself(self):
        def in_child(check):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    check()
                    code = 0
                finally:
                    os._exit(code)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)

        with Instance(writer=False) as instance, Producer.attach(instance.name) as producer:
            with Consumer.attach(instance.name) as consumer, Tap.open(instance.name) as tap:
                with producer.claim() as frame:
                    frame.image[...] = 1
                result = consumer.take(timeout=20)
                frame = producer.claim()

                def inherited():
                    for use in (producer.claim, frame.commit, lambda: frame.image, consumer.take, result.finish,
                                lambda: result.image, tap.latest):
                        with self.assertRaisesRegex(Forked, "attach again"):
                            use()
                    producer.close()
                    consumer.close()
                    with Producer.attach(instance.name) as own, own.claim() as mine:
                        mine.image[...] = 2

                in_child(inherited)
                frame.image[...] = 3  # the parent's are as they were
                frame.commit()
                result.finish()
                for _ in range(2):
                    with consumer.take(timeout=20) as result:
                        result.finish()
            books = instance.wait_until_empty()
            self.assertEqual((books["committed"], books["written"], books["producer_died"]), (3, 3, 0))

    def test_the_result_of_a_consumer_that_was_killed_is_offered_again(self):
        with Instance(writer=False) as instance, Producer.attach(instance.name) as producer:
            with producer.claim() as frame:
                frame.image[...] = 1
                frame.info.event_id = 77
            context = multiprocessing.get_context("spawn")
            here, there = context.Pipe()
            process = context.Process(target=take_and_die, args=(instance.name, there))
            process.start()
            self.assertEqual(here.recv(), 77)
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            with Consumer.attach(instance.name) as consumer, consumer.take(timeout=20) as result:
                self.assertEqual(result.descriptor.info.event_id, 77)
                self.assertEqual(result.descriptor.attempts, 1)
                self.assertNotEqual(result.descriptor.last_writer, 0)
                result.finish()
            self.assertEqual(instance.wait_until_empty()["written"], 1)


if __name__ == "__main__":
    unittest.main()
