"""Counts that others measured on real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from becam.data.preparation import prepare_dataset
from becam.errors import BecamError

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
HM, MMREC = SHARED / "data" / "hm", SHARED / "reference" / "mmrec"

needs_hm = pytest.mark.skipif(not HM.is_dir(), reason=f"{HM} is absent")
needs_mmrec = pytest.mark.skipif(not MMREC.is_dir(), reason=f"{MMREC} is absent")


@needs_hm
@pytest.mark.parametrize(
    ("k", "interactions", "users", "items"),
    [(3, 135_071, 26_585, 6_888), (5, 64_804, 8_925, 3_186)],
)
def test_a_week_of_hm(tmp_path, k, interactions, users, items):
    dataset = prepare_dataset("hm", HM, tmp_path / "out", k_core=k)
    counts = dataset.manifest.counts
    assert (counts["interactions"], counts["users"], counts["items"]) == (
        interactions,
        users,
        items,
    )
    assert all(len(name) == 10 and name.startswith("0") for name in dataset.item_ids)
    assert all(len(name) == 64 for name in dataset.user_ids)
    assert dataset.image_path(0).is_file()
    again = prepare_dataset("hm", HM, tmp_path / "again", k_core=k)
    assert again.fingerprint == dataset.fingerprint


@needs_hm
def test_the_ten_core_of_that_week_is_empty(tmp_path):
    with pytest.raises(BecamError, match="The 10-core of these interactions is empty"):
        prepare_dataset("hm", HM, tmp_path / "out")


@needs_mmrec
def test_the_reference_dataset_comes_through_as_it_is(tmp_path):
    dataset = prepare_dataset("mmrec", MMREC, tmp_path / "out")
    assert (dataset.n_users, dataset.n_items) == (1_998, 947)
    assert dataset.manifest.counts["interactions"] == 39_612
    lines = (MMREC / "synth2k.inter").read_text().splitlines()[1:]
    rows = np.array([[int(line.split("\t")[column]) for column in (0, 1, 4)] for line in lines])
    for label, split in enumerate(("train", "validation", "test")):
        expected = sorted(rows[rows[:, 2] == label, :2].tolist())
        assert dataset.interactions(split).tolist() == expected
    for modality in ("image", "text"):
        published = np.load(MMREC / f"{modality}_feat.npy", allow_pickle=False)
        np.testing.assert_array_equal(dataset.feature_set("mmrec").load(modality), published)
    assert dataset.item_ids[:2] == ["I000000", "I000001"]
    assert dataset.user_ids[:2] == ["U000000", "U000001"]
