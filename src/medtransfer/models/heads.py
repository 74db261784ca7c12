"""From the features of images to the logits of cases."""

import torch
from torch import nn

from medtransfer.models.chance import seeded
from medtransfer.models.config import Pool


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
            member = member * self._attention(features, member)
        return (member @ features) / member.sum(dim=1, keepdim=True)

    def _attention(self, features: torch.Tensor, member: torch.Tensor) -> torch.Tensor:
        """Unnormalised weights of the images, stabilised within each case. [B, M]"""
        gated = torch.tanh(self.value(features)) * torch.sigmoid(self.gate(features))
        scores = self.score(gated).squeeze(1)[None, :].expand_as(member)
        scores = scores.masked_fill(member == 0, -torch.inf)
        return torch.exp(scores - scores.max(dim=1, keepdim=True).values)
