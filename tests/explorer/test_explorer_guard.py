"""Who may ask the explorer: every way to write a host and an origin, against the guard itself."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from explored import run_apart
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("fastapi", reason="the extra becam[serve] is not installed")

from becam.explorer.guard import Guard, Hosts

OWN = ["127.0.0.1", "127.0.0.1:8420", "localhost", "LocalHost:1", "[::1]", "[::1]:8420"]
OWN += ["[0:0:0:0:0:0:0:1]:8420", "127.0.0.1:65535"]

STRANGE = [
    "evil.com@127.0.0.1",
    "evil.com@127.0.0.1:8420",
    "evil.com:80@127.0.0.1",
    "127.0.0.1@evil.com",
    "127.0.0.1/evil",
    "127.0.0.1#evil.com",
    "127.0.0.1?evil.com",
    "127.0.0.1\\evil.com",
    "evil.com/127.0.0.1",
    "127.0.0.1\tevil.com",
    "127.0.0.\t1",
    "127.0.0.1 evil.com",
    " 127.0.0.1",
    "127.0.0.1 ",
    "127.0.0.1\0",
    "127.0.0.1\0.evil.com",
    "127.0.0.1\n",
    "127.0.0.1\r\n",
    "local\nhost",
    "127.0.0.1,evil.com",
    "127.0.0.1;evil.com",
    "127.0.0.1:evil",
    "127.0.0.1:80:80",
    "127.0.0.1:",
    "127.0.0.1:-1",
    "127.0.0.1:65536",
    "127.0.0.1:999999",
    "127.0.0.1:\xb2",  # a superscript two is a digit to str.isdigit
    "127.0.0.1.",
    "localhost.",
    "localhost.evil.com",
    "evil-localhost",
    "127.0.0.1.nip.io",
    "127.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "2130706433",
    "127.0.0.01",
    "0",
    "0.0.0.0",
    "%31%32%37.0.0.1",
    "localhos%74",
    "\xe9localhost",
    "localhost\xa0",
    "::1",
    "::1:8420",
    "[::1",
    "::1]",
    "[[::1]]",
    "[::1]evil.com",
    "[::1].evil.com",
    "[::1%lo]",
    "[::1%25lo]",
    "[127.0.0.1]",
    "[localhost]",
    "[]",
    "[::ffff:127.0.0.1]",
    "[v1.127.0.0.1]",
    "http://127.0.0.1",
    "//127.0.0.1",
    "*",
    "null",
    "",
    "a" * 100_000,
]


def asked(headers, method="GET", hosts=None):
    """Status and body of an answer through the guard, for headers as they came over the wire."""

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    sent = []

    async def send(message):
        sent.append(message)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "method": method, "headers": raw, "path": "/"}
    run_apart(Guard(app, hosts or Hosts())(scope, asyncio.Event().wait, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize("host", OWN)
def test_own_names_in_every_way_that_browsers_write_them(host):
    assert asked([("host", host)])[0] == 200


@pytest.mark.parametrize("host", STRANGE)
@pytest.mark.parametrize("for_others", [False, True])
def test_nothing_else_passes_for_one(host, for_others):
    hosts = Hosts.listening_on("0.0.0.0" if for_others else "127.0.0.1")
    status, said = asked([("host", host)], hosts=hosts)
    # A server for others answers to any numeric address, and to nothing but whole ones.
    if for_others and host in ("0.0.0.0", "[::ffff:127.0.0.1]"):
        assert status == 200
        return
    assert status == 403
    assert "does not answer to the name" in said["detail"]
    assert len(said["detail"]) < 600


@pytest.mark.parametrize(
    "hosts", [[], ["127.0.0.1", "evil.com"], ["evil.com", "127.0.0.1"], ["127.0.0.1"] * 2]
)
def test_one_host_and_no_other_number(hosts):
    assert asked([("host", host) for host in hosts])[0] == 403


@settings(max_examples=300)
@given(
    st.one_of(
        st.text(st.characters(max_codepoint=255), max_size=30),
        st.text("127.0.0.1localhost[]:@/#?%\t ", max_size=20),
        st.tuples(
            st.sampled_from(["127.0.0.1", "localhost", "[::1]"]),
            st.text(st.characters(max_codepoint=255), max_size=8),
        ).map("".join),
    )
)
def test_whatever_passes_is_an_own_name_and_at_most_a_port(host):
    own = re.fullmatch(r"(?ai:127\.0\.0\.1|localhost|\[[0:]*:0*1\])(?::[0-9]{1,5})?", host)
    passed = asked([("host", host)])[0] == 200
    assert not passed or own
    if host.isascii() and re.fullmatch(r"(127\.0\.0\.1|localhost)(:[1-9][0-9]{0,3})?", host):
        assert passed


ORIGINS = [
    "http://evil.com",
    "http://evil.com@127.0.0.1:8420",
    "http://127.0.0.1:8420@evil.com",
    "http://127.0.0.1:8420/",
    "http://127.0.0.1:8420/evil",
    "http://127.0.0.1:8420#evil.com",
    "http://127.0.0.1:8420?",
    "http://127.0.0.1:8420.evil.com",
    "http://127.0.0.1:84200",
    "http://127.0.0.1:842",
    "http://127.0.0.1",
    "http://127.0.0.1:8420\t",
    "http:\t//127.0.0.1:8420",
    " http://127.0.0.1:8420",
    "http:/127.0.0.1:8420",
    "//127.0.0.1:8420",
    "127.0.0.1:8420",
    "file://127.0.0.1:8420",
    "chrome-extension://127.0.0.1:8420",
    "http://localhost:8420",
    "http://127.0.0.1:8420, http://evil.com",
    "null",
    "",
]


@pytest.mark.parametrize("origin", ORIGINS)
def test_other_origins(origin):
    headers = [("host", "127.0.0.1:8420"), ("origin", origin)]
    assert asked(headers, "POST")[0] == 403
    assert asked(headers, "GET")[0] == 200


@pytest.mark.parametrize(
    "site",
    ["cross-site", "same-site", "", "none, cross-site", "same-origin;x", " none", "NONE", "\xa0"],
)
def test_other_sites(site):
    own = [("host", "127.0.0.1:8420"), ("origin", "http://127.0.0.1:8420")]
    assert asked([*own, ("sec-fetch-site", site)], "POST")[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "post", "get", "X"])
def test_several_answers_to_one_question_are_none(method):
    host = ("host", "127.0.0.1:8420")
    own, foreign = ("origin", "http://127.0.0.1:8420"), ("origin", "http://evil.com")
    assert asked([host, own], method)[0] == 200
    assert asked([host, own, foreign], method)[0] == 403
    assert asked([host, foreign, own], method)[0] == 403
    ours, theirs = ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")
    assert asked([host, ours, theirs], method)[0] == 403
    assert asked([host, theirs, ours], method)[0] == 403
