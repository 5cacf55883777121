"""Checkpoints as people have them, what is taken of them, and what is refused, by export.py --weights. Run with any Python that
has the packages of models/requirements.txt: python3 tests/unit/models/checkpoints_test.py"""

import argparse
import builtins
import collections
import json
import os
import pathlib
import pickle
import random
import struct
import types
import unittest
import unittest.mock
import zipfile

from recipes import MODELS, SMALL, RecipesTest, flipped, main

try:
    import numpy as np
    import torch

    from peaknet_recipes import checkpoints, peaknet
    from peaknet_recipes.refused import Refused
except ImportError:
    torch = None

TRAINING = {
    "dist": {"dtype": "bfloat16"},
    "model": {
        "backbone": {"hf_config": {"num_channels": 1, "patch_size": 4, "num_stages": 4, "hidden_sizes": [16, 24, 32, 40],
                                   "depths": [1, 1, 1, 1], "hidden_act": "gelu", "initializer_range": 0.02,
                                   "layer_norm_eps": 1e-12, "drop_path_rate": 0.0, "image_size": 1920,
                                   "out_features": ["stage1", "stage2", "stage3", "stage4"], "out_indices": None},
                     "from_scratch": False},
        "bifpn": {"num_blocks": 1, "block": {"base_level": 4, "bn": {"eps": 1e-5, "momentum": 0.1}, "down_scale_factor": 0.5,
                                             "fusion": {"eps": 1e-5}, "num_features": 32, "num_levels": 4,
                                             "relu_inplace": False, "up_scale_factor": 2}},
        "freezes_backbone": False,
        "seg_head": {"base_scale_factor": 2, "num_classes": 2, "num_groups": 32, "out_channels": 32,
                     "up_scale_factor": [4, 8, 16, 32], "uses_learned_upsample": True},
        "uses_random_weights": False}}


class Settings(dict):
    """Like AttributeDict of Lightning: a dictionary with a class of its own."""


Settings.__module__, Settings.__qualname__, Settings.__name__ = "lightning.fabric.utilities.data", "AttributeDict", "AttributeDict"


def named(state, prefix):
    return collections.OrderedDict((prefix + name, value) for name, value in state.items())


class CheckpointsTest(RecipesTest):
    @classmethod
    def setUpClass(cls):
        if torch is not None:
            cls.made, cls.other = peaknet.build(SMALL, seed=3), peaknet.build(SMALL, seed=4)
            cls.image = torch.randn(2, 1, 64, 96, generator=torch.Generator().manual_seed(1))

    def state(self):
        return self.made.state_dict()

    def save(self, document, **options):
        torch.save(document, self.folder / "weights.bin", **options)
        return self.folder / "weights.bin"

    def built(self, path, take=""):
        said = []
        return peaknet.build(SMALL, path, take=take, tell=said.append), said[0]

    def assert_taken(self, path, *said, take=""):
        with torch.inference_mode():
            network, text = self.built(path, take)
            self.assertTrue(torch.equal(network(self.image), self.made(self.image)), text)
        for words in said:
            self.assertIn(words, text)

    def assert_not_taken(self, path, *said):
        with self.assertRaises(Refused) as refusal:
            self.built(path)
        for words in (*said, "nothing was written"):
            self.assertIn(words, str(refusal.exception))

    def test_the_table_of_weights_is_found_under_whatever_key(self):
        state, other = self.state(), self.other.state_dict()
        optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(4)}}, "param_groups": [{"lr": 1e-3}]}
        for name, document, *said in (
                ("bare", state, "the file itself"),
                ("model", {"model": state, "epoch": 3}, "(model)"),
                ("state_dict", {"state_dict": state, "optimizer": optimizer}, "(state_dict)"),
                ("model_state_dict", {"model_state_dict": state, "optimizer_state_dict": optimizer}, "(model_state_dict)"),
                ("a key nobody knows", {"anything": {"deeper": state}}, "(anything.deeper)"),
                ("ema alone", {"model_ema": state}, "(model_ema)"),
                ("beside an average", {"model": state, "model_ema": other}, "(model)", "also there (--take): model_ema"),
                ("an average first", {"ema_state_dict": other, "model": state}, "(model)", "ema_state_dict")):
            with self.subTest(name):
                self.assert_taken(self.save(document), *said)

    def test_the_average_is_taken_when_it_is_asked_for(self):
        path = self.save({"model": self.other.state_dict(), "model_ema": self.state()})
        self.assert_taken(path, "(model_ema)", take="ema")
        with self.assertRaises(Refused) as refusal:
            self.built(path, take="polyak")
        self.assertIn("it has: model; model_ema", str(refusal.exception))

    def test_a_prefix_that_all_names_share_is_taken_off(self):
        for prefix in ("module.", "_orig_mod.", "peaknet_model.", "model.", "module._orig_mod.", "a.b.c."):
            with self.subTest(prefix):
                self.assert_taken(self.save(named(self.state(), prefix)))
                self.assert_taken(self.save({"state_dict": named(self.state(), prefix)}))
        inside = {name.replace("backbone.", "backbone._orig_mod."): value for name, value in self.state().items()}
        self.assert_taken(self.save(inside))

    def test_what_lies_beside_the_prefix_is_left_out_and_said(self):
        averaged = {**named(self.state(), "module."), "n_averaged": torch.tensor(5)}  # torch.optim.swa_utils
        self.assert_taken(self.save(averaged), "prefix module.", "left out: n_averaged")
        lightning = {"epoch": 1, "pytorch-lightning_version": "2.6.6", "hparams_name": "kwargs", "loops": {},
                     "hyper_parameters": Settings(lr=1e-3, sizes=[1, 2]), "callbacks": {"ModelCheckpoint": {"best": torch.tensor(1)}},
                     "state_dict": {**named(self.state(), "model."), **named(self.other.state_dict(), "ema_model."),
                                    "loss.weight": torch.ones(2)}}
        Settings.__reduce__ = lambda self: (Settings, (), None, None, iter(self.items()))
        module = types.ModuleType(Settings.__module__)
        module.AttributeDict = Settings
        with unittest.mock.patch.dict("sys.modules", {"lightning": types.ModuleType("lightning"), module.__name__: module}):
            path = self.save(lightning)
        self.assert_taken(path, "(state_dict, prefix model.)", "left out:", "ema_model.")

    def test_other_types_of_numbers_become_float32_and_it_is_said(self):
        exact = peaknet.build(SMALL, seed=3).to(torch.bfloat16)
        path = self.save(exact.state_dict())
        network, text = self.built(path)
        self.assertIn("bfloat16 as float32", text)
        for name, value in network.state_dict().items():
            self.assertTrue(torch.equal(value, exact.state_dict()[name].to(value.dtype)), name)
        self.assert_taken(self.save(peaknet.build(SMALL, seed=3).double().state_dict()), "float64 as float32")

    def test_options_and_numbers_beside_the_weights_are_read_past(self):
        beside = {"args": argparse.Namespace(lr=1e-3, path=pathlib.PurePosixPath("/x")), "best": np.float64(0.5),
                  "epoch": np.int64(3), "history": np.arange(4.0), "rng": np.random.default_rng(1).bytes(8),
                  "rows": collections.defaultdict(list, a=[1])}
        for options in ({}, {"_use_new_zipfile_serialization": False}):
            with self.subTest(options):
                self.assert_taken(self.save({"model": self.state(), **beside}, **options))

    def test_safetensors(self):
        try:
            import safetensors.torch
        except ImportError:
            self.skipTest("needs the package safetensors")
        path = self.folder / "weights.safetensors"
        safetensors.torch.save_file({f"module.{n}": v.contiguous() for n, v in self.state().items()}, path)
        self.assert_taken(path, "prefix module.")
        path.write_bytes(path.read_bytes()[:-100])
        self.assert_not_taken(path, "cut or damaged")
        path.write_bytes(struct.pack("<Q", 40) + b'{"a": {"dtype": "F32", "shape": [1e9]}} ' + b"\0" * 8)
        self.assert_not_taken(path)

    def test_code_in_a_checkpoint_is_refused_by_name_and_never_run(self):
        self.assert_not_taken(self.save(self.made), "pickled whole", "peaknet_recipes.peaknet.PeakNet",
                              "torch.save(network.state_dict()")
        for name, argument, said in (("os.system", "touch it_ran", "posix.system"),
                                     ("builtins.eval", "open('it_ran', 'w')", "builtins.eval"),
                                     ("pathlib.Path.touch", pathlib.PurePosixPath("it_ran"), "getattr")):
            path = self.save({"model": self.state(), "hook": Run(name, argument)})
            with self.subTest(name):
                self.assert_not_taken(path, "nothing was executed", said)
        self.assertFalse((self.folder / "it_ran").exists())

    def test_what_does_not_fit_is_named_by_its_keys_with_the_right_remedy(self):
        deeper = {**SMALL, "backbone_depths": [1, 1, 2, 1], "bifpn_num_features": 64}
        self.assert_not_taken(self.save(peaknet.build(deeper).state_dict()), "of another shape",
                              "made with bifpn_num_features: 64, backbone_depths: [1, 1, 2, 1]")
        part = dict(list(self.state().items())[:-2])
        self.assert_not_taken(self.save(part), "2 missing (head_upsample_layer.0.weight", "uses_learned_upsample: false")
        self.assert_not_taken(self.save({"features.0.weight": torch.ones(3)}), "of another network", "features.0.weight")
        self.assert_not_taken(self.save({"epoch": 3}), "holds no tensors")
        self.assert_not_taken(self.save({name: value.to("meta") for name, value in self.state().items()}), "meta")
        self.assert_not_taken(self.save({n: v.to(torch.int8) for n, v in self.state().items()}), "int8")

    def test_weights_that_are_not_finite_are_refused_by_name(self):
        for bad in (float("nan"), float("inf")):
            state = {name: value.clone() for name, value in self.state().items()}
            state["head_segmask.bias"][0] = bad
            self.assert_not_taken(self.save(state), "head_segmask.bias", "not finite")
        state = {name: value.double() if value.is_floating_point() else value for name, value in self.state().items()}
        state["head_segmask.weight"] = state["head_segmask.weight"] * 1e300
        self.assert_not_taken(self.save(state), "head_segmask.weight")

    def test_one_flipped_bit_in_any_record_is_refused(self):
        path = self.save(self.state())
        whole = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            records = [record.filename for record in archive.infolist() if record.file_size]
        self.assertGreater(len(records), 100)
        for record in records:
            path.write_bytes(flipped(path, record))
            with self.subTest(record):
                self.assert_not_taken(path, record)
            path.write_bytes(whole)

    def test_no_file_makes_a_traceback(self):
        chance = random.Random(7)
        whole = self.save({"model": self.state(), "args": argparse.Namespace(a=1)}).read_bytes()
        old = self.save(self.state(), _use_new_zipfile_serialization=False).read_bytes()
        nested = pickle.dumps(0)
        files = {"empty": b"", "one byte": b"\x80", "a picture": b"\xff\xd8\xff\xe0" + chance.randbytes(500),
                 "LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "html": b"<!doctype html>",
                 "a pickle": nested, "deep": checkpoints.OLD_SAVE + b"\x80\x02" + b"]" * 100000 + b"a" * 99999 + b".",
                 "text": b"weights\n" * 50}
        files |= {f"random {n}": chance.randbytes(n) for n in (7, 64, 4096)}
        files |= {f"random behind a beginning {i}": begin + chance.randbytes(300)
                  for i, begin in enumerate((b"PK\x03\x04", checkpoints.OLD_SAVE, b"\x30\0\0\0\0\0\0\0{", b"\x80\x02"))}
        files |= {f"cut {part}": kind[: len(kind) * part // 10] for kind in (whole, old) for part in range(1, 10)}
        for i in range(40):
            for kind in (whole[:6000], old[:6000]):
                damaged = bytearray(kind)
                for _ in range(chance.randint(1, 8)):
                    damaged[chance.randrange(len(damaged))] = chance.randrange(256)
                files[f"damaged {i} {kind is old}"] = bytes(damaged) + (whole if kind[:2] == b"PK" else old)[6000:]
        path = self.folder / "weights.bin"
        for name, content in files.items():
            path.write_bytes(content)
            with self.subTest(name):
                try:
                    self.built(path)  # a byte that plays no part may be damaged
                except Refused as refusal:
                    self.assertIn("nothing was written", str(refusal))
        (self.folder / "folder").mkdir()
        self.assert_not_taken(self.folder / "folder", "is a folder", "dcp_to_torch")
        self.assert_not_taken(self.folder / "absent.bin", "No such file")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/readme.txt", "nothing")
        self.assert_not_taken(path, "without data.pkl")
        with path.open("wb") as file:
            file.truncate(1 << 40)  # a terabyte of nothing
        self.assert_not_taken(path, "of no kind that is known")

    def test_a_finished_model_given_as_weights_is_told_for_what_it_is(self):
        self.assert_not_taken(MODELS / "contrast.pt", "a TorchScript network", "model.path")


class Run:
    """Pickles as a call of a function by its name."""

    def __init__(self, name, *arguments):
        self.name, self.arguments = name, arguments

    def __reduce__(self):
        return eval(self.name, {"os": os, "builtins": builtins, "pathlib": pathlib}), self.arguments


class ConfigurationTest(RecipesTest):
    def test_the_configuration_of_a_training_is_that_of_the_pipeline(self):
        self.assertEqual({**peaknet.DEFAULTS, **peaknet.config_of(TRAINING)}, {**peaknet.DEFAULTS, **SMALL})
        torch.save(peaknet.build(SMALL, seed=3).state_dict(), self.folder / "weights.bin")
        (self.folder / "training.yaml").write_text(json.dumps(TRAINING))
        said = self.assert_made("training.yaml", "a.pt", "--weights", "weights.bin")
        self.assertIn("tensors of weights.bin", said)

    def test_a_training_that_this_network_cannot_be_is_refused_with_the_value(self):
        for place, value, said in ((("seg_head", "num_groups"), 16, "seg_head.num_groups is 16, and this network is made for 32"),
                                   (("bifpn", "block"), {"fusion": {"eps": 1e-3}}, "bifpn.block.fusion.eps is 0.001"),
                                   (("seg_head", "num_clases"), 2, "did you mean seg_head.num_classes?"),
                                   (("backbone", "model_name"), "convnextv2_atto.fcmae", "an old training")):
            model = json.loads(json.dumps(TRAINING["model"]))
            model[place[0]][place[1]] = value
            with self.subTest(said), self.assertRaises(ValueError) as refusal:
                peaknet.config_of({"model": model})
            self.assertIn(said, str(refusal.exception))

    def test_no_configuration_makes_a_traceback(self):
        for i, text in enumerate(("", "7", "[1, 2]", "\tx", "a: &a [*a]", "model: *b", "!!python/object:os.system {}", "\x00", "{{ x }}",
                                  "model: {backbone_depths: [1000000000, 1, 1, 1]}", "model: {num_classes: 1.5e3}",
                                  "? {a: b}\n: c", "[" * 3000)):
            (self.folder / "a.yaml").write_text(text)
            with self.subTest(text[:40]):
                if not text:
                    continue  # no keys: all defaults would be built, 33 million parameters
                self.assert_refused("a.yaml", "a.yaml", "a.pt")
        (self.folder / "a.yaml").write_bytes(random.Random(1).randbytes(100))
        self.assert_refused("a.yaml", "a.yaml", "a.pt")


if __name__ == "__main__":
    main()
