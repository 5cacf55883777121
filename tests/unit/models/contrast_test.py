"""What contrast.pt must and must not call a peak, on images made here. Run with any Python that has torch and numpy:
python3 tests/unit/models/contrast_test.py ; without torch every test is skipped, by name."""

import pathlib
import sys
import unittest

try:
    import numpy as np
    import torch
except ImportError:
    torch = None

MODEL = pathlib.Path(__file__).resolve().parents[3] / "models" / "contrast.pt"


@unittest.skipIf(torch is None, "needs the Python packages torch and numpy")
class ContrastTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = torch.jit.load(MODEL)

    def setUp(self):
        self.random = np.random.default_rng(7)

    def logits(self, images):
        with torch.inference_mode():
            result = self.model(torch.from_numpy(np.asarray(images, np.float32)))
        self.assertTrue(torch.isfinite(result).all())
        return result

    def mask(self, image):
        result = self.logits(image[None, None])
        self.assertEqual(tuple(result.shape), (1, 2) + image.shape)
        self.assertEqual(result.dtype, torch.float32)
        return (result[0, 1] > result[0, 0]).numpy()

    def noise(self, level=100.0, deviation=20.0, shape=(256, 256)):
        return self.random.normal(level, deviation, shape)

    def assert_exactly(self, mask, peaks):
        """Each 2 x 2 peak is marked, and nothing lies further than a pixel from one."""
        allowed = np.zeros_like(mask)
        for y, x in peaks:
            self.assertTrue(mask[y : y + 2, x : x + 2].all(), f"peak at {y}, {x} is missing")
            allowed[max(0, y - 1) : y + 3, max(0, x - 1) : x + 3] = True
        self.assertFalse((mask & ~allowed).any(), f"false peaks at {np.argwhere(mask & ~allowed)[:5].tolist()}")

    def test_peaks_are_found_on_any_pedestal_up_to_the_end_of_uint16(self):
        peaks = [(y, x) for y in range(0, 250, 31) for x in range(3, 250, 37)]
        for pedestal in (-500, 0, 4096, 30000, 65000):
            image = self.noise(pedestal)
            for y, x in peaks:
                image[y : y + 2, x : x + 2] += 300
            with self.subTest(pedestal=pedestal):
                self.assert_exactly(self.mask(image), peaks)

    def test_noise_alone_holds_no_peak(self):
        for photons, counts in ((0.01, 10), (0.3, 1), (1, 10), (5, 10), (50, 1), (1000, 1)):
            with self.subTest(photons=photons, counts=counts):
                self.assert_exactly(self.mask(counts * self.random.poisson(photons, (256, 256))), [])

    def test_a_lone_hot_pixel_is_no_peak_and_two_touching_ones_are(self):
        image = self.noise()
        image[50, 50] = image[120, 200] = 65535
        image[80, 80:82] = 1000
        found = np.argwhere(self.mask(image)).tolist()
        self.assertEqual(found, [[80, 80], [80, 81]])

    def test_gaps_between_panels_are_no_peaks_and_hide_none_beside_them(self):
        for level in (3000, -30):
            image = self.noise(level)
            image[100:108] = 0
            image[:, 130:143] = 0
            image[200:240, 20:60] = 0
            peaks = [(97, 40), (110, 70), (50, 127), (60, 145), (160, 200)]
            for y, x in peaks:
                image[y : y + 2, x : x + 2] += 400
            with self.subTest(level=level):
                self.assert_exactly(self.mask(image), peaks)

    def test_the_steep_rim_of_a_beam_stop_is_no_peak(self):
        y, x = np.mgrid[:256, :256]
        radius = np.hypot(y - 128, x - 128)
        image = self.random.poisson(1000 + 8e4 / (1 + radius))
        image[radius < 30] = 0
        self.assert_exactly(self.mask(image), [])

    def test_a_strong_smooth_ring_is_no_peak_and_hides_none_on_it(self):
        y, x = np.mgrid[:256, :256]
        image = self.random.poisson(200 + 4000 * np.exp(-((np.hypot(y - 128, x - 128) - 80) ** 2) / (2 * 30**2)))
        image[48:50, 128:130] += 1500
        self.assert_exactly(self.mask(image), [(48, 128)])

    def test_peaks_on_an_empty_background_of_a_photon_counter_are_found(self):
        image = np.zeros((256, 256))
        image[self.random.random(image.shape) < 0.002] = 1
        image[70:72, 90:92] = image[10:12, 200:202] = 40
        self.assert_exactly(self.mask(image), [(70, 90), (10, 200)])

    def test_pixels_that_are_not_numbers_are_dead_pixels(self):
        image = self.noise(3000)
        image[40:60, 40:60] = np.nan
        image[200, 10] = np.inf
        image[150:152, 150:152] += 300
        self.assert_exactly(self.mask(image), [(150, 150)])

    def test_the_engine_s_padding_holds_no_peak_and_keeps_the_peaks_at_the_border(self):
        image = self.noise(1000, shape=(185, 388))
        peaks = [(90, 386), (181, 100), (0, 0), (60, 200)]
        for y, x in peaks:
            image[y : y + 2, x : x + 2] += 400
        self.assert_exactly(self.mask(np.pad(image, ((0, 7), (0, 28)))), peaks)

    def test_a_row_has_the_same_bits_alone_and_among_any_neighbours(self):
        rows = np.stack([self.noise(level, shape=(1, 96, 130)) for level in (0, 1000, 3000, 0, 0)])
        rows[:, :, 50:52, 60:62] += 400
        rows[1], rows[3] = np.nan, 0
        together = self.logits(rows)
        for row in range(len(rows)):
            self.assertTrue(torch.equal(self.logits(rows[row : row + 1])[0], together[row]), f"row {row}")

    def test_every_image_size_is_accepted(self):
        for shape in ((1, 1), (3, 2), (4, 4), (5, 7), (16, 16), (17, 20), (1, 512), (33, 66)):
            with self.subTest(shape=shape):
                self.mask(self.noise(shape=shape))


if __name__ == "__main__":
    done = unittest.main(verbosity=2, exit=False)
    sys.exit(77 if torch is None else not done.result.wasSuccessful())  # 77: ctest calls it skipped
