"""From a seed to weights: trains PeakNet of peaknet_small.yaml on simulated patterns, on one thread of a processor.

    python3 train.py weights.safetensors                    the recipe, as README.md says
    python3 train.py short.safetensors --steps 20           the same, cut short: for a test

The same seed, steps, packages and kind of processor give the same bits. Prints the learning curve; keeps what it has
reached in OUTPUT.part every few minutes. Needs the packages of ../requirements.txt."""

import argparse
import copy
import math
import pathlib
import sys
import time
from typing import Optional

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from peaknet_recipes import peaknet  # noqa: E402

from scoring import Score, centres, score_peaks  # noqa: E402
from simulator import EITHER, REFLECTION, Pattern, draw, log_uniform, normalised, simulate  # noqa: E402

SIDE = 448  # of a simulated image, which is normalised as a whole
CROP = 128  # of it, four at once
GENTLE = 11_000  # steps whose images have neither the sharpest spots nor the brightest
POOL = 64  # images to cut from
LIFE = 6  # steps after which one of them is replaced
PLATEAU = 0.75  # share of the steps after which the rate sinks
WHOLE = (0.1, 0.35)  # share of the steps that take one whole image, before and after
BLANK, FAINT = 0.25, 0.35  # after: shares of the images whose crystals are taken out, or made weak
RATE, WARM_UP, DECAY = 2e-3, 200, 0.02
FOCUS = 2.0  # of the focal loss
OVERLAP = 0.3  # share of the dice loss
AVERAGE = 0.999  # of the weights that are kept
EVERY = 1000  # steps between two lines of the curve
HELD_OUT = 1_000_000  # seeds from there on are never trained on
FALSE_PER_BLANK = 0.7  # in a blank frame of 1024 x 1024: what the threshold is set to


def network_of(seed: int) -> peaknet.PeakNet:
    """With upstream's initialisation of such layers: narrow random weights, so that each block begins as nothing."""
    config = peaknet.checked(peaknet.config_of(yaml.safe_load((HERE / "peaknet_small.yaml").read_text())))
    torch.manual_seed(seed)
    network = peaknet.PeakNet(config)
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.trunc_normal_(module.weight, std=0.02)
            torch.nn.init.zeros_(module.bias)
    with torch.no_grad():
        network.head_segmask.bias.copy_(torch.tensor([2.0, -2.0]))  # few pixels are reflections
    return network


class Images:
    """Crops of normalised images with the class of each pixel, in an order that the seed fixes."""

    def __init__(self, seed: int, step: int, steps: int) -> None:
        self.seed, self.late = seed, int(PLATEAU * steps) // LIFE + POOL
        first = step // LIFE
        self.pool = {i % POOL: self.image(i) for i in range(first, first + POOL)}

    def image(self, number: int) -> tuple[np.ndarray, np.ndarray, float]:
        rng = np.random.default_rng([self.seed, 0, number])
        scene = draw(rng, (SIDE, SIDE), gentle=number < GENTLE // LIFE + POOL)
        if number >= self.late:
            kind = rng.random()
            scene = scene.without_crystals() if kind < BLANK else scene.with_significance(log_uniform(rng, 4, 20)) \
                if kind < BLANK + FAINT else scene
        pattern = simulate(scene, rng)
        x = normalised(pattern.image)
        if rng.random() < 0.3:  # as one panel of an event whose others are brighter
            x = (x - np.float32(rng.normal(0, 0.5))) * np.float32(math.exp(rng.uniform(-3, 0)))
        return x, pattern.classes, min(1.0, 1.2 / scene.sigma**2)

    def batch(self, step: int, share: float) -> tuple[torch.Tensor, torch.Tensor]:
        """(rows, 1, h, w) input and (rows, h, w) weight of the pixel, negative where it is a reflection's."""
        if step % LIFE == 0 and step > 0:
            newest = step // LIFE + POOL - 1
            self.pool[newest % POOL] = self.image(newest)
        rng = np.random.default_rng([self.seed, 1, step])
        whole = rng.random() < share
        inputs, weights = [], []
        for _ in range(1 if whole else 4):
            x, classes, broad = self.pool[int(rng.integers(POOL))]
            side = SIDE if whole else CROP
            top, left = (int(n) for n in rng.integers(0, SIDE - side + 1, 2))
            down, right = (int(n) for n in 1 - 2 * rng.integers(0, 2, 2))
            part = (slice(top, top + side), slice(left, left + side))
            x, classes = x[part][::down, ::right], classes[part][::down, ::right]
            inputs.append(x)
            weights.append(np.where(classes == REFLECTION, np.float32(-broad),
                                    np.where(classes == EITHER, np.float32(0), np.float32(1))))
        return torch.from_numpy(np.stack(inputs))[:, None], torch.from_numpy(np.stack(weights))


def loss_of(logits: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Focal and dice of class 1 against class 0; a pixel without weight has no say."""
    margin = logits[:, 1] - logits[:, 0]
    wanted, weights = (weights < 0).float(), weights.abs()
    entropy = F.binary_cross_entropy_with_logits(margin, wanted, reduction="none")
    chance = torch.sigmoid(margin)
    missing = (chance - wanted).abs()
    positive = (wanted * weights).sum()
    focal = (missing**FOCUS * entropy * weights).sum() / (positive + 300)
    both = (chance * wanted * weights).sum()
    dice = 1 - (2 * both + 50) / ((chance**2 * weights).sum() + positive + 50)
    return focal + OVERLAP * dice


def rate_at(step: int, steps: int) -> float:
    """Up, level, and down in a line: the first PLATEAU of the steps are the same however many follow."""
    up, down = (step + 1) / WARM_UP, (steps - step) / max(1, steps - int(PLATEAU * steps))
    return RATE * min(1.0, up, down)


def held_out(seed: int, count: int) -> list[Pattern]:
    made = []
    for i in range(count):
        rng = np.random.default_rng([seed, HELD_OUT + i])
        made.append(simulate(draw(rng, (SIDE, SIDE)), rng))
    return made


@torch.inference_mode()
def margins(network: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    """Class 1 less class 0."""
    logits = network(torch.from_numpy(image)[None, None])[0].numpy()
    return logits[1] - logits[0]


def line_of(network: torch.nn.Module, patterns: list[Pattern]) -> str:
    total = Score()
    for pattern in patterns:
        total = total + score_peaks(centres(margins(network, normalised(pattern.image)) > 0), pattern)
    return str(total)


@torch.inference_mode()
def threshold(network: torch.nn.Module, seed: int, frames: int) -> float:
    """The margin above which frames without a crystal and tracks have FALSE_PER_BLANK peaks per 1024 x 1024; at least 0."""
    best, pixels = [], 0
    for i in range(frames):
        rng = np.random.default_rng([seed, 2 * HELD_OUT + i])
        scene = draw(rng, (SIDE, SIDE)).without_crystals().without_tracks()
        margin = margins(network, normalised(simulate(scene, rng).image))
        pixels += margin.size
        best.append(peaks_above(margin, 0.0))
    heights = np.sort(np.concatenate(best))[::-1]
    allowed = int(FALSE_PER_BLANK * pixels / 2**20)
    return float(heights[allowed]) if len(heights) > allowed else 0.0


def peaks_above(margin: np.ndarray, least: float) -> np.ndarray:
    """The largest margin of each component above `least`."""
    from scipy import ndimage

    labels, count = ndimage.label(margin > least, np.ones((3, 3)))
    return np.asarray(ndimage.maximum(margin, labels, range(1, count + 1))) if count else np.zeros(0)


class Run:
    """A training with all that its next step depends on. It can be kept, and gone on with to the same bits."""

    def __init__(self, seed: int) -> None:
        self.seed, self.step = seed, 0
        self.network = network_of(seed)
        self.average = copy.deepcopy(self.network).eval()
        wide = [p for p in self.network.parameters() if p.dim() > 1]
        narrow = [p for p in self.network.parameters() if p.dim() <= 1]
        self.optimiser = torch.optim.AdamW([{"params": wide, "weight_decay": DECAY}, {"params": narrow, "weight_decay": 0.0}],
                                           lr=RATE, betas=(0.9, 0.99))

    def keep(self, path: pathlib.Path) -> None:
        torch.save({"seed": self.seed, "step": self.step, "network": self.network.state_dict(),
                    "average": self.average.state_dict(), "optimiser": self.optimiser.state_dict()}, path)

    def go_on(self, path: pathlib.Path) -> None:
        kept = torch.load(path, weights_only=True)
        if kept["seed"] != self.seed:
            raise SystemExit(f"{path} is of seed {kept['seed']}, not of {self.seed}; give --seed {kept['seed']}")
        self.step = kept["step"]
        self.network.load_state_dict(kept["network"])
        self.average.load_state_dict(kept["average"])
        self.optimiser.load_state_dict(kept["optimiser"])

    def one_step(self, images: Images, steps: int) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.step, steps)
        inputs, weights = images.batch(self.step, WHOLE[self.step >= PLATEAU * steps])
        loss = loss_of(self.network(inputs), weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        share = min(AVERAGE, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters()):
                mean.lerp_(value, 1 - share)
        return loss.item()


def train(run: Run, steps: int, judged: list[Pattern], part: pathlib.Path) -> None:
    print(f"{sum(p.numel() for p in run.network.parameters())} parameters, seed {run.seed}, steps {run.step} to {steps}, torch "
          f"{torch.__version__}, numpy {np.__version__}, 1 thread", flush=True)
    images = Images(run.seed, run.step, steps)
    begin, losses = time.process_time(), []
    while run.step < steps:
        losses.append(run.one_step(images, steps))
        if run.step % EVERY == 0 or run.step == steps:
            run.keep(part)
            print(f"step {run.step}: loss {np.mean(losses):.4f}, {line_of(run.average, judged)}, "
                  f"{time.process_time() - begin:.0f} s of processor", flush=True)
            losses = []


def main(command: Optional[list[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path, help=".safetensors")
    parser.add_argument("--seed", type=int, default=28)
    parser.add_argument("--steps", type=int, default=23_000)
    parser.add_argument("--blank", type=int, default=200, help="frames without a crystal that set the threshold (%(default)s)")
    parser.add_argument("--judged", type=int, default=40, help="patterns of the learning curve (%(default)s)")
    arguments = parser.parse_args(command)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    begin = time.monotonic()
    part = arguments.output.with_name(arguments.output.name + ".part")
    run = Run(arguments.seed)
    if part.exists():
        run.go_on(part)
    judged = held_out(arguments.seed, arguments.judged)
    train(run, arguments.steps, judged, part)
    above = threshold(run.average, arguments.seed, arguments.blank)
    with torch.no_grad():
        run.average.head_segmask.bias[1] -= above
    print(f"threshold {above:.3f}; {line_of(run.average, judged)}")
    safetensors.torch.save_file(run.average.state_dict(), arguments.output)
    part.unlink()
    print(f"{arguments.output}: {arguments.output.stat().st_size} bytes, {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
