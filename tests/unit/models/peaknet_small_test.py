"""PeakNet-small: its recipe gives the same weights twice, and its files are what they should be and see what they should."""

import contextlib
import io
import pathlib
import sys
import unittest

from recipes import MODELS, RecipesTest, main

HERE = MODELS / "peaknet_small"
sys.path.insert(0, str(HERE))

try:
    import numpy as np
    import safetensors.torch
    import torch

    import judge
    import simulator
    import train
    from scoring import centres, score_peaks
except ImportError:
    torch = None

FILES = ("peaknet_small.safetensors", "peaknet_small.pt", "peaknet_small.pt.golden.input.npy", "peaknet_small.pt.golden.mask.npy")


class RecipeTest(RecipesTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(torch.set_num_threads, torch.get_num_threads())
        self.addCleanup(torch.use_deterministic_algorithms, False)

    def trained(self, name, *more):
        with contextlib.redirect_stdout(io.StringIO()):
            train.main([name, "--blank", "2", "--judged", "2", *more])
        return pathlib.Path(name).read_bytes()

    def test_the_same_seed_gives_the_same_weights_and_another_one_others(self):
        one = self.trained("one.safetensors", "--steps", "8")
        self.assertEqual(one, self.trained("two.safetensors", "--steps", "8"))
        self.assertNotEqual(one, self.trained("other.safetensors", "--steps", "8", "--seed", "29"))

    def test_a_training_that_was_cut_off_goes_on_to_the_same_weights(self):
        whole = self.trained("whole.safetensors", "--steps", "8")
        run = train.Run(28)
        images = train.Images(28, 0, 8)
        for _ in range(3):
            run.one_step(images, 8)
        run.keep(self.folder / "cut.safetensors.part")
        self.assertEqual(whole, self.trained("cut.safetensors", "--steps", "8"))
        self.assertFalse((self.folder / "cut.safetensors.part").exists())

    def test_a_part_of_another_seed_is_refused(self):
        train.Run(28).keep(self.folder / "part.safetensors.part")
        with self.assertRaises(SystemExit) as refusal:
            self.trained("part.safetensors", "--steps", "8", "--seed", "29")
        self.assertIn("--seed 28", str(refusal.exception))


class FileTest(RecipesTest):
    def test_it_has_at_most_a_million_parameters_and_four_megabytes(self):
        weights = safetensors.torch.load_file(HERE / FILES[0])
        self.assertLessEqual(sum(tensor.numel() for tensor in weights.values()), 1_000_000)
        self.assertLessEqual(sum((HERE / name).stat().st_size for name in FILES), 4_000_000)

    def test_it_marks_the_golden_image_as_it_did(self):
        network = torch.jit.load(HERE / "peaknet_small.pt")
        image, mask = (np.load(HERE / name) for name in FILES[2:])
        with torch.inference_mode():
            logits = network(torch.from_numpy(image)).numpy()
        self.assertGreater(int(mask.sum()), 20)
        self.assertLessEqual(int(((logits[:, 1] > logits[:, 0]) != mask).sum()), 8)

    def test_the_file_is_the_network_of_the_configuration_with_the_weights(self):
        self.assert_made(HERE / "peaknet_small.yaml", "again.pt", "--weights", HERE / FILES[0])
        image = torch.randn((2, 1, 96, 64), generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            ours, theirs = torch.jit.load(self.folder / "again.pt")(image), torch.jit.load(HERE / "peaknet_small.pt")(image)
        self.assertLess(float((ours - theirs).abs().max()), 1e-3)


class SightTest(RecipesTest):
    """Two patterns of a set, of seeds that neither the training nor the judge uses."""

    @classmethod
    def setUpClass(cls):
        cls.network = judge.Network(HERE / "peaknet_small.pt", normalise=True)

    def score(self, name):
        number = list(judge.SETS).index(name)
        patterns = [judge.pattern_of(judge.SETS[name], number, 900_000 + i) for i in range(2)]
        scores = [score_peaks(centres(self.network.mask(p.image)), p) for p in patterns]
        return scores[0] + scores[1]

    def test_strong_reflections_are_found_and_little_else(self):
        for name in ("normal", "float photons", "panels, hot and dead pixels"):
            with self.subTest(name):
                score = self.score(name)
                self.assertGreater(score.recall(30), 0.9)
                self.assertLess(score.wrong, 0.15 * score.peaks + 4)

    def test_a_blank_frame_has_hardly_a_peak(self):
        self.assertLessEqual(self.score("blank").peaks, 2)


if __name__ == "__main__":
    main()
