"""Batches of cases. Which cases, in which order, cropped where: pure functions of seed and step.

There is no loader state: training can stop at any step and go on from its number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from medtransfer.data.augment import Augmentation
from medtransfer.data.cases import Labelled
from medtransfer.data.images.cache import PixelCache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.stratify import balanced_order
from medtransfer.data.transforms import normalise, training_images, whole_images
from medtransfer.seeds import generator, text_keys, uniforms
from medtransfer.sizes.image_size import ImageSize, height_width

REPEATED = 1_000_003
"""A case that comes again in an epoch is augmented as in an epoch so much later."""


@dataclass(frozen=True)
class Batch:
    """Some cases with all their images.

    Attributes:
        images: The images of the cases, one after the other. [M, 3, H, W]
        case_of_image: Which case of the batch each image belongs to, 0 to B-1. [M]
        targets: 0 to 1; 0 where masked. [B, T]
        known: False where the target is masked. [B, T]
        covariates: Clinical data as numbers; None where they are not used. [B, C]
        weights: Weight of each case in the loss; None for 1. [B]
        groups: Group of each case; None where none are told apart. [B]
    """

    images: torch.Tensor
    case_of_image: torch.Tensor
    targets: torch.Tensor
    known: torch.Tensor
    covariates: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    groups: torch.Tensor | None = None

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.targets)


@dataclass(frozen=True)
class MixUp:
    """MixUp or CutMix of the cases of a step (Zhang et al. 2018).

    Attributes:
        share: Weight of a case itself; its partner has the rest. 0 to 1
        partner: Position of each case's partner in the step. [B]
    """

    share: float
    partner: NDArray[np.int64]


@dataclass(frozen=True)
class Growth:
    """Smaller images in the first steps of a training.

    Attributes:
        size: Of these images.
        until: Number of steps that have it.
    """

    size: ImageSize
    until: int


def image_runs(counts: NDArray[np.int64], limit: int) -> list[NDArray[np.int64]]:
    """Cut cases into runs of at most `limit` images, never inside a case.

    Args:
        counts: Number of images of each case. [N]
        limit: Most images of a run; a case with more is a run of its own.

    Returns:
        Positions of the cases of each run.
    """
    chunks: list[list[int]] = [[]]
    load = 0
    for position, count in enumerate(counts.tolist()):
        if chunks[-1] and load + count > limit:
            chunks.append([])
            load = 0
        chunks[-1].append(position)
        load += count
    return [np.array(chunk, dtype=np.int64) for chunk in chunks if chunk]


class CaseImages:
    """Cases with the places of their images in a cache."""

    def __init__(self, cases: Labelled, cache: PixelCache, spec: InputSpec) -> None:
        self.cases = cases
        self.spec = spec
        self._pixels = cache.pixels
        self._counts = cases.counts
        self._starts: NDArray[np.int64] = np.cumsum(np.append(0, self._counts))
        self._places = cache.positions(cases.image_ids)
        self._keys = text_keys(cases.image_ids)
        self.weights: NDArray[np.float32] | None = None
        self.groups: NDArray[np.int64] | None = getattr(cases, "groups", None)

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.cases)

    def split(self, rows: NDArray[np.int64], limit: int) -> list[NDArray[np.int64]]:
        """Cut positions into runs of at most `limit` images, never inside a case."""
        return image_runs(self._counts[rows], limit)

    def test_batch(self, rows: NDArray[np.int64], device: torch.device) -> Batch:
        """Cases as they are tested: resized to the input, nothing drawn."""
        flat, owner = self._flat(rows)
        pixels = whole_images(self._pixels[self._places[flat]]).to(device)
        return self._batch(rows, normalise(pixels, self.spec), owner, device)

    def training_batch(
        self,
        rows: NDArray[np.int64],
        epochs: NDArray[np.int64],
        augmentation: Augmentation,
        device: torch.device,
    ) -> Batch:
        """Cases as they are trained on, changed by draws keyed by image and epoch."""
        flat, owner = self._flat(rows)
        pictures = [self._pixels[place] for place in self._places[flat].tolist()]
        images = training_images(
            pictures, epochs[owner], self._keys[flat], augmentation, spec=self.spec, device=device
        )
        return self._batch(rows, images, owner, device)

    def corners(
        self, rows: NDArray[np.int64], epochs: NDArray[np.int64], seed: int
    ) -> NDArray[np.float64]:
        """Position of CutMix's square in each image, as shares of the free room. [M, 2]"""
        flat, owner = self._flat(rows)
        keys, seen = self._keys[flat], epochs[owner]
        return np.stack(
            [uniforms(seed, f"cutmix {what}", seen, keys) for what in ("top", "left")], axis=1
        )

    def partner_images(self, own: NDArray[np.int64], partner: NDArray[np.int64]) -> torch.Tensor:
        """Index of each image's partner in the partners' batch. [M]

        The k-th image of a case meets the k-th of its partner, starting over where it has fewer.
        """
        starts: NDArray[np.int64] = np.cumsum(np.append(0, self._counts[partner]))
        pairs: list[NDArray[np.int64]] = [
            starts[i] + np.arange(count) % self._counts[other]
            for i, (count, other) in enumerate(zip(self._counts[own], partner, strict=True))
        ]
        return torch.as_tensor(np.concatenate(pairs))

    def _flat(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions of all images of some cases, and the case each belongs to."""
        starts, ends = self._starts[rows].tolist(), self._starts[rows + 1].tolist()
        pieces = [
            np.arange(start, end, dtype=np.int64) for start, end in zip(starts, ends, strict=True)
        ]
        return np.concatenate(pieces), np.repeat(np.arange(len(rows)), self._counts[rows])

    def _batch(
        self,
        rows: NDArray[np.int64],
        images: torch.Tensor,
        owner: NDArray[np.int64],
        device: torch.device,
    ) -> Batch:
        targets = self.cases.targets[rows]
        covariates: NDArray[np.float32] | None = getattr(self.cases, "covariates", None)
        return Batch(
            images,
            torch.as_tensor(owner).to(device),
            torch.as_tensor(np.nan_to_num(targets).astype(np.float32)).to(device),
            torch.as_tensor(~np.isnan(targets)).to(device),
            *(
                None if values is None else torch.as_tensor(values[rows]).to(device)
                for values in (covariates, self.weights, self.groups)
            ),
        )


class TrainingBatches:
    """An endless stream of training steps over shuffled epochs, entered at any step.

    Epochs follow each other without a gap, so a training set smaller than a batch is repeated
    inside it, as in BiT's few-shot runs.
    """

    def __init__(
        self,
        images: CaseImages,
        batch_size: int,
        *,
        micro_batch: int,
        augmentation: Augmentation,
        balanced: bool = False,
        growth: Growth | None = None,
    ) -> None:
        self.images = images
        self.growth = growth
        self.balanced = balanced
        self.batch_size = batch_size
        self.micro_batch = micro_batch
        self._augmentation = augmentation
        self._keys = text_keys(images.cases.case_ids.tolist())
        self._orders: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def at(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cases of a step and the epoch each is seen in. [B], [B]"""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, offsets = np.divmod(places, len(self.images))
        orders = {epoch: self._order(epoch) for epoch in np.unique(epochs).tolist()}
        self._orders = orders
        pairs = list(zip(epochs.tolist(), offsets.tolist(), strict=True))
        rows = np.array([orders[epoch][0][offset] for epoch, offset in pairs], dtype=np.int64)
        repeats = np.array([orders[epoch][1][offset] for epoch, offset in pairs], dtype=np.int64)
        return rows, epochs + REPEATED * repeats

    def known(self, step: int) -> int:
        """Unmasked target entries of a step."""
        rows, _ = self.at(step)
        return int((~np.isnan(self.images.cases.targets[rows])).sum())

    def count(self, step: int, most: int | None = None) -> int:
        """Number of micro-batches of a step."""
        return len(self.images.split(self.at(step)[0], most or self.micro_batch))

    def micro_batches(
        self,
        step: int,
        device: torch.device,
        mix: MixUp | None = None,
        *,
        most: int | None = None,
        only: Sequence[int] | None = None,
    ) -> Iterator[Batch]:
        """The batches whose gradients add up to a step's.

        Args:
            step: Counted from 0.
            device: Where they are put.
            mix: How the step's cases are mixed.
            most: Images held at once, where memory has less room than for `micro_batch`.
            only: Which of them, counted from 0, in this order; all by default.
        """
        rows, epochs = self.at(step)
        draw = self._augmentation
        alpha = draw.changes.cutmix
        square = draw_cutmix(draw.seed, step, self.batch_size, alpha, or_mixup=mix is not None)
        mix = square or mix
        parts = self.images.split(rows, most or self.micro_batch)
        for part in parts if only is None else [parts[index] for index in only]:
            batch = self.images.training_batch(rows[part], epochs[part], draw, device)
            if mix is not None:
                other = mix.partner[part]
                partner = self.images.training_batch(rows[other], epochs[other], draw, device)
                pairs = self.images.partner_images(rows[part], rows[other]).to(device)
                if square is not None:
                    corners = self.images.corners(rows[part], epochs[part], draw.seed)
                    batch = _with_squares(batch, partner, pairs, corners, square.share)
                else:
                    batch = _mixed(batch, partner, pairs, mix.share)
            yield self._grown(batch, step)

    def _grown(self, batch: Batch, step: int) -> Batch:
        """The batch with images of the size that they have at a step."""
        if self.growth is None or step >= self.growth.until:
            return batch
        size = height_width(self.growth.size)
        small = interpolate(batch.images, size, mode="bilinear", antialias=True)
        return replace(batch, images=small)

    def _order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cases of an epoch, and how often each came in it before. [N], [N]"""
        if epoch in self._orders:
            return self._orders[epoch]
        if self.balanced and self.images.groups is not None:
            rng = generator(self._augmentation.seed, "balanced order", epoch)
            return balanced_order(self.images.groups, rng)
        epochs = np.full(len(self._keys), epoch)
        draws = uniforms(self._augmentation.seed, "order", epochs, self._keys)
        return np.argsort(draws, kind="stable"), np.zeros(len(draws), dtype=np.int64)


def draw_mixup(seed: int, step: int, batch_size: int, alpha: float) -> MixUp | None:
    """One share and one pairing per step, as in BiT; None where alpha is 0."""
    if alpha == 0:
        return None
    rng = generator(seed, "mixup", step)
    return MixUp(float(rng.beta(alpha, alpha)), rng.permutation(batch_size))


def draw_cutmix(
    seed: int, step: int, batch_size: int, alpha: float, *, or_mixup: bool
) -> MixUp | None:
    """One share and one pairing per step for CutMix (Yun et al. 2019); None where alpha is 0.

    Where a step has MixUp as well, it is one of both at equal chance.
    """
    if alpha == 0:
        return None
    rng = generator(seed, "cutmix", step)
    drawn = MixUp(float(rng.beta(alpha, alpha)), rng.permutation(batch_size))
    return None if or_mixup and rng.random() < 0.5 else drawn


def _with_squares(
    batch: Batch,
    partner: Batch,
    pairs: torch.Tensor,
    corners: NDArray[np.float64],
    share: float,
) -> Batch:
    """A part of each partner put into each image; targets are mixed by what is seen of both."""
    images, others = batch.images.clone(), partner.images[pairs]
    high, wide = images.shape[2:]
    height, width = (round(side * (1 - share) ** 0.5) for side in (high, wide))
    room = np.array((high - height + 1, wide - width + 1))
    for image, other, (top, left) in zip(
        images, others, (corners * room).astype(np.int64).tolist(), strict=True
    ):
        place = (slice(None), slice(top, top + height), slice(left, left + width))
        image[place] = other[place]
    seen = 1 - (height / high) * (width / wide)
    return Batch(
        images,
        batch.case_of_image,
        seen * batch.targets + (1 - seen) * partner.targets,
        batch.known & partner.known,
        covariates=_mixed_values(batch.covariates, partner.covariates, seen),
        weights=_mixed_values(batch.weights, partner.weights, seen),
    )


def _mixed(batch: Batch, partner: Batch, pairs: torch.Tensor, share: float) -> Batch:
    return Batch(
        share * batch.images + (1 - share) * partner.images[pairs],
        batch.case_of_image,
        share * batch.targets + (1 - share) * partner.targets,
        batch.known & partner.known,
        covariates=_mixed_values(batch.covariates, partner.covariates, share),
        weights=_mixed_values(batch.weights, partner.weights, share),
    )


def _mixed_values(
    own: torch.Tensor | None, partner: torch.Tensor | None, share: float
) -> torch.Tensor | None:
    """Clinical data, or weights, mixed as the targets are; None where there are none. [B, …]"""
    return None if own is None or partner is None else share * own + (1 - share) * partner
