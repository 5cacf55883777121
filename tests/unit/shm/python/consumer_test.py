import threading
import unittest

import numpy as np
from instance import Instance
from peaknet_shm import Consumer, Ended, InstanceRemoved, Producer


def commit(producer, event, spots=()):
    with producer.claim(timeout=5) as frame:
        frame.image[...] = event
        for spot in spots:
            frame.image[spot] = 2000
        frame.info.event_id = event


class ConsumerTest(unittest.TestCase):
    def test_takes_results_in_order_with_image_and_mask(self):
        spots = [(0, 0, 0), (0, 5, 63), (0, 5, 64), (0, 47, 69)]
        with Instance(writer=False) as instance, Producer.attach(instance.name) as producer:
            with Consumer.attach(instance.name) as consumer:
                commit(producer, 1, spots)
                commit(producer, 2)
                with consumer.take(timeout=5) as result:
                    self.assertEqual(result.descriptor.info.event_id, 1)
                    self.assertEqual(result.descriptor.result, "mask")
                    self.assertEqual(result.mask.dtype, np.bool_)
                    self.assertEqual(result.mask.shape, (1, 48, 70))
                    self.assertEqual([tuple(spot) for spot in np.argwhere(result.mask)], spots)
                    self.assertEqual(result.mask_bits.shape, (1, 48, 2))
                    self.assertEqual(result.mask_bits[0, 5].tolist(), [1 << 63, 1])
                    self.assertEqual([result.image[spot] for spot in spots], [2000] * 4)
                    self.assertEqual(result.image[0, 1, 1], 1)
                    for view in (result.image, result.mask_bits):
                        with self.assertRaises(ValueError):
                            view[...] = 0
                        with self.assertRaises(ValueError):
                            view.flags.writeable = True
                    result.finish("written")
                with self.assertRaises(Ended):
                    result.image
                with consumer.take(timeout=5) as result:
                    self.assertEqual(result.descriptor.info.event_id, 2)
                    self.assertFalse(result.mask.any())
                    result.finish("filtered")
                self.assertIsNone(consumer.take(timeout=0))
                books = instance.wait_until_empty()
                self.assertEqual((books["written"], books["filtered"]), (1, 1))

    def test_a_frame_that_the_model_failed_on_has_no_mask(self):
        with Instance(writer=False) as instance, Producer.attach(instance.name) as producer:
            commit(producer, 666)
            with Consumer.attach(instance.name) as consumer, consumer.take(timeout=5) as result:
                self.assertEqual(result.descriptor.result, "error")
                self.assertIsNone(result.mask)
                self.assertIsNone(result.mask_bits)
                result.finish("failed")
            self.assertEqual(instance.wait_until_empty()["failed_model"], 1)

    def test_what_is_not_finished_is_offered_again(self):
        with Instance(writer=False) as instance, Producer.attach(instance.name) as producer:
            commit(producer, 3)
            with Consumer.attach(instance.name) as consumer:
                with self.assertRaises(OSError):
                    with consumer.take(timeout=5):
                        raise OSError("disk full")
                result = consumer.take(timeout=5)
                self.assertEqual(result.descriptor.info.event_id, 3)
                with self.assertRaises(ValueError):
                    result.finish("lost")
                del result  # forgotten
                with consumer.take(timeout=5) as result:
                    result.finish("failed")
                    with self.assertRaises(Ended):
                        result.finish("written")
            books = instance.wait_until_empty()
            self.assertEqual((books["failed_mask"], books["redelivered"]), (1, 2))

    def test_answers_a_request_to_finish_files_when_nothing_is_left_to_take(self):
        closed_after = []
        with Instance(writer=False) as instance, Producer.attach(instance.name) as producer:
            finished = []
            with Consumer.attach(instance.name, on_close=lambda: closed_after.append(len(finished))) as consumer:
                for event in range(3):
                    commit(producer, event)
                instance.wait_until(lambda books: books["inferred"] == 3)
                instance.ask("ask-close")
                held = consumer.take(timeout=5)
                self.assertFalse(instance.ask("close-answered"))
                held.finish()
                finished.append(held)
                while (result := consumer.take(timeout=0.1)) is not None:
                    result.finish()
                    finished.append(result)
                self.assertTrue(instance.ask("close-answered"))
                self.assertEqual(closed_after, [3])

    def test_waits_for_what_comes_and_moves_over_to_the_next_pool(self):
        with Instance(writer=False) as instance, Producer.attach(instance.name) as producer:
            with Consumer.attach(instance.name) as consumer:
                instance.ask("next-epoch")
                late = threading.Timer(0.1, commit, (producer, 5))
                late.start()
                with consumer.take(timeout=20) as result:
                    self.assertEqual(result.image.shape, (2, 48, 70))
                    result.finish()
                late.join()
                self.assertEqual(consumer.geometry.shape, (2, 48, 70))
                self.assertEqual(instance.books()["late_wakes"], 0)

    def test_says_when_the_instance_is_gone(self):
        with Instance(writer=False) as instance:
            consumer = Consumer.attach(instance.name)
        with consumer, self.assertRaises(InstanceRemoved):
            consumer.take(timeout=5)


if __name__ == "__main__":
    unittest.main()
