import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from becam.encoders.embedded.tokenizer import PADDING, START, UNKNOWN, WordTokenizer, words

VOCABULARY = ["a", "dress", "red", "t-shirt"]


@pytest.fixture(scope="module")
def tokenizer():
    return WordTokenizer(VOCABULARY, 8)


def test_ids_by_hand(tokenizer):
    ids = tokenizer(["A red dress.", "a t-shirt, unheard-of"])
    assert ids.tolist() == [[2, 3, 5, 4, 7, 0, 0, 0], [2, 3, 6, 1, 7, 0, 0, 0]]
    assert ids.dtype == torch.int64
    assert tokenizer.vocab_size == 8


def test_one_text_is_a_batch_of_one(tokenizer):
    assert tokenizer("a red dress").tolist() == tokenizer(["a red dress"]).tolist()


def test_the_empty_text_is_start_and_end(tokenizer):
    assert tokenizer("").tolist() == [[START, tokenizer.end] + [PADDING] * 6]


@given(st.lists(st.sampled_from(VOCABULARY), max_size=6))
def test_round_trip(chosen):
    tokenizer = WordTokenizer(VOCABULARY, 8)
    ids = tokenizer(" ".join(chosen))[0].tolist()
    assert tokenizer.decode(ids) == " ".join(chosen)


@given(st.text(), st.integers(2, 12))
def test_the_end_is_the_only_and_highest_id_for_any_text(text, length):
    """open_clip pools a text where its ids are highest."""
    tokenizer = WordTokenizer(VOCABULARY, 8)
    ids = tokenizer(text, context_length=length)[0]
    last = min(len(words(text)) + 1, length - 1)
    assert ids.shape == (length,)
    assert ids.argmax() == last
    assert (ids == tokenizer.end).sum() == 1
    assert ids[0] == START
    assert (ids[last + 1 :] == PADDING).all()
    assert ((ids[1:last] == UNKNOWN) | (ids[1:last] > START)).all()


def test_unknown_words_read_as_question_marks(tokenizer):
    assert tokenizer.decode(tokenizer("a mauve dress")[0].tolist()) == "a ? dress"
