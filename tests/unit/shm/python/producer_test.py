import gc
import math
import pickle
import threading
import unittest

import numpy as np
import peaknet_shm
from instance import FLOAT32, Instance
from peaknet_shm import Ended, PoolFull, Producer


class ProducerTest(unittest.TestCase):
    def test_commits_what_was_written_into_the_slot_at_the_end_of_the_block(self):
        with Instance() as instance, Producer.attach(instance.name, label="camera") as producer:
            self.assertEqual(producer.geometry.shape, (1, 48, 70))
            self.assertEqual(producer.geometry.dtype, np.uint16)
            for event in (7, 8):
                with producer.claim(timeout=5) as frame:
                    frame.image[...] = event
                    frame.info.event_id = event
                self.assertEqual(frame.producer_seq, event - 7)
            instance.wait_until(lambda books: books["written"] == 2)
            expected = [[producer.number, 0, 7, 7], [producer.number, 1, 8, 8]]
            self.assertEqual(instance.ask("finished"), expected)

    def test_a_block_that_raises_leaves_no_frame_behind(self):
        with Instance() as instance, Producer.attach(instance.name) as producer:
            with self.assertRaises(KeyError):
                with producer.claim() as frame:
                    frame.image[...] = 1
                    raise KeyError("no event")
            books = instance.wait_until_empty()
            self.assertEqual((books["committed"], books["aborted"]), (0, 1))

    def test_every_fact_that_a_producer_states_arrives(self):
        with Instance(writer=False) as instance, Producer.attach(instance.name) as producer:
            with producer.claim() as frame:
                self.assertTrue(math.isnan(frame.info.photon_energy_ev))
                self.assertEqual(frame.info.original_shape, (48, 70))
                frame.info.event_id = 2**64 - 1
                frame.info.set_time_ns(1_700_000_000_123_456_789)
                frame.info.photon_energy_ev = 9500.5
                frame.info.encoder_value = -572.25
                frame.info.fiducial = 0
                frame.info.source_run = "run 12 äöü"
                frame.info.flags = peaknet_shm.NORMALISED
                frame.info.original_shape, frame.info.padding = (40, 60), (8, 10)
                frame.info.user = (1, 2, 3, 2**63)
            with peaknet_shm.Consumer.attach(instance.name) as consumer, consumer.take(timeout=5) as result:
                self.assertEqual(result.descriptor.info, frame.info)
                self.assertEqual(result.descriptor.info.timestamp, 1_700_000_000 << 32 | 123_456_789)
                self.assertEqual(result.descriptor.producer, producer.number)
                self.assertEqual(result.descriptor.run, "run-1")
                result.finish()

    def test_a_frame_of_which_nothing_is_said_has_the_values_it_was_claimed_with(self):
        with Instance(writer=False) as instance, Producer.attach(instance.name) as producer:
            with producer.claim() as frame:
                frame.image[...] = 1
            with self.assertRaises(Ended):
                frame.info
            with peaknet_shm.Consumer.attach(instance.name) as consumer, consumer.take(timeout=5) as result:
                self.assertEqual(result.descriptor.info.original_shape, (48, 70))
                self.assertTrue(math.isnan(result.descriptor.info.photon_energy_ev))
                self.assertTrue(math.isnan(result.descriptor.info.encoder_value))
                self.assertIsNone(result.descriptor.info.fiducial)
                result.finish()

    def test_a_fact_that_does_not_fit_is_refused_and_the_slot_given_back(self):
        def refused(kind, **facts):
            with self.assertRaises(kind) as caught:
                with producer.claim() as frame:
                    for name, value in facts.items():
                        setattr(frame.info, name, value)
            return caught.exception

        with Instance() as instance, Producer.attach(instance.name) as producer:
            refused(ValueError, event_id=-1)
            refused(ValueError, event_id=2**64)
            refused(ValueError, flags=2**32)
            refused(ValueError, source_run="x" * 32)
            refused(ValueError, user=(1, 2))
            refused(ValueError, photon_energy_ev="high")
            self.assertEqual(refused(peaknet_shm.PeaknetError, photon_energy_ev=0.0).id, "frame.bad-descriptor")
            self.assertEqual(refused(peaknet_shm.PeaknetError, encoder_value=math.inf).id, "frame.bad-descriptor")
            self.assertEqual(refused(peaknet_shm.PeaknetError, fiducial=2**31).id, "frame.bad-descriptor")
            self.assertEqual(refused(peaknet_shm.PeaknetError, original_shape=(49, 70)).id, "frame.bad-descriptor")
            books = instance.wait_until_empty()
            self.assertEqual((books["committed"], books["aborted"]), (0, 10))

    def test_after_the_end_the_image_raises_and_kept_views_cannot_be_written(self):
        for end in ("commit", "abandon"):
            with Instance(slots=2, device=False) as instance, Producer.attach(instance.name) as producer:
                frame = producer.claim()
                image, row, turned = frame.image, frame.image[0, 3], frame.image[0].T.reshape(-1, 2)[5:]
                copy = frame.image.copy()
                part_of_copy = copy[0]
                frame.image[...] = 5
                frame.image += 1
                row[...] += 1
                getattr(frame, end)()
                with self.assertRaises(Ended):
                    frame.image
                with self.assertRaises(Ended):
                    frame.commit()
                frame.abandon()  # without effect
                with producer.claim() as other:  # the slot, or another one
                    other.image[...] = 9
                    for view in (image, row):
                        with self.assertRaises(ValueError):
                            view[...] = 66
                    self.assertFalse(turned.flags.writeable and np.shares_memory(turned, image))
                    self.assertTrue((other.image == 9).all())
                part_of_copy[...] = 1  # a copy stays a copy

    def test_whatever_is_assigned_to_a_large_image_is_what_numpy_would_have_written(self):
        # Large enough for the library's own copy (shm/copy_image.hpp), which takes one kind of value alone.
        shape = (2, 300, 301)
        counts = np.random.default_rng(3).integers(0, 65536, shape).astype(np.uint16)
        read_only = counts.copy()
        read_only.flags.writeable = False
        backwards = np.ascontiguousarray(counts[::-1])[::-1]
        values = [counts, read_only, np.asfortranarray(counts), backwards, counts.astype(np.float64), counts.astype(">u2"),
                  counts.tolist(), counts[0], 7, counts.view(np.recarray)]
        with Instance(slots=2, shape=shape, writer=False) as instance, Producer.attach(instance.name) as producer, \
                peaknet_shm.Consumer.attach(instance.name) as consumer:
            for number, value in enumerate(values):
                with self.subTest(number), producer.claim(timeout=5) as frame:
                    frame.image[...] = 1
                    frame.image[...] = value
                with consumer.take(timeout=5) as result:
                    expected = np.ones(shape, np.uint16)
                    expected[...] = value
                    np.testing.assert_array_equal(result.image, expected)
                    result.finish()
            with producer.claim(timeout=5) as frame:
                image = frame.image
                image[...] = counts
                with self.assertRaises(ValueError):
                    image[...] = counts[:, :-1]
                image[0, 1:][...] = counts[0, :-1]  # a part of it
                np.testing.assert_array_equal(image[0, 1:], counts[0, :-1])
                image[...] = counts
                np.testing.assert_array_equal(image, counts)
            with self.assertRaises(ValueError):
                image[...] = np.zeros(shape, np.uint16)

    def test_arithmetic_on_the_image_gives_ordinary_numbers_and_arrays(self):
        with Instance() as instance, Producer.attach(instance.name) as producer:
            with producer.claim() as frame:
                frame.image[...] = 3
                self.assertIs(type(frame.image * 2), np.ndarray)
                self.assertIs(type(frame.image.mean(axis=0)), np.ndarray)
                self.assertEqual(frame.image.sum(), 3 * 48 * 70)
                self.assertNotIsInstance(frame.image.sum(), np.ndarray)
                with self.assertRaises(AttributeError):
                    frame.image = np.zeros((1, 48, 70))

    def test_pixels_in_an_array_of_their_own_are_put_in_one_call(self):
        pixels = np.arange(48 * 70, dtype=np.uint16).reshape(48, 70)
        with Instance(writer=False) as instance, Producer.attach(instance.name) as producer:
            self.assertEqual(producer.put(pixels), 0)
            self.assertEqual(producer.put(pixels[np.newaxis], peaknet_shm.Info(event_id=8, photon_energy_ev=9500.0)), 1)
            self.assertEqual(producer.put(np.asfortranarray(pixels)), 2)  # laid out otherwise, the same pixels
            with peaknet_shm.Consumer.attach(instance.name) as consumer:
                for number, event, energy in ((0, 0, None), (1, 8, 9500.0), (2, 0, None)):
                    with consumer.take(timeout=5) as result:
                        self.assertTrue((result.image == pixels).all())
                        info = result.descriptor.info
                        self.assertEqual((result.descriptor.producer_seq, info.event_id), (number, event))
                        self.assertEqual(None if math.isnan(info.photon_energy_ev) else info.photon_energy_ev, energy)
                        self.assertEqual(info.original_shape, (48, 70))
                        result.finish()

    def test_pixels_of_another_shape_or_type_are_refused_and_never_converted(self):
        with Instance() as instance, Producer.attach(instance.name) as producer:
            for shape in ((48, 71), (2, 48, 70), (70, 48), (1, 1)):
                with self.assertRaisesRegex(peaknet_shm.OtherShape, r"the pool's frames are uint16 \[1,48,70\]"):
                    producer.put(np.zeros(shape, np.uint16))
            with self.assertRaises(peaknet_shm.OtherShape):
                producer.put(np.zeros((48, 70), np.int16))
            for wrong in (np.zeros((48, 70)), np.zeros((48, 70), ">u2"), np.zeros(48 * 70, np.uint16), [[1, 2], [3, 4]]):
                with self.assertRaises(ValueError):
                    producer.put(wrong)
            with self.assertRaises(ValueError):
                producer.put(np.zeros((48, 70), np.uint16), peaknet_shm.Info(event_id=-1))
            with self.assertRaises(peaknet_shm.PeaknetError):
                producer.put(np.zeros((48, 70), np.uint16), peaknet_shm.Info(original_shape=(49, 70)))
            self.assertEqual(producer.put(np.zeros((48, 70), np.uint16)), 0)
            books = instance.wait_until_empty()
            self.assertEqual(books["committed"], 1)
            instance.ask("next-epoch")
            self.assertEqual(producer.put(np.zeros((2, 48, 70), np.uint16)), 1)

    def test_a_full_pool_raises_with_the_numbers_and_is_counted(self):
        with Instance(slots=2, device=False) as instance, Producer.attach(instance.name) as producer:
            for _ in range(2):
                with producer.claim(timeout=0):
                    pass
            with self.assertRaises(PoolFull) as caught:
                producer.claim(timeout=0.01)
            self.assertEqual((caught.exception.id, caught.exception.status), ("pool.full", 30))
            self.assertIn("2 frames wait for a device", str(caught.exception))
            self.assertEqual(instance.books()["refused_full"], 1)
            with Producer.attach(instance.name, full="drop_oldest") as pushing, pushing.claim(timeout=0):
                pass
            self.assertEqual(instance.books()["dropped_oldest"], 1)

    def test_a_frame_that_is_forgotten_gives_its_slot_back(self):
        with Instance() as instance, Producer.attach(instance.name) as producer:
            frame = producer.claim()
            view = frame.image[0]
            del frame
            gc.collect()
            self.assertEqual(instance.books()["aborted"], 1)
            with self.assertRaises(ValueError):
                view[...] = 1

    def test_a_closed_producer_says_so_and_its_last_frame_can_still_be_committed(self):
        with Instance() as instance:
            producer = Producer.attach(instance.name)
            frame = producer.claim()
            frame.image[...] = 4
            producer.close()
            producer.close()
            with self.assertRaises(Ended):
                producer.claim()
            frame.commit()
            instance.wait_until(lambda books: books["written"] == 1)

    def test_follows_the_pool(self):
        with Instance() as instance, Producer.attach(instance.name) as producer:
            instance.ask("next-epoch")
            with producer.claim() as frame:
                self.assertEqual(frame.image.shape, (2, 48, 70))
            self.assertEqual(producer.geometry.shape, (2, 48, 70))

    def test_two_threads_in_one_producer_are_refused_and_one_each_is_fine(self):
        with Instance(slots=2, device=False) as instance, Producer.attach(instance.name) as producer:
            held = [producer.claim(), producer.claim()]
            refused = []
            waits = threading.Thread(target=lambda: refused.append(self.assertRaises(PoolFull, producer.claim, 1)))
            waits.start()
            while waits.is_alive() and not producer._lock.locked():
                pass
            with self.assertRaisesRegex(RuntimeError, "two threads"):
                producer.claim(0)
            with Producer.attach(instance.name) as other, self.assertRaises(PoolFull):
                other.claim(0)
            waits.join()
            self.assertEqual(len(refused), 1)
            for frame in held:
                frame.abandon()

    def test_errors_name_what_is_wrong(self):
        with self.assertRaises(peaknet_shm.Absent) as caught:
            Producer.attach("no-such-instance-here")
        self.assertEqual(caught.exception.id, "shm.absent")
        self.assertEqual(pickle.loads(pickle.dumps(caught.exception)).id, "shm.absent")
        with self.assertRaises(peaknet_shm.PeaknetError) as caught:
            Producer.attach("../etc/passwd")
        self.assertEqual(caught.exception.id, "instance.bad-name")
        with Instance() as instance:
            with self.assertRaises(ValueError):
                Producer.attach(instance.name, full="sometimes")
            with Producer.attach(instance.name) as producer:
                for timeout in (-1, float("nan"), float("inf")):
                    with self.assertRaises(ValueError):
                        producer.claim(timeout)
                with self.assertRaisesRegex(TypeError, "attach there"):
                    pickle.dumps(producer)

    def test_floats_are_floats(self):
        with Instance(pixel_type=FLOAT32, writer=False) as instance, Producer.attach(instance.name) as producer:
            with producer.claim() as frame:
                self.assertEqual(frame.image.dtype, np.float32)
                frame.image[...] = 0.5


if __name__ == "__main__":
    unittest.main()
