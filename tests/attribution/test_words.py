"""Words' weights against hand-worked cases, plain loops, and what they must not depend on."""

from __future__ import annotations

import itertools
import math
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from worded import item_texts, text_checkpoint, worded_dataset
from zoo import make_checkpoint

from becam import BecamError, explain_words
from becam.attribution.target import item_target
from becam.attribution.words import WordExplainer
from becam.attribution.words import explainer as explainer_module
from becam.attribution.words.controls import WordControls
from becam.attribution.words.features import encode_words
from becam.attribution.words.weighting import contributions, measure_words
from becam.attribution.words.written import WrittenText
from becam.encoders import load_encoder
from becam.encoders.spec import EncoderRecord
from becam.encoders.text import LatentSemantics

ITEM = "0007"
TEXT = "Red dress.  A soft\nred thing"
SPACES = st.sampled_from([" ", "\n", "\t", "  ", "\u00a0", "\x1c"])


# --- the split ------------------------------------------------------------------------------


@given(st.text() | st.lists(st.text(max_size=4) | SPACES).map("".join))
def test_words_and_gaps_are_the_text_again(text):
    written = WrittenText.of(text)
    assert str(written) == text
    assert len(written.gaps) == len(written.words) + 1
    assert not any(character.isspace() for word in written.words for character in word)
    assert all(gap.isspace() for gap in written.gaps[1:-1])
    assert all(word for word in written.words)


@given(st.lists(st.sampled_from(["a", "b", "c.", "ä-ö"]), max_size=8), st.sets(st.integers(0, 7)))
def test_a_mask_leaves_the_words_it_names_and_no_others(words, kept):
    written = WrittenText.of(" \n".join(words))
    left = written.left(kept)
    assert left.split() == [word for k, word in enumerate(words) if k in kept]
    assert left == left.rstrip()


# --- weights --------------------------------------------------------------------------------


def bag_of_words(vectors):
    """Texts to the sum of their words' vectors; unknown words count nothing."""
    width = len(next(iter(vectors.values())))
    zero = torch.zeros(width)
    return lambda texts: torch.stack(
        [sum((torch.tensor(vectors.get(w, [0.0] * width)) for w in t.split()), zero) for t in texts]
    )


def plain_target(vector, *, space="content"):
    """An item whose projection is the identity."""
    width = len(vector)
    checkpoint = text_checkpoint(EncoderRecord("test"), width, dim=width)
    modality = checkpoint.modalities["text"]
    modality.projection_weight.copy_(torch.eye(width))
    modality.projection_bias.zero_()
    checkpoint.item_embeddings[7] = torch.tensor(vector)
    return item_target(checkpoint, ITEM, space=space, modality="text")


@pytest.mark.parametrize(
    ("contribution", "expected"),
    [
        # e = (3, 4), |e| = 5: s(a) = 3/5, s(b) = 4/5, s(a b) = 7 / (5 sqrt 2), s(none) = 0.
        ("alone", [3 / 5, 4 / 5]),
        ("left-out", [7 / (5 * math.sqrt(2)) - 4 / 5, 7 / (5 * math.sqrt(2)) - 3 / 5]),
        ("both", [7 / (10 * math.sqrt(2)) - 1 / 10, 7 / (10 * math.sqrt(2)) + 1 / 10]),
    ],
)
def test_a_case_worked_by_hand(contribution, expected):
    encode = bag_of_words({"a": [1.0, 0.0], "b": [0.0, 1.0]})
    features = encode_words(WrittenText.of("a  b"), encode)
    found = contributions(features, plain_target([3.0, 4.0]), contribution)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_drift_and_indifference_have_their_signs():
    encode = bag_of_words(
        {"for": [1.0, 0.0, 0.0], "against": [-1.0, 0.0, 0.2], "base": [0, 1.0, 0]}
    )
    features = encode_words(WrittenText.of("base for against for"), encode)
    found = contributions(features, plain_target([1.0, 0.0, 0.0]), "both")
    assert found[1] > 0
    assert found[1] == pytest.approx(float(found[3]))  # the same word twice
    assert found[2] < 0


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=2, unique=True))
def test_of_two_words_it_is_the_shapley_value(words):
    rng = np.random.default_rng(3)
    vectors = {w: rng.normal(size=4).tolist() for w in "abcdef"}
    vector = rng.normal(size=4)
    features = encode_words(WrittenText.of(" ".join(words)), bag_of_words(vectors))
    found = contributions(features, plain_target(vector.tolist()), "both")

    def score(chosen):
        total = sum((np.array(vectors[w]) for w in chosen), np.zeros(4))
        norm = np.linalg.norm(total) * np.linalg.norm(vector)
        return float(total @ vector / norm) if norm else 0.0

    for k, word in enumerate(words):
        gains = [
            score([*order[: order.index(word)], word]) - score(order[: order.index(word)])
            for order in itertools.permutations(words)
        ]
        assert float(found[k]) == pytest.approx(np.mean(gains), abs=1e-5)


@pytest.fixture(scope="module")
def tower(load):
    return load("open_clip-vit")


def checkpoint_of(tower, **options):
    return text_checkpoint(tower.record, tower.dim, **options)


@pytest.mark.parametrize("adapter", ["none", "befa"])
@pytest.mark.parametrize("space", ["adapted", "content", "change"])
@pytest.mark.parametrize("who", ["item", "user"])
def test_a_text_tower_against_a_plain_loop(tower, adapter, space, who):
    checkpoint = checkpoint_of(tower, adapter=adapter)
    modality = checkpoint.modalities["text"]
    item = checkpoint.item_embeddings[7]
    vector = item if who == "item" else checkpoint.user_embeddings[2]
    head = checkpoint.head("text")

    def embed(text):
        z = modality.projection_weight @ tower.encode_text([text])[0] + modality.projection_bias
        adapted = head.adapter(z[None], item[None])[0] if space != "content" else z
        return adapted.double().numpy()

    def score(text):
        if space == "change":
            blank, whole = embed(""), embed(TEXT)
            a, b = embed(text) - blank, whole - blank
            return 0.0 if text == "" else a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        a, b = embed(text), vector.double().numpy()
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    words = TEXT.split()
    expected = {"alone": [], "left-out": [], "both": []}
    for k, word in enumerate(words):
        first = score(word) - score("")
        last = score(TEXT) - score(" ".join(words[:k] + words[k + 1 :]))
        expected["alone"].append(first)
        expected["left-out"].append(last)
        expected["both"].append((first + last) / 2)
    for contribution, values in expected.items():
        (found,) = explain_words(
            ITEM,
            checkpoint,
            text=TEXT,
            space=space,
            contribution=contribution,
            user_id="u2" if who == "user" else None,
            batch_size=4,
        )
        # After an adapter differences are small against the features that they are taken of.
        assert found.weights == pytest.approx(values, abs=2e-4 if space == "change" else 2e-6)
        assert str(found.text) == TEXT


def test_what_a_tower_cuts_off_has_no_weight_and_no_part(tower):
    words = [f"word{k}" for k in range(14)]
    room = 12 - 2  # the context, less start and end
    counts = np.cumsum([len(tower.tokenizer.encode(word)) for word in words])
    read = int((counts < room).sum()) + 1  # the last one in part at least
    checkpoint = checkpoint_of(tower)
    found = [
        explain_words(ITEM, checkpoint, text=" ".join([*words[:read], *tail]))[0]
        for tail in (words[read:], ["something", "else"], [])
    ]
    assert read < len(words)
    assert np.isnan(found[0].weights[read:]).all()
    assert found[0].controls.read == read
    assert f"the first {read} of 14 words" in " ".join(found[0].controls.sentences())
    for other in found[1:]:
        assert np.allclose(found[0].weights[:read], other.weights[:read], atol=1e-6)
    assert found[2].controls.read == found[2].controls.words == read


@pytest.mark.parametrize("length", [63, 64, 65, 127, 128, 130, 200, 257])
@pytest.mark.parametrize("known", [0.02, 0.5, 1.0])
def test_of_a_long_text_it_is_found_how_far_it_is_read(length, known):
    rng = np.random.default_rng(length)
    words = [f"w{k}" if rng.random() < known else "unknown" for k in range(length - 1)] + ["w0"]
    words = [*words, *["unknown"] * int(rng.integers(0, 90))]
    vectors = {f"w{k}": rng.normal(size=4).tolist() for k in range(length)}
    encode = bag_of_words(vectors)
    seen = []
    features = encode_words(
        WrittenText.of(" ".join(words)), lambda texts: seen.append(len(texts)) or encode(texts)
    )
    assert features.read == length  # behind the last word that it knows there is nothing to read
    assert len(features.alone) == len(features.without) == length
    assert sum(seen) - 2 * length < 200


def test_a_long_text_that_is_cut_costs_no_more_than_what_is_read(tower):
    encoded = []

    def encode(texts):
        encoded.extend(texts)
        return tower.encode_text(texts)

    words = [f"word{k}" for k in range(1500)]
    features = encode_words(WrittenText.of(" ".join(words)), encode)
    short = encode_words(WrittenText.of(" ".join(words[: features.read])), tower.encode_text)
    assert 3 < features.read < 12
    assert short.read == features.read
    assert torch.equal(features.without, short.without)
    assert len(encoded) < 150


def test_before_and_after_the_adapter(tower):
    checkpoint = checkpoint_of(tower, adapter="befa")
    before, after = explain_words(ITEM, checkpoint, text=TEXT, no_adapter=True)
    (content,) = explain_words(ITEM, checkpoint, text=TEXT, space="content")
    assert np.array_equal(before.weights, content.weights)
    assert before.label.endswith("no adapter")
    assert before.controls.theta == before.controls.theta_projected
    assert after.controls.theta_projected == before.controls.theta
    assert after.controls.theta < before.controls.theta  # e_i times a gate above zero
    plain = checkpoint_of(tower)
    assert len(explain_words(ITEM, [plain, plain], text=TEXT, no_adapter=True)) == 2


# --- controls -------------------------------------------------------------------------------


def test_controls_against_numpy(tower):
    checkpoint = checkpoint_of(tower)
    target = item_target(checkpoint, ITEM, space="adapted", modality="text")
    features = encode_words(WrittenText.of(TEXT), tower.encode_text)
    weights = contributions(features, target, "both")
    controls = measure_words(features, target, weights, "both")
    w = weights.double().numpy()
    chosen = [
        np.corrcoef(w, contributions(features, other, "both"))[0, 1]
        for other in target.of_others(100)
    ]
    assert len(chosen) == 20
    assert controls.correlation_others == pytest.approx(np.mean(chosen), abs=1e-5)
    modality = checkpoint.modalities["text"]
    z = (modality.projection_weight @ features.whole + modality.projection_bias).double().numpy()
    e = checkpoint.item_embeddings[7].double().numpy()
    cosine = z @ e / np.linalg.norm(z) / np.linalg.norm(e)
    assert controls.theta == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-3)
    assert controls.similarity_whole == pytest.approx(cosine, abs=1e-6)
    assert controls.strongest_share == pytest.approx(np.abs(w).max() / np.abs(w).sum(), rel=1e-5)
    assert controls.weight_std == pytest.approx(w.std(), rel=1e-5)
    assert controls.positive_share == pytest.approx((w > 0).mean())


def test_without_an_item_in_it_the_weights_are_the_same_for_all_and_a_warning_says_so(tower):
    # Without an adapter a change of the content knows no item.
    (found,) = explain_words(ITEM, checkpoint_of(tower), text=TEXT, space="change")
    assert found.controls.correlation_others == pytest.approx(1.0)
    assert "Says little about this target" in found.controls.warnings()[0]


def controls(**changes):
    plain = {
        "words": 9,
        "read": 9,
        "weight_mean": 0.01,
        "weight_std": 0.02,
        "weight_max": 0.05,
        "strongest_share": 0.2,
        "correlation_others": 0.1,
        "positive_share": 0.5,
        "similarity_whole": 0.9,
        "similarity_blank": 0.2,
        "theta": 30.0,
        "theta_projected": 30.0,
        "theta_blank": 80.0,
    }
    return WordControls(**{**plain, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weight_max": 0.002}, "Next to nothing hangs on any word"),
        ({"positive_share": 0.0}, "No word agrees"),
        ({"correlation_others": 0.95}, "Says little about this target"),
        ({"stored_cosine": 0.1}, "trained the item's feature away"),
        ({"strongest_share": 0.9}, "One word has 90%"),
    ],
)
def test_what_speaks_against_the_colours_is_said(changes, said):
    assert controls().warnings() == []
    (warning,) = controls(**changes).warnings()
    assert said in warning


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"theta": 91.0}, "information drift"),
        ({"theta": 61.0}, "information omission"),
        ({"theta": 2.0, "theta_blank": 2.1}, "no text at all is as near"),
        ({"theta": 2.0, "theta_projected": 85.0}, "before the adapter 85°"),
        ({}, "text and behaviour agree"),
    ],
)
def test_the_angle_in_words(changes, said):
    assert said in controls(**changes).sentences()[0]


# --- TF-IDF ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lsa(tmp_path_factory):
    """A dataset with features as scikit-learn makes them, and a checkpoint on them."""
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
    reduced = TruncatedSVD(6, random_state=5).fit_transform(
        vectorizer.fit_transform(item_texts(40))
    )
    record = EncoderRecord("tfidf,dim=6", config={"dim": 6, "seed": 5})
    folder = tmp_path_factory.mktemp("worded") / "dataset"
    dataset, sha256 = worded_dataset(folder, normalize(reduced), record.to_dict())
    return dataset, text_checkpoint(record, 6, n_items=40, features_sha256=sha256)


def test_tfidf_fitted_again_gives_the_stored_features(lsa):
    dataset, checkpoint = lsa
    stored = dataset.feature_set("lsa").load("text")
    (found,) = explain_words(ITEM, checkpoint, dataset=dataset)
    assert str(found.text) == item_texts(40)[7]
    modality = checkpoint.modalities["text"]
    z = modality.projection_weight @ torch.tensor(stored[7]) + modality.projection_bias
    cosine = torch.nn.functional.cosine_similarity(z, checkpoint.item_embeddings[7], dim=0)
    assert found.controls.similarity_whole == pytest.approx(float(cosine), abs=1e-5)
    fitted = LatentSemantics(item_texts(40), dim=6, seed=5)
    assert np.allclose(fitted(item_texts(40)), stored, atol=1e-5)
    assert np.allclose(fitted(item_texts(40)[:3]), stored[:3], atol=1e-5)  # a row alone, too
    assert not fitted(["unheard of"]).any()


def test_tfidf_takes_another_text_but_needs_the_dataset(lsa):
    dataset, checkpoint = lsa
    (found,) = explain_words(ITEM, checkpoint, dataset=dataset, text="black hoodie xyzzy")
    assert found.controls.read == 2  # nobody knows the last word
    assert np.isnan(found.weights).tolist() == [False, False, True]
    with pytest.raises(BecamError, match="with --dataset"):
        explain_words(ITEM, checkpoint, text="black hoodie")
    with pytest.raises(BecamError, match="knows no word"):
        explain_words(ITEM, checkpoint, dataset=dataset, text="xyzzy plugh")


def test_tfidf_of_other_texts_is_refused(lsa, tmp_path):
    dataset, checkpoint = lsa
    shutil.copytree(dataset.path, tmp_path / "changed")
    items = dataset.items.with_columns(
        pl.col("text").str.replace("Red dress", "Unlike anything red and black")
    )
    items.write_parquet(tmp_path / "changed" / "items.parquet")
    with pytest.raises(BecamError, match="does not give the features"):
        explain_words(ITEM, checkpoint, dataset=tmp_path / "changed")
    other = replace(checkpoint, training={"features": {"sha256": {"text": "0" * 64}}})
    with pytest.raises(BecamError, match="does not hold the text features"):
        explain_words(ITEM, other, dataset=dataset)


def test_many_items_need_their_encoder_once(lsa, monkeypatch):
    dataset, checkpoint = lsa
    other = replace(checkpoint, item_embeddings=checkpoint.item_embeddings.flip(0))
    loaded = []
    real = explainer_module.load_matching_text
    monkeypatch.setattr(
        explainer_module,
        "load_matching_text",
        lambda *args, **options: loaded.append(1) or real(*args, **options),
    )
    explainer = WordExplainer([checkpoint, other], dataset=dataset, labels=["a", "b"])
    for item in (ITEM, "0012"):
        found = explainer.explain(item)
        assert [one.label for one in found] == ["a", "b"]
        (alone,) = explainer.explain(item, columns=explainer.columns[1:])
        assert np.array_equal(alone.weights, found[1].weights)
    assert len(loaded) == 1
    monkeypatch.undo()
    (want,) = explain_words("0012", other, dataset=dataset)
    assert np.array_equal(want.weights, found[1].weights)
    with pytest.raises(BecamError, match="'nobody'"):
        explainer.explain("nobody")


# --- errors ---------------------------------------------------------------------------------


def test_errors_are_sentences(tower, load, lsa, tmp_path):
    dataset, tfidf = lsa
    checkpoint = checkpoint_of(tower)

    def refuses(match, *arguments, **options):
        with pytest.raises(BecamError, match=match) as raised:
            explain_words(*arguments, **options)
        assert "\n" not in str(raised.value)

    refuses("There is no item '7'.*'0007'", "7", checkpoint, text=TEXT)
    refuses("There is no user", ITEM, checkpoint, text=TEXT, user_id="nobody")
    refuses("Give --dataset", ITEM, checkpoint)
    refuses("The text is empty", ITEM, checkpoint, text=" \n")
    refuses("Item 0039 has no text", "0039", tfidf, dataset=dataset)
    refuses("trained without texts", ITEM, make_checkpoint(tower), text=TEXT)
    refuses("Unknown space 'x'", ITEM, checkpoint, text=TEXT, space="x")
    refuses("Unknown contribution 'x'", ITEM, checkpoint, text=TEXT, contribution="x")
    refuses("2 checkpoints but 1 labels", ITEM, [checkpoint] * 2, text=TEXT, labels=["a"])
    refuses("no weights file", ITEM, checkpoint, text=TEXT, weights=[tmp_path / "none.pt"])
    cnn = load("timm-cnn")
    refuses("no text tower", ITEM, text_checkpoint(cnn.record, cnn.dim), text=TEXT)
    unknown = text_checkpoint(EncoderRecord(None), tower.dim)
    refuses("name it with --encoder", ITEM, unknown, text=TEXT)
    refuses("leave --encoder out", ITEM, checkpoint, text=TEXT, encoder="becam:vit")
    narrow = text_checkpoint(tower.record, tower.dim + 1)
    refuses("features of length 25, but the encoder gives 24", ITEM, narrow, text=TEXT)
    moved = EncoderRecord(tower.record.spec, str(tmp_path / "gone.pt"), "0" * 64)
    refuses("no longer at", ITEM, text_checkpoint(moved, tower.dim), text=TEXT)


def test_an_encoder_that_only_the_user_knows(tower):
    vit = load_encoder("becam:vit")
    checkpoint = text_checkpoint(EncoderRecord(None), vit.dim)
    (found,) = explain_words(ITEM, checkpoint, text="a red mug", encoder="becam:vit")
    known = text_checkpoint(vit.record, vit.dim)
    (expected,) = explain_words(ITEM, known, text="a red mug")
    assert np.array_equal(found.weights, expected.weights)


def test_a_feature_that_the_checkpoint_was_not_trained_on_is_refused(tower, tmp_path):
    with torch.no_grad():
        rows = tower.encode_text(item_texts(20)).numpy()
    right, sha256 = worded_dataset(tmp_path / "right", rows, tower.record.to_dict())
    trained = checkpoint_of(tower, n_items=20, features_sha256=sha256)
    (found,) = explain_words(ITEM, trained, dataset=right)
    (same,) = explain_words(ITEM, trained, text=item_texts(20)[7])
    assert np.array_equal(found.weights, same.weights)
    wrong, sha256 = worded_dataset(tmp_path / "wrong", rows[::-1], tower.record.to_dict())
    with pytest.raises(BecamError, match="not the one that BM3 was trained on"):
        explain_words(ITEM, checkpoint_of(tower, n_items=20, features_sha256=sha256), dataset=wrong)
