from __future__ import annotations

import numpy as np
import pytest

from becam.data.preparation import prepare_dataset
from becam.errors import BecamError

ROWS = [  # user, item, timestamp, label; item 2 is in no row, user 2 has no training row
    (0, 0, 50, 0),
    (0, 1, 60, 1),
    (0, 3, 70, 2),
    (1, 3, 10, 0),
    (1, 1, 20, 0),
    (1, 0, 30, 2),
    (2, 0, 40, 1),
    (2, 4, 41, 2),
    (10, 4, 1, 0),
]


def write_mmrec(folder, rows=ROWS, n_items=5, mappings=True, header="x_label"):
    folder.mkdir()
    lines = [f"userID\titemID\trating\ttimestamp\t{header}"]
    lines += [f"{u}\t{i}\t1.0\t{t}\t{x}" for u, i, t, x in rows]
    (folder / "small.inter").write_text("\n".join(lines) + "\n")
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(n_items, 6)), rng.normal(size=(n_items, 3))
    np.save(folder / "image_feat.npy", image)  # double precision, as often published
    np.save(folder / "text_feat.npy", text.astype(np.float32))
    if mappings:
        items = [f"B00{n}\t{n}" for n in reversed(range(n_items))]  # in any order
        (folder / "i_id_mapping.csv").write_text("\n".join(["asin\titemID", *items]) + "\n")
        n_users = max(row[0] for row in rows) + 1
        users = [f"A{n:02d}\t{n}" for n in range(n_users)]
        (folder / "u_id_mapping.csv").write_text("\n".join(["user_id\tuserID", *users]) + "\n")
    return image.astype(np.float32), text.astype(np.float32)


def labelled(dataset):
    return {
        (dataset.user_ids[u], dataset.item_ids[i], split)
        for split in ("train", "validation", "test")
        for u, i in dataset.interactions(split)
    }


def test_split_ids_and_features_are_kept(tmp_path):
    image, text = write_mmrec(tmp_path / "small")
    dataset = prepare_dataset("mmrec", tmp_path / "small", tmp_path / "out")
    assert dataset.user_ids == ["A00", "A01", "A10"]
    assert dataset.item_ids == ["B000", "B001", "B003", "B004"]
    names = {0: "train", 1: "validation", 2: "test"}
    expected = {(f"A{u:02d}", f"B00{i}", names[x]) for u, i, _, x in ROWS if u != 2}
    assert labelled(dataset) == expected
    assert dataset.manifest.split == {"scheme": "source", "seed": None}
    assert dataset.manifest.dropped["interactions of users without training rows"] == 2
    features = dataset.feature_set()
    assert features.name == "mmrec"
    assert features.modalities == ("image", "text")
    assert features.encoders == {"image": {"spec": None}, "text": {"spec": None}}
    np.testing.assert_array_equal(features.load("image"), image[[0, 1, 3, 4]])
    np.testing.assert_array_equal(features.load("text"), text[[0, 1, 3, 4]])
    assert dataset.image_path(0) is None


def test_every_feature_file_is_a_modality(tmp_path):
    write_mmrec(tmp_path / "small")
    given = {name: np.random.default_rng(1).normal(size=(5, 2)) for name in ("video", "audio-2_b")}
    for name, features in given.items():
        np.save(tmp_path / "small" / f"{name}_feat.npy", features)
    dataset = prepare_dataset("mmrec", tmp_path / "small", tmp_path / "out")
    features = dataset.feature_set()
    assert features.modalities == ("image", "text", "audio-2_b", "video")
    for name, expected in given.items():
        np.testing.assert_array_equal(features.load(name), expected[[0, 1, 3, 4]].astype("f4"))


def test_audio_alone(tmp_path):
    write_mmrec(tmp_path / "small")
    (tmp_path / "small" / "image_feat.npy").rename(tmp_path / "small" / "audio_feat.npy")
    (tmp_path / "small" / "text_feat.npy").unlink()
    dataset = prepare_dataset("mmrec", tmp_path / "small", tmp_path / "out")
    assert dataset.feature_set().modalities == ("audio",)


def test_without_mappings_the_numbers_are_the_ids_in_numeric_order(tmp_path):
    write_mmrec(tmp_path / "small", mappings=False)
    dataset = prepare_dataset("mmrec", tmp_path / "small" / "small.inter", tmp_path / "out")
    assert dataset.user_ids == ["0", "1", "10"]
    assert dataset.item_ids == ["0", "1", "3", "4"]


def test_another_split_and_a_core_can_be_chosen(tmp_path):
    write_mmrec(tmp_path / "small")
    dataset = prepare_dataset("mmrec", tmp_path / "small", tmp_path / "out", split="time", k_core=2)
    assert dataset.manifest.split == {"scheme": "time", "seed": 0}
    # The 2-core: B000 and B001, B003 with A00 and A01 (A02 and B004, A10 unravel).
    assert dataset.user_ids == ["A00", "A01"]
    assert ("A00", "B003", "test") in labelled(dataset)
    assert ("A01", "B000", "test") in labelled(dataset)


def test_without_labels_the_rows_are_split(tmp_path):
    write_mmrec(tmp_path / "small", header="something")
    dataset = prepare_dataset("mmrec", tmp_path / "small", tmp_path / "out")
    assert dataset.manifest.split["scheme"] == "random"
    assert dataset.manifest.counts["interactions"] == len(ROWS)


def too_few_features(folder):
    np.save(folder / "image_feat.npy", np.zeros((4, 6)))
    np.save(folder / "text_feat.npy", np.zeros((4, 6)))


def pickled_features(folder):
    np.save(folder / "image_feat.npy", np.array([{"a": 1}] * 5, dtype=object), allow_pickle=True)


def features_that_are_not_finite(folder):
    features = np.ones((5, 6), dtype=np.float32)
    features[3, 2] = np.nan
    np.save(folder / "image_feat.npy", features)


def strange_label(folder):
    path = folder / "small.inter"
    path.write_text(path.read_text().replace("\t2\n", "\t3\n"))


def short_mapping(folder):
    (folder / "i_id_mapping.csv").write_text("asin\titemID\nB000\t0\nB001\t1\n")


def repeated_mapping(folder):
    path = folder / "i_id_mapping.csv"
    path.write_text(path.read_text().replace("B001", "B000"))


def second_inter(folder):
    (folder / "other.inter").write_text((folder / "small.inter").read_text())


def no_features(folder):
    (folder / "image_feat.npy").unlink()
    (folder / "text_feat.npy").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (too_few_features, "itemID 4, but the features have only 4 rows"),
        (pickled_features, "not a plain array"),
        (features_that_are_not_finite, "not finite"),
        (strange_label, "x_label other than"),
        (short_mapping, "i_id_mapping.csv does not give each"),
        (repeated_mapping, "i_id_mapping.csv does not give each"),
        (second_inter, "other.inter, small.inter"),
        (no_features, r"has no image_feat\.npy, text_feat\.npy or other features"),
        (lambda folder: (folder / "small.inter").unlink(), "no .inter file"),
        (
            lambda folder: np.save(folder / "audio_feat.npy", np.zeros((7, 2))),
            "image_feat.npy 5, text_feat.npy 5, audio_feat.npy 7.* belong together",
        ),
        (lambda folder: np.save(folder / "Mel.80_feat.npy", np.zeros((5, 2))), "'Mel.80' cannot"),
        (lambda folder: np.save(folder / "text_feat.npy", np.zeros(7)), "one row of numbers"),
    ],
)
def test_damaged_files_are_one_sentence(tmp_path, damage, message):
    write_mmrec(tmp_path / "small")
    damage(tmp_path / "small")
    with pytest.raises(BecamError, match=message):
        prepare_dataset("mmrec", tmp_path / "small", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_core_is_taken_again_when_users_without_training_rows_leave(tmp_path):
    rows = [(u, i, 0, 0) for u in (0, 1) for i in (0, 1)]
    rows += [(0, 2, 0, 0), (2, 2, 0, 1), (2, 0, 0, 2)]  # user 2 alone keeps item 2 in the 2-core
    write_mmrec(tmp_path / "small", rows)
    dataset = prepare_dataset("mmrec", tmp_path / "small", tmp_path / "out", k_core=2)
    assert dataset.item_ids == ["B000", "B001"]
    assert dataset.user_ids == ["A00", "A01"]
