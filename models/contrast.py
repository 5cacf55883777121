"""contrast: a peak network without training, for demos and tests.

Input  (rows, 1, H, W) raw counts, any number type (computed as float32).
Output (rows, 2, H, W) float32 logits; class 1 = peak, so that argmax (ties to class 0) is the peak mask.

Every row is judged by itself: no value is shared over a batch, so padded rows and neighbours change nothing.
There are no parameters and no buffers; the constants below are all there is. README.md has formulas and reasons.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Contrast(nn.Module):
    """Local contrast: background and noise from four arms around a pixel, then an integrated signal to noise."""

    def __init__(self, support: float = 4.0, total: float = 18.0, noise_floor: float = 4.0) -> None:
        super().__init__()
        self.support = support  # signal to noise from which a pixel takes part in a peak
        self.total = total  # signal to noise that the participants of a 3 x 3 neighbourhood must exceed together
        self.noise_floor = noise_floor  # counts; no background is trusted to be quieter than this

    def forward(self, image: Tensor) -> Tensor:
        rows, height, width = image.size(0), image.size(2), image.size(3)
        # Blocks of 4 x 4 pixels carry the statistics. Where they do not fit, zeros fill up and one line of blocks more,
        # so that the cut blocks lie beside dead ones. The border of one zero is for the 3 x 3 sum at the end.
        full_height = height if height % 4 == 0 else height + 8 - height % 4
        full_width = width if width % 4 == 0 else width + 8 - width % 4
        framed = torch.zeros([rows, 1, full_height + 2, full_width + 2], dtype=torch.float32, device=image.device)
        framed[:, :, 1 : height + 1, 1 : width + 1] = image.to(torch.float32)
        x = torch.nan_to_num_(framed, nan=0.0, posinf=0.0, neginf=0.0)[:, :, 1:-1, 1:-1]

        column_sums = self.sum_rows(x)
        live, whole = self.live_blocks(x)
        witness = (whole | self.with_neighbours(live)).to(torch.float32)
        weights = self.arms(witness)
        low, high = self.middle_two(self.means(self.arms(self.sum_columns(column_sums).mul_(witness)), weights))
        self.subtract(x, (low + high).mul_(0.5 / 16.0))
        squares = self.sum_columns(self.sum_rows(x * x)).mul_(witness)
        low, high = self.middle_two(self.means(self.arms(squares), weights))
        noise = high.mul_(1.0 / 16.0).clamp_(min=self.noise_floor * self.noise_floor)
        # Witnesses on one side alone do not tell a slope from a peak: around a beam stop, in the corner of a panel.
        both_sides = torch.minimum(weights[0], weights[1]).add_(torch.minimum(weights[2], weights[3])) > 0.0
        any_side = self.with_neighbours((weights[0] + weights[1]).add_(weights[2]).add_(weights[3]) > 0.0)
        self.scale(x, noise.rsqrt_().mul_(live & both_sides & any_side))
        own = F.threshold_(x, self.support, 0.0)

        # Class 1 holds the sum around every participant and 0 elsewhere. Class 0 holds what it must exceed: the
        # threshold, and the pixel's own part, so that a lone hot pixel (own == around) is no peak.
        around = self.sum_3x3(framed)
        logits = torch.empty([rows, 2, full_height, full_width], dtype=torch.float32, device=image.device)
        torch.clamp(own, min=self.total, out=logits[:, 0:1])
        torch.minimum(around, own.mul_(1.0e6), out=logits[:, 1:2])
        return logits[:, :, :height, :width].contiguous()

    def subtract(self, x: Tensor, background: Tensor) -> None:
        """x -= background, which holds the centres of the blocks; linear between them."""
        height, width = background.size(2), x.size(3)
        lines = F.pad(F.interpolate(background, size=[height, width], mode="bilinear"), [0, 0, 1, 1], mode="replicate")
        above, here, below = lines[:, 0, :-2], lines[:, 0, 1:-1], lines[:, 0, 2:]
        x = x.view(x.size(0), height, 4, width)
        x[:, :, 0].sub_(here, alpha=0.625).sub_(above, alpha=0.375)
        x[:, :, 1].sub_(here, alpha=0.875).sub_(above, alpha=0.125)
        x[:, :, 2].sub_(here, alpha=0.875).sub_(below, alpha=0.125)
        x[:, :, 3].sub_(here, alpha=0.625).sub_(below, alpha=0.375)

    def scale(self, x: Tensor, factor: Tensor) -> None:
        """x *= factor, one value for each block."""
        height, width = factor.size(2), x.size(3)
        lines = F.interpolate(factor, size=[height, width], mode="nearest")
        x.view(x.size(0), height, 4, width).mul_(lines.view(x.size(0), height, 1, width))

    def sum_rows(self, x: Tensor) -> Tensor:
        """(rows, 1, 4 h, W) -> (rows, 1, h, W)"""
        return x.view(x.size(0), 1, x.size(2) // 4, 4, x.size(3)).sum(3)

    def sum_columns(self, x: Tensor) -> Tensor:
        """(rows, 1, h, 4 w) -> (rows, 1, h, w)"""
        return (x[:, :, :, 0::4] + x[:, :, :, 1::4]).add_(x[:, :, :, 2::4]).add_(x[:, :, :, 3::4])

    def live_blocks(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Blocks with a pixel that is not zero, and blocks without a zero. All 16 zero means a gap between panels, a
        beam stop, a mask, padding. But where most live blocks hold a zero, as in an image of a few photons, zeros are
        data: then all blocks are live and whole."""
        seen = (x != 0.0).to(torch.uint8).view(x.size(0), x.size(2) // 4, 4, x.size(3))
        columns = (seen[:, :, 0] + seen[:, :, 1]).add_(seen[:, :, 2]).add_(seen[:, :, 3]).unsqueeze(1)
        count = self.sum_columns(columns)
        live, whole = count > 0, count == 16
        sparse = whole.sum([1, 2, 3], keepdim=True) * 2 < live.sum([1, 2, 3], keepdim=True)
        return live | sparse, whole | sparse

    def with_neighbours(self, good: Tensor) -> Tensor:
        """True for blocks that are good and touch only good ones."""
        p = F.pad(good, [1, 1, 1, 1], value=1.0)
        p = p[:, :, :-2] & p[:, :, 1:-1] & p[:, :, 2:]
        return p[:, :, :, :-2] & p[:, :, :, 1:-1] & p[:, :, :, 2:]

    def arms(self, x: Tensor) -> list[Tensor]:
        """Sums over the 2nd, 3rd and 4th block above, below, left and right of each block. The image is mirrored at its
        border (one of 4 blocks or fewer repeats its outermost block instead)."""
        height, width = x.size(2), x.size(3)
        p = F.pad(x, [4, 4, 4, 4], mode="reflect" if height > 4 and width > 4 else "replicate")
        column = p[:, :, :, 4:-4]
        column = (column[:, :, :-2] + column[:, :, 1:-1]).add_(column[:, :, 2:])
        line = p[:, :, 4:-4]
        line = (line[:, :, :, :-2] + line[:, :, :, 1:-1]).add_(line[:, :, :, 2:])
        return [column[:, :, :height], column[:, :, 6:], line[:, :, :, :width], line[:, :, :, 6:]]

    def means(self, sums: list[Tensor], weights: list[Tensor]) -> list[Tensor]:
        """Weighted means of the arms. An arm without weight takes the mean of the others; where all are dead, 0."""
        tiny = 0.001
        total = (weights[0] + weights[1]).add_(weights[2]).add_(weights[3]).clamp_(min=1.0)
        common = (sums[0] + sums[1]).add_(sums[2]).add_(sums[3]).div_(total).mul_(tiny)
        return [(s + common).div_(w + tiny) for s, w in zip(sums, weights)]

    def middle_two(self, a: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The second smallest and the second largest of four: one arm that holds something else has no say."""
        p = torch.minimum(torch.maximum(a[0], a[1]), torch.maximum(a[2], a[3]))
        q = torch.maximum(torch.minimum(a[0], a[1]), torch.minimum(a[2], a[3]))
        return torch.minimum(p, q), torch.maximum(p, q)

    def sum_3x3(self, x: Tensor) -> Tensor:
        """(rows, 1, H + 2, W + 2) -> (rows, 1, H, W)"""
        p = (x[:, :, :-2] + x[:, :, 1:-1]).add_(x[:, :, 2:])
        return (p[:, :, :, :-2] + p[:, :, :, 1:-1]).add_(p[:, :, :, 2:])
