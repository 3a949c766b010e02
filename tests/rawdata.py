"""Raw data in public formats, and a naive version of what becomes of it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

HM_ARTICLE_COLUMNS = [
    "article_id",
    "product_code",
    "prod_name",
    "product_type_no",
    "product_type_name",
    "product_group_name",
    "graphical_appearance_no",
    "graphical_appearance_name",
    "colour_group_code",
    "colour_group_name",
    "perceived_colour_value_id",
    "perceived_colour_value_name",
    "perceived_colour_master_id",
    "perceived_colour_master_name",
    "department_no",
    "department_name",
    "index_code",
    "index_name",
    "index_group_no",
    "index_group_name",
    "section_no",
    "section_name",
    "garment_group_no",
    "garment_group_name",
    "detail_desc",
]

Purchase = tuple[str, str, str]  # customer, article, date


def write_picture(path: Path, shade: int = 128) -> None:
    """A small valid picture in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 256, (24, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_truncated_picture(path: Path) -> None:
    """A JPEG cut in the middle of its scan: its header is fine."""
    write_picture(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.7)])


def hm_customer(number: int) -> str:
    return f"{number:064x}"


def hm_article(number: int) -> str:
    return f"{number:010d}"


def write_hm(
    folder: Path,
    purchases: Sequence[Purchase],
    articles: Iterable[str],
    *,
    pictures: Iterable[str] | None = None,
    images: str = "images",
) -> Path:
    """The Kaggle layout; ``pictures``: articles that have one (default: all)."""
    folder.mkdir(parents=True, exist_ok=True)
    articles = list(articles)
    with open(folder / "transactions_train.csv", "w", newline="") as stream:
        stream.write("t_dat,customer_id,article_id,price,sales_channel_id\n")
        for customer, article, date in purchases:
            stream.write(f"{date},{customer},{article},0.048441,2\n")
    with open(folder / "articles.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, HM_ARTICLE_COLUMNS, restval="x")
        writer.writeheader()
        for number, article in enumerate(articles):
            writer.writerow(
                {
                    "article_id": article,
                    "prod_name": f"Name {number}, with comma",
                    "product_type_name": "Vest top",
                    "colour_group_name": "White",
                    "detail_desc": 'A "quoted" text\nover two lines.' if number % 2 else "",
                }
            )
    (folder / images).mkdir(exist_ok=True)
    for number, article in enumerate(articles if pictures is None else pictures):
        write_picture(folder / images / article[:3] / f"{article}.jpg", number)
    return folder


def random_purchases(
    seed: int, users: int = 40, items: int = 25, rows: int = 900
) -> list[Purchase]:
    """Heavy-tailed purchases with many repeats, in any order."""
    rng = np.random.default_rng(seed)
    u = np.minimum(rng.geometric(3 / users, rows) - 1, users - 1)
    i = np.minimum(rng.geometric(3 / items, rows) - 1, items - 1)
    days = rng.integers(1, 29, rows)
    return [
        (hm_customer(int(a)), hm_article(int(b)), f"2020-02-{int(d):02d}")
        for a, b, d in zip(u, i, days, strict=True)
    ]


def naive_core(
    pairs: Iterable[tuple[str, str]], user_core: int, item_core: int
) -> set[tuple[str, str]]:
    """Take away one too small user or item at a time, until there is none."""
    left = set(pairs)
    while True:
        by_user = Counter(user for user, _ in left)
        by_item = Counter(item for _, item in left)
        small_user = next((user for user, n in by_user.items() if n < user_core), None)
        if small_user is not None:
            left = {pair for pair in left if pair[0] != small_user}
            continue
        small_item = next((item for item, n in by_item.items() if n < item_core), None)
        if small_item is None:
            return left
        left = {pair for pair in left if pair[1] != small_item}


def pairs_of(dataset) -> set[tuple[str, str]]:
    """A dataset's interactions by original ids."""
    users, items = dataset.user_ids, dataset.item_ids
    return {(users[user], items[item]) for user, item in dataset.interactions()}
