"""Near ids stay quick on large catalogues."""

import time

from becam.identifiers import near_identifiers, unknown_identifier


def test_a_million_ids_take_about_a_second():
    known = {f"{n:010d}": None for n in range(1_000_000)}
    started = time.perf_counter()
    assert "0000123456" in near_identifiers("123456", known)
    near = near_identifiers("00001234567", known)
    assert near[0] in known
    near_identifiers("nothing-alike", known)
    assert time.perf_counter() - started < 20  # about 3 s for the three; room for a busy machine


def test_no_ids_at_all():
    assert "holds no users" in unknown_identifier("user", "7", [])


def test_a_text_in_place_of_an_id_is_cut_short():
    known = {"0042": None, "0043": None}
    sentence = unknown_identifier("item", "0" * 1_000_000, known)
    assert len(sentence) < 300
    assert "'0042'" in sentence
