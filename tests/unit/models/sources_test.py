"""Networks from elsewhere: programs of torch.export, ONNX and Keras beside their own runtimes, modules of the user's own. Run
with any Python that has the packages of models/requirements-keras.txt; what is not installed is skipped, by name."""

import random
import sys
import unittest
import zipfile

from recipes import MODELS, RecipesTest, flipped, main

try:
    import numpy as np
    import torch
    from torch import nn

    from peaknet_recipes import formats, golden, onnx_networks

    class Net(nn.Module):
        """GroupNorm, Gelu, pooling, resizing, and one constant that three operators share."""

        def __init__(self):
            super().__init__()
            torch.manual_seed(4)
            self.first, self.norm, self.last = nn.Conv2d(1, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.Conv2d(16, 2, 1)
            self.scale = nn.Parameter(torch.tensor([1.5]))

        def forward(self, x):
            y = nn.functional.gelu(self.norm(self.first(x * 1e-3)) * self.scale) + self.scale
            y = nn.functional.interpolate(nn.functional.avg_pool2d(y, 2), scale_factor=2.0, mode="bilinear")
            return self.last(y) * self.scale

    class Overflowing(nn.Module):
        def forward(self, x):
            y = x * 1e4
            return torch.cat([y, y + 1], 1)
except ImportError:
    torch = None


class ProgramTest(RecipesTest):
    def program(self, network, **options):
        torch.export.save(torch.export.export(network.eval(), (torch.randn(2, 1, 64, 96),), **options), self.folder / "p.pt2")

    def rows(self, free=None):
        return {"dynamic_shapes": ({0: torch.export.Dim("rows"), **(free or {})},)}

    def test_a_program_gives_what_the_network_gives(self):
        network = Net()
        for free in ({}, {2: 2 * torch.export.Dim("h", min=8), 3: 2 * torch.export.Dim("w", min=8)}):
            with self.subTest(free=bool(free)):
                self.program(network, **self.rows(free))
                self.assert_made("p.pt2", "a.pt")
                images = golden.images(3, 64, 96, normalised=False)
                with torch.inference_mode():
                    expected = network(torch.from_numpy(images))
                torch.testing.assert_close(formats.Runner(self.folder / "a.pt")(images), expected)

    def test_a_fixed_number_of_rows_is_refused_with_the_line_that_frees_it(self):
        self.program(Net())
        self.assert_refused("dynamic_shapes=({0: torch.export.Dim('rows')},)", "p.pt2", "a.pt")

    def test_another_size_than_the_only_one_is_refused_with_it(self):
        self.program(Net(), **self.rows())
        self.assert_refused("takes images of 64x96 alone", "p.pt2", "a.pt", "--size", "32x32")

    def test_a_program_that_is_damaged_or_of_another_kind_is_refused(self):
        self.program(Net(), **self.rows())
        whole = (self.folder / "p.pt2").read_bytes()
        chance = random.Random(3)
        for at in (100, len(whole) // 2, len(whole) - 40):
            (self.folder / "p.pt2").write_bytes(whole[:at])
            self.assert_refused("p.pt2", "p.pt2", "a.pt")
        for record in ("p/data/weights/weight_0", "p/models/model.json"):
            (self.folder / "p.pt2").write_bytes(whole)
            (self.folder / "p.pt2").write_bytes(flipped(self.folder / "p.pt2", record))
            self.assert_refused(record, "p.pt2", "a.pt")
        (self.folder / "p.pt2").write_bytes(chance.randbytes(1000))
        self.assert_refused("of no known kind", "p.pt2", "a.pt")

    def test_a_file_that_is_no_source_is_told_for_what_it_is(self):
        torch.save(Net().state_dict(), self.folder / "weights.bin")
        self.assert_refused("as --weights: export.py peaknet.yaml OUTPUT --weights weights.bin", "weights.bin", "a.pt")
        self.assert_refused("a TorchScript network, and finished", MODELS / "contrast.pt", "a.pt")


class NotFiniteTest(RecipesTest):
    def test_logits_that_are_not_finite_are_refused_with_their_number_and_what_to_take(self):
        (self.folder / "ours.py").write_text("from sources_test import Overflowing\n")
        self.assert_refused("--precision bfloat16", "ours:Overflowing", "a.pt", "--precision", "float16")
        self.assert_made("ours:Overflowing", "a.pt", "--precision", "bfloat16")
        (self.folder / "nan.py").write_text("import torch\nclass N(torch.nn.Module):\n  def forward(self, x):\n"
                                            "    return torch.cat([x, x / 0], 1) - float('inf')\n")
        self.assert_refused("that are not finite (class 0, 1)", "nan:N", "b.pt")

    def test_weights_of_a_network_that_are_not_finite_are_refused_by_name(self):
        (self.folder / "ours.py").write_text("import torch\nfrom sources_test import Net\ndef make():\n  net = Net()\n"
                                             "  net.last.bias.data[1] = float('nan')\n  return net\n")
        self.assert_refused("last.bias", "ours:make", "a.pt")


class ModuleTest(RecipesTest):
    def test_no_module_here_hides_one_that_a_network_imports(self):
        for name in ("peaknet", "golden", "formats", "sources"):
            package = self.folder / "site" / name
            package.mkdir(parents=True)
            (package / "__init__.py").write_text(f"WHOSE = '{name} of the user'\n")
        (self.folder / "ours.py").write_text(
            "import torch, sys\nsys.path.append('site')\nimport peaknet, golden, formats, sources\n"
            "for module in (peaknet, golden, formats, sources):\n"
            "  assert module.WHOSE == module.__name__ + ' of the user'\n"
            "class N(torch.nn.Module):\n  def forward(self, x):\n    return torch.cat([x * 0 + 1100, x], 1)\n")
        self.addCleanup(lambda: [sys.modules.pop(name, None) for name in ("peaknet", "golden", "formats", "sources")])
        self.addCleanup(lambda: sys.path.remove("site") if "site" in sys.path else None)
        self.assert_made("ours:N", "a.pt")

    def test_weights_go_into_a_network_of_the_user_s_own(self):
        (self.folder / "ours.py").write_text("from sources_test import Net\n")
        network = Net()
        nn.init.constant_(network.last.bias, 0.25)
        torch.save({"state_dict": {f"net.{name}": value for name, value in network.state_dict().items()}},
                   self.folder / "w.ckpt")
        self.assertIn("prefix net.", self.assert_made("ours:Net", "a.pt", "--weights", "w.ckpt"))
        images = golden.images(1, 64, 96, normalised=False)
        with torch.inference_mode():
            torch.testing.assert_close(formats.Runner(self.folder / "a.pt")(images), network(torch.from_numpy(images)))

    def test_whatever_a_user_s_module_raises_is_told_with_its_line(self):
        for body, said in (("import nothing_such", "ModuleNotFoundError"), ("def make(:", "SyntaxError"),
                           ("def make(size): pass", "TypeError"), ("def make(): return 1 / 0", "ZeroDivisionError"),
                           ("import sys; sys.exit(3)", "SystemExit"),
                           ("import torch\nclass make(torch.nn.Module):\n  def forward(self, x): return x[7, 7, 7, 7, 7]",
                            "IndexError"),
                           ("import torch\nclass make(torch.nn.Module):\n  def forward(self, x): return {}['a']", "KeyError")):
            (self.folder / "ours.py").write_text(body + "\n")
            sys.modules.pop("ours", None)
            with self.subTest(said):
                self.assert_refused(said, "ours:make", "a.pt")


class OnnxTest(RecipesTest):
    def setUp(self):
        super().setUp()
        try:
            import onnx
            import onnx2torch  # noqa: F401
            import onnxruntime  # noqa: F401
        except ImportError as absent:
            self.skipTest(f"needs the packages of models/requirements-onnx.txt ({absent})")
        self.onnx = onnx

    def assert_as_its_runtime(self, name, last=False):
        self.assertIn("from its own runtime", self.assert_made(name, "a.pt"))
        images = golden.images(3, 64, 96, normalised=False)
        expected = onnx_networks.runtime_of(self.folder / name, last, last)(images)
        torch.testing.assert_close(formats.Runner(self.folder / "a.pt")(images), torch.from_numpy(expected.copy()),
                                   rtol=1e-4, atol=1e-3)

    def test_torch_s_exporter_gives_what_the_runtime_gives(self):
        for opset in (13, 17):
            with self.subTest(opset):
                torch.onnx.export(Net().eval(), (torch.randn(1, 1, 64, 96),), "net.onnx", opset_version=opset, dynamo=False,
                                  input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "rows"}, "y": {0: "rows"}})
                self.assert_as_its_runtime("net.onnx")

    def test_group_normalization_in_both_its_forms(self):
        make, kind, numbers = self.onnx.helper, self.onnx.TensorProto.FLOAT, np.random.default_rng(1)
        for opset, each in ((18, 4), (21, 16)):
            with self.subTest(opset):
                arrays = {"w": numbers.normal(size=(16, 1, 3, 3)) * 1e-3, "s": numbers.normal(size=each),
                          "b": numbers.normal(size=each), "w2": numbers.normal(size=(2, 16, 1, 1))}
                constants = [self.onnx.numpy_helper.from_array(array.astype("f"), name) for name, array in arrays.items()]
                nodes = [make.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
                         make.make_node("GroupNormalization", ["c", "s", "b"], ["n"], num_groups=4),
                         make.make_node("Conv", ["n", "w2"], ["y"])]
                graph = make.make_graph(nodes, "g", [make.make_tensor_value_info("x", kind, ["r", 1, 64, 96])],
                                        [make.make_tensor_value_info("y", kind, ["r", 2, 64, 96])], constants)
                self.onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", opset)], ir_version=9), "net.onnx")
                self.assert_as_its_runtime("net.onnx")

    def test_a_constant_that_several_operators_share_and_a_channel_that_is_last(self):
        make, kind = self.onnx.helper, self.onnx.TensorProto.FLOAT
        for last in (False, True):
            with self.subTest(channel_last=last):
                shape = lambda n: ["rows", 64, 96, n] if last else ["rows", n, 64, 96]
                limit, none = make.make_tensor("limit", kind, [1], [1100.0]), make.make_tensor("none", kind, [1], [0.0])
                nodes = [make.make_node("Mul", ["x", "none"], ["nought"]), make.make_node("Add", ["nought", "limit"], ["level"]),
                         make.make_node("Add", ["x", "limit"], ["up"]), make.make_node("Sub", ["up", "limit"], ["same"]),
                         make.make_node("Concat", ["level", "same"], ["y"], axis=3 if last else 1)]
                graph = make.make_graph(nodes, "above", [make.make_tensor_value_info("x", kind, shape(1))],
                                        [make.make_tensor_value_info("y", kind, shape(2))], [limit, none])
                self.onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8), "above.onnx")
                self.assert_as_its_runtime("above.onnx", last)

    def test_what_is_no_network_of_images_is_refused(self):
        (self.folder / "junk.onnx").write_bytes(b"not a network")
        self.assert_refused("junk.onnx", "junk.onnx", "a.pt")
        (self.folder / "junk.onnx").write_bytes(random.Random(2).randbytes(3000))
        self.assert_refused("junk.onnx", "junk.onnx", "a.pt")
        (self.folder / "junk.onnx").write_bytes(b"")
        self.assert_refused("junk.onnx", "junk.onnx", "a.pt")
        make, kind = self.onnx.helper, self.onnx.TensorProto.FLOAT
        graph = make.make_graph([make.make_node("Relu", ["x"], ["y"])], "flat", [make.make_tensor_value_info("x", kind, ["r", 9])],
                                [make.make_tensor_value_info("y", kind, ["r", 9])])
        self.onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8), "flat.onnx")
        self.assert_refused("it must be (rows,1,H,W)", "flat.onnx", "a.pt")


class KerasTest(RecipesTest):
    def setUp(self):
        super().setUp()
        try:
            import tensorflow
            import tf2onnx  # noqa: F401
        except ImportError as absent:
            self.skipTest(f"needs the packages of models/requirements-keras.txt ({absent})")
        self.keras = tensorflow.keras

    def network(self):
        self.keras.utils.set_random_seed(3)
        layers = self.keras.layers
        image = self.keras.Input((64, 96, 1))
        x = layers.Rescaling(1e-3)(image)
        x = layers.Conv2D(8, 3, padding="same")(x)
        x = layers.Activation("gelu")(layers.GroupNormalization(4)(x))
        x = layers.UpSampling2D(2, interpolation="bilinear")(layers.MaxPooling2D(2)(x))
        return self.keras.Model(image, layers.Conv2D(2, 1)(x))

    def assert_as_its_runtime(self, network, source):
        self.assertIn("from its own runtime", self.assert_made(source, "a.pt"))
        images = golden.images(2, 64, 96, normalised=False)
        expected = np.moveaxis(np.asarray(network(np.moveaxis(images, 1, -1), training=False)), -1, 1)
        torch.testing.assert_close(formats.Runner(self.folder / "a.pt")(images), torch.from_numpy(expected.copy()),
                                   rtol=1e-3, atol=1e-3)

    def test_a_keras_file_and_a_saved_model_give_what_tensorflow_gives(self):
        network = self.network()
        network.save("net.keras")
        network.export("folder", verbose=False)
        self.assert_as_its_runtime(network, "net.keras")
        self.assert_as_its_runtime(network, "folder")

    def test_what_is_no_keras_network_is_refused(self):
        (self.folder / "junk.keras").write_bytes(b"nothing")
        self.assert_refused("junk.keras", "junk.keras", "a.pt")
        with zipfile.ZipFile("zip.keras", "w") as archive:
            archive.writestr("config.json", "{}")
        self.assert_refused("zip.keras", "zip.keras", "a.pt")
        (self.folder / "empty").mkdir()
        self.assert_refused("empty", "empty", "a.pt")


if __name__ == "__main__":
    main()
