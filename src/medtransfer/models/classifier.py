"""A classifier of cases: backbone, pooling over the images of a case, zero-initialised head."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from medtransfer.errors import WeightsError
from medtransfer.files import file_stamp
from medtransfer.models.backbones import build_backbone, head_prefix, with_timm_facts
from medtransfer.models.config import ModelConfig, Pool
from medtransfer.models.fast_layers import use_plain_attention
from medtransfer.models.ladder import Rung, find_rung
from medtransfer.models.load_weights import WeightsReport, load_weights
from medtransfer.models.rungs.architectures import Architecture, Precision
from medtransfer.models.rungs.partial_start import apply_start, copy_of
from medtransfer.models.runtime import seeded
from medtransfer.models.weight_files import find_weights, verified_digest
from medtransfer.sizes.image_size import ImageSize


def zero_head(width: int, targets: int) -> nn.Linear:
    """A linear head whose weights and bias start at zero, as BiT's does for transfer."""
    head = nn.Linear(width, targets)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


class CasePool(nn.Module):
    """Bring the features of a case's images together.

    ``mean`` and ``max`` have no weights; ``attention`` learns them (gated attention, Ilse,
    Tomczak and Welling 2018).
    """

    def __init__(self, pool: Pool, width: int, seed: int) -> None:
        super().__init__()
        self.pool: Pool = pool
        if pool == "attention":
            with seeded(seed, "attention pool"):
                self.value = nn.Linear(width, 128)
                self.gate = nn.Linear(width, 128)
                self.score = nn.Linear(128, 1)

    def forward(self, features: torch.Tensor, owner: torch.Tensor, cases: int) -> torch.Tensor:
        """Features of cases.

        Args:
            features: Of images. [M, width]
            owner: Which case each image belongs to, 0 to `cases` - 1. [M]
            cases: Number of cases B; each has at least one image.

        Returns:
            [B, width]
        """
        if self.pool == "max":
            lowest = torch.full((cases, features.shape[1]), -torch.inf, device=features.device)
            index = owner[:, None].expand_as(features)
            return lowest.scatter_reduce(0, index, features, reduce="amax")
        # a product with the membership matrix sums in one order on every device
        member = (owner[None, :] == torch.arange(cases, device=owner.device)[:, None]).float()
        if self.pool == "attention":
            member = member * self.attention(features, member)
        return (member @ features) / member.sum(dim=1, keepdim=True)

    def attention(self, features: torch.Tensor, member: torch.Tensor) -> torch.Tensor:
        """Unnormalised weights of the images, stabilised within each case. [B, M]"""
        gated = torch.tanh(self.value(features)) * torch.sigmoid(self.gate(features))
        scores = self.score(gated).squeeze(1)[None, :].expand_as(member)
        scores = scores.masked_fill(member == 0, -torch.inf)
        return torch.exp(scores - scores.max(dim=1, keepdim=True).values)


PrecisionSetting = Literal["auto", "float32", "bfloat16"]


class Classifier(nn.Module):
    """Logits of cases from their images.

    Pooling and head run in float32 whatever the backbone's precision.

    Attributes:
        covariates: Width of the clinical data that are put beside the pooled features.
        memory_format: That images are brought into before the backbone; None leaves them as they
            come. Convolutions go on in the format of what they are given, and batches are cut from
            stored images, whose channels are last.
    """

    def __init__(
        self, backbone: nn.Module, pool: CasePool, head: nn.Linear, precision: Precision
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pool = pool
        self.head = head
        self.covariates = 0
        self.precision: Precision = precision
        self.memory_format: torch.memory_format | None = None
        self._frozen_norms: list[nn.Module] = []

    def freeze_batch_norm(self, parts: Iterable[nn.Module]) -> None:
        """From now on keep batch normalisation among some modules at the statistics it has."""
        kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
        self._frozen_norms += [part for part in parts if isinstance(part, kinds)]
        self.train(self.training)

    def train_batch_norm(self) -> None:
        """From now on let all batch normalisation follow the mode of the network again."""
        self._frozen_norms = []
        self.train(self.training)

    def train(self, mode: bool = True) -> "Classifier":
        """Training or evaluation mode, as in torch; what is kept still does not follow."""
        super().train(mode)
        for part in self._frozen_norms:
            part.eval()
        return self

    def add_covariates(self, width: int) -> None:
        """Widen the head by columns of clinical data; it starts at zero again."""
        self.covariates = width
        self.head = zero_head(self.head.in_features + width, self.head.out_features)

    @property
    def image_width(self) -> int:
        """Length of the feature vector of the images alone."""
        return self.head.in_features - self.covariates

    def features(
        self,
        images: torch.Tensor,
        owner: torch.Tensor,
        cases: int,
        covariates: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Features of cases, before the head.

        Args:
            images: [M, 3, H, W], normalised.
            owner: Which case each image belongs to. [M]
            cases: Number of cases B.
            covariates: Clinical data of the cases; zeros where they are left out. [B, C]

        Returns:
            float32 [B, width + C]
        """
        if self.memory_format is not None:
            images = images.contiguous(memory_format=self.memory_format)
        half = self.precision == "bfloat16"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
            image_features = self.backbone(images)
        pooled: torch.Tensor = self.pool(image_features.float(), owner, cases)
        if not self.covariates:
            return pooled
        if covariates is None:
            covariates = pooled.new_zeros((cases, self.covariates))
        return torch.cat([pooled, covariates], dim=1)

    def forward(
        self,
        images: torch.Tensor,
        owner: torch.Tensor,
        cases: int,
        covariates: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits of cases. [B, T]"""
        return self.head(self.features(images, owner, cases, covariates))


@dataclass(frozen=True)
class BuiltClassifier:
    """A classifier with what is known about it.

    Attributes:
        classifier: The network, on the CPU.
        rung: Its facts, complete.
        weights: Digest of the weights file; None for random weights.
        fit: What became of the file; None for random weights.
    """

    classifier: Classifier
    rung: Rung
    weights: str | None
    weights_report: WeightsReport | None


def build_classifier(
    model: ModelConfig,
    targets: int,
    *,
    seed: int,
    device: torch.device,
    precision: PrecisionSetting = "auto",
    input_size: ImageSize | None = None,
) -> BuiltClassifier:
    """Build a classifier, its backbone's weights loaded and its head at zero.

    Args:
        model: Rung and pooling.
        targets: Number of outputs T.
        seed: Random weights are drawn from it.
        device: Where it will run; decides what ``auto`` precision means and the memory format.
        precision: Of the backbone.
        input_size: Of the images in pixels; position embeddings are interpolated to it. None
            for the size that the network was designed for.

    Raises:
        ConfigError: There is no such rung, or it cannot take images of that size.
        WeightsError: The weights are missing, altered, or of another network.
    """
    rung = with_timm_facts(find_rung(model.rung))
    architecture = rung.architecture
    backbone = build_backbone(architecture, seed, input_size=input_size)
    digest, fit = None, None
    path = find_weights(model)
    if path is not None:
        stamp = file_stamp(path)
        digest = verified_digest(path, rung)
        is_partial = rung.start is not None and rung.start.changes_weights
        random = copy_of(backbone) if is_partial else None
        fit = load_weights(backbone, path, head_prefix(backbone))
        if rung.start is not None and random is not None:
            apply_start(backbone, rung.start, random, seed)
        if file_stamp(path) != stamp:
            raise WeightsError(
                f"The weights of rung '{rung.name}' in \"{path.name}\" changed while they were "
                "read. Run the same command again."
            )
    classifier = assemble_classifier(
        backbone,
        architecture,
        model.pool,
        targets,
        seed=seed,
        device=device,
        precision=resolve_precision(precision, architecture, device),
    )
    return BuiltClassifier(classifier, rung, digest, fit)


def assemble_classifier(
    backbone: nn.Module,
    architecture: Architecture,
    pool: Pool,
    targets: int,
    *,
    seed: int,
    device: torch.device,
    precision: Precision,
) -> Classifier:
    """A classifier of a backbone, its head at zero, as it runs fastest on a device.

    Args:
        backbone: With its weights, on the CPU.
        architecture: Its facts, width included.
        pool: Pooling of the images of a case.
        targets: Number of outputs T.
        seed: Weights of the pooling are drawn from it.
        device: Where it will run; decides the memory format.
        precision: Of the backbone.
    """
    width = architecture.width or 0
    case_pool = CasePool(pool, width, seed)
    classifier = Classifier(backbone, case_pool, zero_head(width, targets), precision)
    if device.type == "cpu":  # as measured there; other devices take images as they come
        layout = torch.channels_last if architecture.channels_last else torch.contiguous_format
        classifier = classifier.to(memory_format=layout)  # type: ignore[call-overload]
        classifier.memory_format = layout
        if precision == "bfloat16":
            use_plain_attention(backbone)
    return classifier


def resolve_precision(
    setting: PrecisionSetting, architecture: Architecture, device: torch.device
) -> Precision:
    """Meaning of ``auto``: bfloat16 where it was measured to pay, else float32."""
    if setting != "auto":
        return setting
    match device.type:
        case "cpu":
            capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
            units = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
            return architecture.cpu_precision if units else "float32"
        case "cuda":
            return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
        case _:
            return "float32"
