import threading
import unittest

import numpy as np
import peaknet_shm
from instance import Instance
from peaknet_shm import Producer, Tap


class TapTest(unittest.TestCase):
    def test_shows_the_newest_frame_once_as_a_copy_of_ones_own(self):
        with Instance(device=False) as instance, Producer.attach(instance.name) as producer:
            with Tap.open(instance.name) as tap:
                self.assertIsNone(tap.latest())
                for event in (4, 5):
                    with producer.claim() as frame:
                        frame.image[...] = event
                        frame.info.event_id = event
                seen = tap.latest()
                self.assertEqual(seen.descriptor.info.event_id, 5)
                self.assertEqual(seen.descriptor.state, "ready")
                self.assertTrue((seen.image == 5).all())
                self.assertIsNone(seen.mask)
                self.assertIsNone(tap.latest())
                seen.image[...] = 6  # nobody else sees that
                self.assertIsNone(tap.latest(result=True))

    def test_shows_results_also_when_a_writer_is_done_with_them(self):
        with Instance() as instance, Producer.attach(instance.name) as producer:
            with producer.claim() as frame:
                frame.image[...] = 1
                frame.image[0, 2, 65] = 1500
            instance.wait_until(lambda books: books["written"] == 1)
            with Tap.open(instance.name) as tap:
                seen = tap.latest(result=True)
            self.assertEqual(seen.descriptor.state, "free")
            self.assertEqual(seen.descriptor.run, "run-1")
            self.assertEqual(np.argwhere(seen.mask).tolist(), [[0, 2, 65]])

    def test_never_shows_a_torn_frame_while_everything_runs(self):
        with Instance(slots=3, shape=(1, 256, 256)) as instance, Tap.open(instance.name) as tap:
            done = threading.Event()

            def produce():
                with Producer.attach(instance.name) as producer:
                    for event in range(1, 1500):
                        with producer.claim(timeout=20) as frame:
                            frame.info.event_id = event
                            frame.image[...] = event % 1000
                            if event % 2 == 0:
                                frame.image[...] = 2000
                done.set()

            threading.Thread(target=produce).start()
            seen, before = 0, 0
            while not done.is_set():
                try:
                    shot = tap.latest(result=True)
                except peaknet_shm.TapOverrun:
                    continue
                if shot is None:
                    continue
                event = shot.descriptor.info.event_id
                expected = 2000 if event % 2 == 0 else event % 1000
                self.assertTrue((shot.image == expected).all(), event)
                self.assertTrue((shot.mask == (event % 2 == 0)).all(), event)
                self.assertGreater(shot.descriptor.sequence, before)
                seen, before = seen + 1, shot.descriptor.sequence
            self.assertGreater(seen, 0)
            books = instance.wait_until_empty()
            self.assertEqual(books["committed"], books["written"])

    def test_says_why_there_is_nothing_to_look_at(self):
        with self.assertRaises(peaknet_shm.Absent):
            Tap.open("no-such-instance-here")
        with Instance() as instance:
            tap = Tap.open(instance.name)
        with tap, self.assertRaises(peaknet_shm.InstanceRemoved):
            tap.latest()


if __name__ == "__main__":
    unittest.main()
