"""PeakNet: ConvNeXt V2 backbone, BiFPN and segmentation head, from the keys of upstream's `peaknet_config`.

    network = build({"image_size": 512, "bifpn_num_blocks": 2}, weights="peaknet-673m.bin")

Input (rows, 1, H, W), H and W multiples of 32; output (rows, 2, H, W) logits, class 1 = peak. Every row is judged by
itself. A checkpoint of the upstream package loads with no missing and no unexpected name: the names of
parameters here are that package's, and so are a few things that only they explain (a fusion weight that is masked out,
levels that begin at 4). Without weights the parameters are random, the same for the same seed.

Papers: ConvNeXt V2 (arXiv 2301.00808), EfficientDet for the BiFPN (arXiv 1911.09070), Panoptic FPN for the head
(arXiv 1901.02446), PeakNet (arXiv 2303.15301)."""

import difflib
import pathlib
import re
from typing import Any, Callable, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import peaknet_training
from .weights import put_into

STRIDE = 4  # of the finest features; the others are at 8, 16 and 32
FIRST_LEVEL = 4  # the number that the finest features have in the names of the BiFPN's layers
GROUPS = 32  # of the head's group normalisation
MOST = 65536  # of any number in a configuration: more is a slip, and would be built for hours
EPSILON = 1e-6  # of layer and response normalisation
FUSION_EPSILON = 1e-5

# Key -> default. The last two are accepted and change nothing: the network takes any size, and where the weights come from
# is said by `weights`.
DEFAULTS: dict[str, Any] = {
    "num_channels": 1,
    "num_classes": 2,
    "backbone_hidden_sizes": [96, 192, 384, 768],
    "backbone_depths": [3, 3, 9, 3],
    "bifpn_num_blocks": 2,
    "bifpn_num_features": 256,
    "seg_out_channels": 256,
    "uses_learned_upsample": False,
    "image_size": 1920,
    "from_scratch": False,
}


def resized(x: Tensor, factor: float) -> Tensor:
    """Bilinear. torch computes it in float32 and rounds once, also for bfloat16 and float16: no casts, which a trace would
    fix to the precision it was made in."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of (rows, channels, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        last = x.permute(0, 2, 3, 1)
        return F.layer_norm(last, self.weight.shape, self.weight, self.bias, EPSILON).permute(0, 3, 1, 2)


class ResponseNorm(nn.Module):
    """Global response normalisation of (rows, H, W, channels): a channel counts by its share in the whole image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.bias = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        energy = torch.linalg.vector_norm(x, ord=2, dim=(1, 2), keepdim=True)
        share = energy / (energy.mean(dim=-1, keepdim=True) + EPSILON)
        return self.weight * (x * share) + self.bias + x


class Block(nn.Module):
    """The residual block of ConvNeXt V2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, kernel_size=7, padding=3, groups=channels)
        self.layernorm = nn.LayerNorm(channels, eps=EPSILON)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.grn = ResponseNorm(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layernorm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.pwconv2(self.grn(F.gelu(self.pwconv1(y))))
        return x + y.permute(0, 3, 1, 2)


class Stage(nn.Module):
    """Half the size (but for the first), then blocks."""

    def __init__(self, before: int, channels: int, depth: int, halves: bool) -> None:
        super().__init__()
        self.downsampling_layer = nn.Sequential()
        if halves:
            self.downsampling_layer.extend([ChannelNorm(before), nn.Conv2d(before, channels, kernel_size=2, stride=2)])
        self.layers = nn.Sequential(*[Block(channels) for _ in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.downsampling_layer(x))


class Patches(nn.Module):
    """4 x 4 pixels become one position."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.patch_embeddings = nn.Conv2d(channels_in, channels, kernel_size=STRIDE, stride=STRIDE)
        self.layernorm = ChannelNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.layernorm(self.patch_embeddings(x))


class Backbone(nn.Module):
    """The features after each stage, normalised, finest first."""

    def __init__(self, channels_in: int, sizes: list[int], depths: list[int]) -> None:
        super().__init__()
        self.embeddings = Patches(channels_in, sizes[0])
        self.encoder = nn.Module()
        self.encoder.stages = nn.ModuleList(
            Stage(sizes[max(0, i - 1)], sizes[i], depth, halves=i > 0) for i, depth in enumerate(depths))
        self.hidden_states_norms = nn.ModuleDict({f"stage{i + 1}": ChannelNorm(n) for i, n in enumerate(sizes)})

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.embeddings(x)
        features = []
        for stage, norm in zip(self.encoder.stages, self.hidden_states_norms.values()):
            x = stage(x)
            features.append(norm(x))
        return features


class Separable(nn.Module):
    """One weight per channel, then a mix of the channels."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.depthwise_conv = nn.Conv2d(features, features, kernel_size=1, groups=features, bias=False)
        self.pointwise_conv = nn.Conv2d(features, features, kernel_size=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class FusionBlock(nn.Module):
    """Features of all levels see each other: first from coarse to fine (m), then from fine to coarse (q). What is fused is a
    mean with learned weights that cannot be negative, refined, and added to what the level had."""

    def __init__(self, features: int, levels: int) -> None:
        super().__init__()
        self.conv = nn.ModuleDict()
        steps = levels - 1
        names = [f"m{FIRST_LEVEL + i}" for i in range(steps)] + [f"q{FIRST_LEVEL + 1 + i}" for i in range(steps)]
        for name in names:
            self.conv[name] = nn.Sequential(Separable(features), ChannelNorm(features), nn.GELU())
        self.w_m = nn.Parameter(torch.ones(steps, 2))  # by step: the first is the coarsest
        self.w_q = nn.Parameter(torch.ones(steps, 3))  # by step: the first is the finest
        # The coarsest level has no m of its own and takes its input there: the input must not count twice.
        mask = torch.ones(steps, 3, dtype=torch.bool)
        mask[-1, 0] = False
        self.register_buffer("w_q_mask", mask)

    def refined(self, name: str, parts: list[Tensor], weights: Tensor) -> Tensor:
        total = weights[0] * parts[0]
        for weight, part in zip(weights[1:], parts[1:]):
            total = total + weight * part
        return self.conv[name](total / (weights.sum() + FUSION_EPSILON))

    def forward(self, p: list[Tensor]) -> list[Tensor]:
        coarsest = len(p) - 1
        m = list(p)
        for step in range(coarsest):
            i = coarsest - 1 - step
            weights = self.w_m[step].relu()
            m[i] = self.refined(f"m{FIRST_LEVEL + i}", [p[i], resized(m[i + 1], 2.0)], weights) + p[i]
        q = list(m)
        for step in range(coarsest):
            i = step + 1
            weights = (self.w_q[step] * self.w_q_mask[step]).relu()
            q[i] = self.refined(f"q{FIRST_LEVEL + i}", [p[i], m[i], resized(q[i - 1], 0.5)], weights) + p[i]
        return q


class Lateral(nn.Module):
    """Convolutions that bring one level to the finest size, doubling it after each; the finest level has one, without."""

    def __init__(self, features: int, channels: int, doublings: int) -> None:
        super().__init__()
        self.doubles = doublings > 0
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(features if i == 0 else channels, channels, kernel_size=3, padding=1),
                          nn.GroupNorm(GROUPS, channels), nn.GELU())
            for i in range(max(1, doublings)))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
            if self.doubles:
                x = resized(x, 2.0)
        return x


class PeakNet(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        sizes, features, channels = config["backbone_hidden_sizes"], config["bifpn_num_features"], config["seg_out_channels"]
        classes, levels = config["num_classes"], len(sizes)
        self.backbone = Backbone(config["num_channels"], sizes, config["backbone_depths"])
        self.backbone_to_bifpn = nn.ModuleList(nn.Conv2d(size, features, kernel_size=1) for size in sizes)
        self.bifpn = nn.Module()
        self.bifpn.blocks = nn.Sequential(*[FusionBlock(features, levels) for _ in range(config["bifpn_num_blocks"])])
        self.seg_lateral_layers = nn.ModuleList(Lateral(features, channels, doublings) for doublings in range(levels))
        self.head_segmask = nn.Conv2d(channels, classes, kernel_size=1)
        self.head_upsample_layer = None
        if config["uses_learned_upsample"]:
            self.head_upsample_layer = nn.Sequential(
                nn.ConvTranspose2d(channels, classes, kernel_size=STRIDE + 2, stride=STRIDE, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        features = [adapt(x) for adapt, x in zip(self.backbone_to_bifpn, self.backbone(image))]
        features = self.bifpn.blocks(features)
        total = self.seg_lateral_layers[-1](features[-1])
        for i in range(len(features) - 2, -1, -1):
            total = total + self.seg_lateral_layers[i](features[i])
        logits = resized(self.head_segmask(total), float(STRIDE))
        if self.head_upsample_layer is not None:
            logits = logits + self.head_upsample_layer(total)
        return logits


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """All keys, with defaults for those that are not there. Refuses what upstream refuses, and says what is allowed."""
    for key in config:
        if key not in DEFAULTS:
            near = difflib.get_close_matches(key, DEFAULTS, 1)
            hint = f", did you mean {near[0]}?" if near else f"; known are {', '.join(DEFAULTS)}"
            raise ValueError(f"peaknet_config: {key} is not known{hint}")
    full = {**DEFAULTS, **config}
    lists = ("backbone_hidden_sizes", "backbone_depths")
    for key, value in full.items():
        wanted = type(DEFAULTS[key])
        items = value if key in lists and isinstance(value, (list, tuple)) else [value]
        kind = "true or false" if wanted is bool else "4 integers above 0" if key in lists else "an integer above 0"
        good = (len(items) == 4 if key in lists else True) and all(
            isinstance(item, bool) if wanted is bool else type(item) is int and 0 < item <= MOST for item in items)
        if not good:
            raise ValueError(f"peaknet_config: {key} is {value!r}, it must be {kind}")
    if full["seg_out_channels"] % GROUPS:
        raise ValueError(f"peaknet_config: seg_out_channels is {full['seg_out_channels']}, it must be a multiple of {GROUPS}")
    return full


def config_of(document: Any) -> dict[str, Any]:
    """The keys, from a whole configuration of the upstream pipeline (model: peaknet_config: model:), of the upstream training
    (model: backbone: hf_config:, ...), or any inner part of either."""
    for key in ("model", "peaknet_config", "model"):
        if isinstance(document, dict) and isinstance(document.get(key), dict):
            document = document[key]
    if not isinstance(document, dict):
        raise ValueError("the configuration has no keys of peaknet_config: expected model: peaknet_config: model: {...}")
    return peaknet_training.config_of(document) if peaknet_training.is_training(document) else document


def config_in(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """The keys that a checkpoint was made with, as far as its names and shapes say them."""
    found: dict[str, Any] = {}

    def shape(name: str, dimensions: int) -> Optional[tuple[int, ...]]:
        size = shapes.get(name, ())
        return size if len(size) == dimensions else None

    def counted(pattern: str) -> int:
        return len({match[1] for match in (re.match(pattern, name) for name in shapes) if match})

    adapters = [shape(f"backbone_to_bifpn.{i}.weight", 4) for i in range(4)]
    if all(adapters):
        found["backbone_hidden_sizes"] = [size[1] for size in adapters]
        found["bifpn_num_features"] = adapters[0][0]
    depths = [counted(rf"backbone\.encoder\.stages\.{i}\.layers\.(\d+)\.") for i in range(4)]
    if all(depths):
        found["backbone_depths"] = depths
    if patches := shape("backbone.embeddings.patch_embeddings.weight", 4):
        found["num_channels"] = patches[1]
    if blocks := counted(r"bifpn\.blocks\.(\d+)\."):
        found["bifpn_num_blocks"] = blocks
    if head := shape("head_segmask.weight", 4):
        found["num_classes"], found["seg_out_channels"] = head[:2]
        found["uses_learned_upsample"] = "head_upsample_layer.0.weight" in shapes
    return found


def remedy_for(config: dict[str, Any]) -> Callable[[dict[str, tuple[int, ...]]], str]:
    """Which keys of the configuration to correct, so that a checkpoint fits."""

    def remedy(shapes: dict[str, tuple[int, ...]]) -> str:
        wrong = {key: value for key, value in config_in(shapes).items() if value != config[key]}
        if wrong:
            return "the checkpoint was made with " + ", ".join(
                f"{key}: {str(value).lower() if isinstance(value, bool) else value}" for key, value in wrong.items()) + \
                "; correct that in the configuration"
        return "the keys of the configuration fit, so the checkpoint is of another version of the class or not whole"

    return remedy


@torch.no_grad()
def randomise(network: PeakNet, seed: int) -> None:
    """Random parameters under which every part has a say, and on a normalised image every class some pixels."""
    random = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1 and min(parameter.shape) > 3:
            parameter.normal_(0.0, parameter[0].numel() ** -0.5, generator=random)
        elif name.endswith("grn.weight") or name.endswith("grn.bias"):
            parameter.normal_(0.0, 0.1, generator=random)
    image = torch.randn((1, network.backbone.embeddings.patch_embeddings.in_channels, 64, 64), generator=random)
    middle = network(image).mean(dim=(0, 2, 3))
    network.head_segmask.bias -= torch.round(middle, decimals=3)  # the same on every processor


def build(config: Optional[dict[str, Any]] = None, weights: Optional[pathlib.Path] = None, seed: int = 0, take: str = "",
          tell: Callable[[str], None] = lambda text: None) -> PeakNet:
    """The network in evaluation mode, float32 on the CPU. Default: PeakNet-base, 33 million random parameters. `take` and what
    is told: see weights.put_into."""
    full = checked(config or {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PeakNet(full).eval()
    if weights is None:
        randomise(network, seed)
    else:
        tell(put_into(network, pathlib.Path(weights), take, "this peaknet_config", remedy_for(full)))
    return network
