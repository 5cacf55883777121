"""The simulator that PeakNet-small is trained and judged on. Needs NumPy alone; without it the tests are skipped."""

import dataclasses
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parents[3] / "models" / "peaknet_small"
sys.path.insert(0, str(HERE))

try:
    import numpy as np

    import simulator
except ImportError:
    np = None


@unittest.skipIf(np is None, "needs the Python package numpy")
class SimulatorTest(unittest.TestCase):
    def pattern(self, seed, shape=(160, 192)):
        scene = simulator.draw(np.random.default_rng(seed), shape)
        return scene, simulator.simulate(scene, np.random.default_rng(seed + 1))

    def bright(self, **changed):
        """A lysozyme pattern that nobody can overlook."""
        crystal = simulator.Crystal(simulator.reciprocal((79.2, 79.2, 38.0, 90, 90, 90)), 6e-4, 20.0, 60.0)
        scene = simulator.Scene((256, 256), 1.3, 400.0, (128.0, 128.0), crystals=(crystal,), flat=2.0)
        scene = dataclasses.replace(scene, **changed)
        return simulator.simulate(scene, np.random.default_rng(3))

    def test_the_same_seed_gives_the_same_bits_and_another_one_others(self):
        for seed in range(6):
            with self.subTest(seed=seed):
                (_, one), (_, two), (_, other) = self.pattern(seed), self.pattern(seed), self.pattern(seed + 100)
                for field in ("image", "classes", "reflections", "faults"):
                    self.assertEqual(getattr(one, field).tobytes(), getattr(two, field).tobytes(), field)
                self.assertNotEqual(one.image.tobytes(), other.image.tobytes())

    def test_every_scene_gives_counts_and_classes_of_its_shape(self):
        for seed in range(40):
            with self.subTest(seed=seed):
                scene, pattern = self.pattern(seed, (96, 128))
                self.assertEqual(pattern.image.shape, (96, 128))
                self.assertEqual(pattern.image.dtype, np.uint16 if scene.detector.whole else np.float32)
                self.assertTrue(np.isfinite(pattern.image).all())
                self.assertEqual((pattern.classes.shape, pattern.classes.dtype), ((96, 128), np.uint8))
                self.assertLessEqual(int(pattern.classes.max()), simulator.EITHER)
                self.assertFalse((pattern.classes[pattern.faults] != simulator.NOTHING).any())

    def test_a_reflection_that_stands_out_has_its_pixels_around_it(self):
        pattern = self.bright()
        strong = pattern.reflections[pattern.reflections["significance"] > 10]
        self.assertGreater(len(strong), 10)
        for spot in strong:
            y, x = int(round(float(spot["y"]))), int(round(float(spot["x"])))
            around = pattern.classes[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            self.assertTrue((around == simulator.REFLECTION).any(), (y, x))

    def test_without_a_crystal_no_pixel_belongs_to_a_reflection(self):
        scene, _ = self.pattern(2)
        pattern = simulator.simulate(scene.without_crystals(), np.random.default_rng(5))
        self.assertEqual((len(pattern.reflections), int(pattern.classes.max())), (0, simulator.NOTHING))

    def test_gaps_and_dead_pixels_count_nothing(self):
        pattern = self.bright(detector=simulator.Detector(panel=(60, 60), gap=8, counts=10.0, pedestal=100.0))
        self.assertTrue((pattern.image[60:68] == 0).all() and (pattern.image[:, 60:68] == 0).all())
        self.assertTrue((pattern.classes[60:68] == simulator.NOTHING).all())

    def test_an_image_is_normalised_as_peaknetd_does_it(self):
        image = self.bright().image
        normal = simulator.normalised(image)
        self.assertEqual(normal.dtype, np.float32)
        wanted = (image - image.mean()) / np.sqrt(image.astype(float).var() + 1e-5)
        self.assertLess(float(np.abs(normal - wanted).max()), 1e-4)


if __name__ == "__main__":
    done = unittest.main(verbosity=2, exit=False)
    sys.exit(77 if np is None else not done.result.wasSuccessful())  # 77: ctest calls it skipped
