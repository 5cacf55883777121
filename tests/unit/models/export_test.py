"""What export.py makes, what it refuses, and how compare.py counts. Run with any Python that has the packages of
models/requirements.txt: python3 tests/unit/models/export_test.py ; without torch every test is skipped, by name."""

import contextlib
import hashlib
import io
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import zipfile

from recipes import MODELS, SMALL, RecipesTest, main

try:
    import numpy as np
    import torch

    from contrast import Contrast
    from peaknet_recipes import formats, golden, peaknet
    from peaknet_recipes.refused import Refused
except ImportError:
    torch = None

try:
    import scipy  # noqa: F401
except ImportError:
    scipy = None

OURS = '''
import torch
from torch import nn

class Above(nn.Module):
    """Peak where a pixel is above 1100 counts."""
    def forward(self, x):
        return torch.cat([torch.full_like(x, 1100.0), x], 1)

class One(nn.Module):
    def forward(self, x):
        return torch.sigmoid(x - 1100.0)

class Coupled(nn.Module):
    def forward(self, x):
        return torch.cat([x.mean(0, keepdim=True) - x + 1100.0, x], 1)

class Three(nn.Module):
    def forward(self, x):
        return x[:, 0]

def no_network():
    return 7
'''


class ContrastFileTest(RecipesTest):
    def test_the_file_and_its_golden_files_are_what_the_recipe_makes(self):
        # In a process of its own: torch numbers the classes that a process has scripted.
        done = subprocess.run([sys.executable, MODELS / "export.py", "contrast:Contrast", MODELS / "contrast.pt", "--check"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_another_file_is_found_to_be_another(self):
        for path in (MODELS / "contrast.pt", *golden.names(MODELS / "contrast.pt")):
            shutil.copy(path, self.folder)
        with (self.folder / "contrast.pt").open("ab") as file:
            file.write(b"\0")
        done = self.export("contrast:Contrast", "contrast.pt", "--check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("contrast.pt: not what", done.stderr)

    def test_thresholds_are_options(self):
        out = self.assert_made("contrast:Contrast", "low.pt", "--option", "support=3", "--option", "total=10")
        self.assertIn("scripted", out)
        image = 100 + 20 * torch.randn((1, 1, 64, 64), generator=torch.Generator().manual_seed(4))
        image[:, :, 30:32, 30:32] += 60
        with torch.inference_mode():
            marked = {name: int((logits[:, 1] > logits[:, 0]).sum()) for name, logits in
                      (("low", torch.jit.load(self.folder / "low.pt")(image)), ("own", Contrast(3.0, 10.0).eval()(image)),
                       ("usual", torch.jit.load(MODELS / "contrast.pt")(image)))}
        self.assertEqual(marked["low"], marked["own"])
        self.assertGreater(marked["low"], marked["usual"])

    def test_an_option_that_the_network_does_not_take_is_refused(self):
        self.assert_refused("support, total, noise_floor", "contrast:Contrast", "low.pt", "--option", "suport=3")
        (self.folder / "small.yaml").write_text("model: {}")
        self.assert_refused("--option belongs to module:function", "small.yaml", "small.pt", "--option", "support=3")

    def test_the_file_and_its_source_agree_on_images_that_meet_every_branch(self):
        """Sizes that blocks of 4 do not fit, dead areas, few photons, lone pixels, NaN."""
        random = torch.Generator().manual_seed(2)
        shapes = [(1, 64, 96), (3, 185, 388), (2, 33, 30), (1, 16, 16), (1, 5, 7), (1, 1, 1), (2, 128, 128)]
        images = [1000 + 20 * torch.randn((rows, 1, h, w), generator=random) for rows, h, w in shapes]
        for image in images:
            image[:, :, 10:12, 12:14] += 400
            image[:, :, 20:21, 20:21] += 40000
        images[1][0, :, 60:80, :] = 0
        images[1][1] = float("nan")
        images[6][0] = torch.poisson(torch.full((1, 128, 128), 0.02), generator=random)
        images.append(images[0].round().to(torch.int16))
        scripted, eager = torch.jit.load(MODELS / "contrast.pt"), Contrast().eval()
        with torch.inference_mode():
            for image in images:
                for call in range(3):  # the executor specialises on its first calls: later ones run other code
                    with self.subTest(shape=tuple(image.shape), call=call):
                        self.assertTrue(torch.equal(scripted(image), eager(image)))


class PeakNetTest(RecipesTest):
    # From the class of the upstream package with the same configuration: entries of the state_dict, parameters, and SHA-256
    # over the lines "name shape type".
    UPSTREAM = {
        "base": ({}, 296, 33_164_768, "06b15796d395981b4f5c48cee455f89826036efbc4b3c9aca9d800702babcbf0"),
        "673m": ({"backbone_hidden_sizes": [352, 704, 1408, 2816], "backbone_depths": [3, 3, 27, 3], "bifpn_num_blocks": 4,
                  "bifpn_num_features": 512, "uses_learned_upsample": True}, 532, 673_012_480,
                 "dae9f082bc6f409526ffe72acb1a60ee0e3afadf272c55dc98baca615db1ca86"),
    }

    def test_parameters_have_the_names_and_shapes_of_upstream_s_checkpoints(self):
        for name, (config, entries, parameters, digest) in self.UPSTREAM.items():
            with self.subTest(name), torch.device("meta"):
                network = peaknet.PeakNet(peaknet.checked(config))
                state = network.state_dict()
                lines = "".join(f"{key} {tuple(value.shape)} {value.dtype}\n" for key, value in state.items())
                self.assertEqual((len(state), sum(p.numel() for p in network.parameters())), (entries, parameters))
                self.assertEqual(hashlib.sha256(lines.encode()).hexdigest(), digest)

    def test_a_checkpoint_brings_the_network_it_was_made_from(self):
        image = torch.randn(2, 1, 64, 96, generator=torch.Generator().manual_seed(1))
        made = peaknet.build(SMALL, seed=3)
        torch.save(made.state_dict(), self.folder / "bare.bin")
        torch.save({"model": made.state_dict()}, self.folder / "wrapped.bin")
        with torch.inference_mode():
            expected = made(image)
            self.assertFalse(torch.equal(peaknet.build(SMALL, seed=4)(image), expected))
            for name in ("bare.bin", "wrapped.bin"):
                self.assertTrue(torch.equal(peaknet.build(SMALL, self.folder / name)(image), expected), name)

    def test_a_checkpoint_of_another_configuration_is_refused_with_what_does_not_fit(self):
        torch.save(peaknet.build(SMALL).state_dict(), self.folder / "small.bin")
        for change, said in (({"uses_learned_upsample": False}, "2 unexpected (head_upsample_layer.0.weight"),
                             ({"bifpn_num_blocks": 2}, "missing (bifpn.blocks.1.w_m"),
                             ({"num_classes": 3}, "of another shape (head_segmask.weight (2, 32, 1, 1) instead of (3,")):
            with self.subTest(change), self.assertRaises(Refused) as refusal:
                peaknet.build({**SMALL, **change}, self.folder / "small.bin")
            self.assertIn(said, str(refusal.exception))

    def test_a_configuration_is_found_at_every_depth_and_a_key_that_is_not_known_is_refused(self):
        for document in (SMALL, {"model": SMALL}, {"peaknet_config": {"model": SMALL}},
                         {"runtime": {}, "model": {"weights_path": "x", "peaknet_config": {"model": SMALL}}}):
            self.assertEqual(peaknet.config_of(document), SMALL)
        for config, said in (({"bifpn_num_block": 2}, "did you mean bifpn_num_blocks?"),
                             ({"backbone_depths": [3, 3, 9]}, "4 integers above 0"),
                             ({"num_classes": True}, "an integer above 0"),
                             ({"uses_learned_upsample": 1}, "true or false"),
                             ({"seg_out_channels": 100}, "a multiple of 32")):
            with self.subTest(config), self.assertRaises(ValueError) as refusal:
                peaknet.checked(config)
            self.assertIn(said, str(refusal.exception))

    def test_a_row_does_not_depend_on_its_neighbours_and_any_multiple_of_32_is_taken(self):
        network = peaknet.build(SMALL)
        rows = torch.randn(3, 1, 96, 160, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            together = network(rows)
            self.assertEqual(tuple(together.shape), (3, 2, 96, 160))
            for row in range(3):
                torch.testing.assert_close(network(rows[row : row + 1])[0], together[row], rtol=1e-4, atol=1e-4)


class ExportTest(RecipesTest):
    def small_yaml(self):
        path = self.folder / "small.yaml"
        path.write_text(json.dumps({"model": {"peaknet_config": {"model": SMALL}}}))
        return path

    def write_ours(self):
        (self.folder / "ours.py").write_text(OURS)

    def test_a_pt_gives_the_masks_of_the_network_at_any_size_and_batch(self):
        done = self.export(self.small_yaml(), "small.pt", "--seed", 5)
        self.assertEqual(done.returncode, 0, done.stderr)
        network, runner = peaknet.build(SMALL, seed=5), formats.Runner(self.folder / "small.pt")
        for rows, height, width in ((1, 64, 96), (3, 64, 96), (2, 128, 32)):
            images = golden.images(rows, height, width, normalised=True)
            with torch.inference_mode():
                expected = golden.mask_of(network(torch.from_numpy(images)))
            self.assertTrue(0 < expected.sum() < expected.size)
            np.testing.assert_array_equal(golden.mask_of(runner(images)), expected)

    def test_golden_files_have_the_agreed_form_and_hold_what_the_file_makes_of_the_image(self):
        for precision in ("float32", "bfloat16", "float16", "int8"):
            with self.subTest(precision):
                path = self.folder / f"{precision}.pt"
                done = self.export(self.small_yaml(), path, "--precision", precision)
                self.assertEqual(done.returncode, 0, done.stderr)
                images, mask = np.load(f"{path}.golden.input.npy"), np.load(f"{path}.golden.mask.npy")
                self.assertEqual((images.dtype.str, mask.dtype.str), ("<f4", "|u1"))
                self.assertEqual(images.shape, (1, 1, 64, 96))
                self.assertTrue(np.isfinite(images).all() and 0 < mask.sum() < mask.size)
                runner = formats.Runner(path, precision="float32" if precision == "int8" else precision)
                np.testing.assert_array_equal(golden.mask_of(runner(images)), mask)
                self.assertIn(hashlib.sha256(path.read_bytes()).hexdigest(), done.stdout)

    def test_no_name_of_this_machine_is_in_a_pt(self):
        self.assertEqual(self.export(self.small_yaml(), "small.pt").returncode, 0)
        with zipfile.ZipFile(self.folder / "small.pt") as archive:
            for name in archive.namelist():
                self.assertNotIn(b"/models/", archive.read(name), name)

    @unittest.skipIf(shutil.which("g++") is None, "needs g++, which compiles a .pt2")
    def test_a_pt2_has_a_model_for_each_number_of_rows_and_says_what_it_needs(self):
        self.write_ours()
        done = self.export("ours:Above", "ours.pt2", "--size", "32x64", "--panels", 2, "--batch", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"one image takes .* ms in the .pt2 and .* ms in a .pt.*: the .pt2? is the slower")
        runner = formats.Runner(self.folder / "ours.pt2")
        self.assertEqual(runner.buckets, [2, 4])
        images = golden.images(5, 32, 64, normalised=False)
        np.testing.assert_array_equal(golden.mask_of(runner(images)), images[:, 0] > 1100)
        with zipfile.ZipFile(self.folder / "ours.pt2") as archive:
            facts = [json.loads(archive.read(name)) for name in archive.namelist() if name.endswith("_metadata.json")]
        self.assertEqual({fact["peaknet.shape"] for fact in facts}, {"2,1,32,64", "4,1,32,64"})
        for fact in facts:
            self.assertEqual(fact["peaknet.rows"], fact["peaknet.shape"].partition(",")[0])
            said = {key: fact[f"peaknet.{key}"] for key in ("format", "dtype", "classes", "device", "torch")}
            self.assertEqual(said, {"format": "1", "dtype": "float32", "classes": "2", "device": "cpu",
                                    "torch": torch.__version__.partition("+")[0]})
            self.assertTrue(fact["peaknet.isa"])
        self.assertEqual(golden.read(self.folder / "ours.pt2")[0].shape, (2, 1, 32, 64))

    def test_one_output_becomes_two_classes_at_the_threshold(self):
        self.write_ours()
        done = self.export("ours:One", "one.pt", "--threshold", 0.5)
        self.assertEqual(done.returncode, 0, done.stderr)
        images = golden.images(1, 64, 96, normalised=False)
        np.testing.assert_array_equal(golden.mask_of(formats.Runner(self.folder / "one.pt")(images)), images[:, 0] > 1100)

    def test_what_cannot_be_is_refused_with_the_reason_and_leaves_nothing(self):
        self.write_ours()
        small = self.small_yaml()
        (self.folder / "junk.onnx").write_bytes(b"not a network")
        (self.folder / "typo.yaml").write_text("model: {num_class: 2}")
        for said, *command in (
                ("end it with .pt or .pt2", "ours:Above", "a.pth"),
                ("make it first", "ours:Above", "none/a.pt"),
                ("cannot be imported", "ours:Absent", "a.pt"),
                ("returned a int, not a torch.nn.Module", "ours:no_network", "a.pt"),
                ("returned (1, 64, 96) of torch.float32", "ours:Three", "a.pt"),
                ("otherwise beside other images", "ours:Coupled", "a.pt"),
                ("neither a file nor module:function", "absent.yaml", "a.pt"),
                ("did you mean num_classes?", "typo.yaml", "a.pt"),
                ("has no weights", "ours:Above", "a.pt", "--weights", "x"),
                ("--weights belongs to", "junk.onnx", "a.pt", "--weights", "x"),
                ("No such file", small, "a.pt", "--weights", "absent.bin"),
                ("fails on an input of (1, 1, 50, 50)", small, "a.pt", "--size", "50x50"),
                ("runs on all", "ours:Above", "a.pt", "--device", "cuda"),
                ("a .pt is not compiled", "ours:Above", "a.pt", "--compile", "max-autotune"),
                ("int8 is made as .pt", small, "a.pt2", "--precision", "int8")):
            with self.subTest(said):
                self.assert_refused(said, *command)
        if not torch.cuda.is_available():
            self.assert_refused("torch sees none here", "ours:Above", "a.pt2", "--device", "cuda")


@unittest.skipIf(torch is None or scipy is None, "needs the Python packages torch and scipy")
class CompareTest(unittest.TestCase):
    def setUp(self):
        import compare

        self.compare = compare

    def mask(self, *peaks):
        mask = np.zeros((64, 64), np.uint8)
        for y, x in peaks:
            mask[y : y + 2, x : x + 2] = 1
        return mask

    def score(self, ours, reference):
        score = self.compare.Score()
        score.add(ours, reference, 2.0)
        return score.figures()

    def test_a_rim_that_moves_by_a_pixel_costs_nothing_and_a_lost_peak_does(self):
        reference = self.mask((5, 5), (20, 20), (40, 40), (50, 10))
        moved = self.mask((5, 6), (20, 20), (41, 40), (50, 10))
        self.assertEqual(self.score(moved, reference), (1.0, 1.0, 1.0))
        self.assertEqual(self.score(self.mask((5, 5), (20, 20), (40, 40)), reference), (1.0, 0.75, 6 / 7))
        self.assertEqual(self.score(self.mask((5, 5), (20, 20), (40, 40), (50, 10), (30, 30)), reference), (0.8, 1.0, 8 / 9))
        self.assertEqual(self.score(self.mask((5, 9), (20, 20)), self.mask((5, 5), (20, 20)))[0], 0.5)

    def test_two_peaks_near_one_are_one_match(self):
        split = self.mask()
        split[10, 10] = split[10, 12] = 1
        self.assertEqual(self.score(split, self.mask((10, 11))), (0.5, 1.0, 2 / 3))

    def test_what_loses_more_than_the_limit_fails(self):
        try:
            import h5py
        except ImportError:
            self.skipTest("needs the package h5py")
        with tempfile.TemporaryDirectory() as folder:
            where = pathlib.Path(folder)
            with h5py.File(where / "frames.h5", "w") as file:
                file["data"] = golden.images(3, 64, 96, normalised=False)[:, 0]
            command = ["compare.py", "contrast:Contrast", "--frames", f"{where}/frames.h5:/data", "--precision", "bfloat16"]
            said, codes = io.StringIO(), []
            for limit in ("1.0", "-1"):  # all may be lost; less than nothing may be
                with unittest.mock.patch("sys.argv", [*command, "--limit", limit]), contextlib.redirect_stdout(said), \
                        contextlib.redirect_stderr(said):
                    codes.append(self.compare.main())
            self.assertEqual(codes, [0, 1], said.getvalue())
            self.assertIn("float32 ", said.getvalue())
            self.assertIn("more than --limit", said.getvalue())

    def test_pixels_that_touch_at_a_corner_are_one_peak(self):
        mask = self.mask()
        mask[3, 3] = mask[4, 4] = 1
        np.testing.assert_array_equal(self.compare.centres(mask), [[3.5, 3.5]])


if __name__ == "__main__":
    main()
