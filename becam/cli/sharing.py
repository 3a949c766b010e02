"""Commands whose work several processes or machines share: their options, and what these mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from becam.evaluation.shards import Shard

ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="K/N",
        help="Only every N-th picture, from the K-th; other processes or machines may do the "
        "other shards in the same folder at the same time. The command without --shard then "
        "writes the result of all.",
    ),
]


def begin_share(jobs: int, device: str, shard: str | None, overwrite: bool) -> Shard:
    """What of the work is this process's, which ends with the process that began it, if any.

    Raises:
        BecamError: no shard, several processes on one GPU, or a shard that would discard the
            others'.
    """
    from becam.devices import resolve_device
    from becam.errors import BecamError
    from becam.evaluation.parallel import end_with_parent
    from becam.evaluation.shards import WHOLE, Shard

    end_with_parent()
    share = WHOLE if shard is None else Shard.parse(shard)
    if jobs > 1 and resolve_device(device).type == "cuda":
        raise BecamError(
            f"One GPU serves one process; leave out --jobs {jobs}, or pass --device cpu."
        )
    if shard is not None and overwrite:
        raise BecamError(
            "With --overwrite a shard would discard what the others do; choose another -o, or "
            "delete the folder before the first shard."
        )
    return share


def same_command(arguments: Iterable[str]) -> list[str]:
    """A command's arguments but for those that say who does it and whether it begins again."""
    kept, rest = list[str](), iter(arguments)
    for argument in rest:
        name, given, _ = argument.partition("=")
        if name in ("--jobs", "--shard"):
            if not given:
                next(rest)
        elif argument != "--overwrite":
            kept.append(argument)
    return kept
