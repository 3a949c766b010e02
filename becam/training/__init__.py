"""Training: a dataset in, a checkpoint out; and the same metrics again from the checkpoint."""

from becam.training.folder import read_user_metrics
from becam.training.loop import Epoch, Fitted, Schedule, fit
from becam.training.ranking import popularity_metrics, random_metrics, rank_users
from becam.training.run import train
from becam.training.scoring import Evaluation, evaluate, rebuild

__all__ = [
    "Epoch",
    "Evaluation",
    "Fitted",
    "Schedule",
    "evaluate",
    "fit",
    "popularity_metrics",
    "random_metrics",
    "rank_users",
    "read_user_metrics",
    "rebuild",
    "train",
]
