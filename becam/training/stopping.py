"""Early stopping with a warm-up."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class EarlyStopping:
    """Stop after ``patience`` epochs without a new best, none of them counted in the warm-up.

    A best found in the warm-up counts as a best; only giving up waits until it is over.

    Args:
        patience: Epochs without improvement that end training, 1 or more.
        warmup: First epochs that are never counted.
    """

    patience: int
    warmup: int = 0
    best: float = field(default=float("-inf"), init=False)
    best_epoch: int = field(default=0, init=False)

    def update(self, epoch: int, score: float) -> bool:
        """Take in an epoch's score (epochs count from 1); whether it is a new best."""
        improved = score > self.best
        if improved:
            self.best, self.best_epoch = score, epoch
        return improved

    @property
    def deadline(self) -> int:
        """The epoch after which patience is used up unless a better one comes."""
        return max(self.best_epoch, self.warmup) + self.patience

    def exhausted(self, epoch: int) -> bool:
        """Whether patience is used up after this epoch."""
        return epoch >= self.deadline
