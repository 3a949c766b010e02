"""Weights out of what trainers write, and one sentence for every other file."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import struct
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from becam.encoders import load_encoder
from becam.encoders.envelopes import unwrapped, without_prefix
from becam.encoders.weights import read_state_dict
from becam.errors import BecamError, BecamWarning

SPEC = "timm:test_resnet,size=64"


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=7).state_dict()


@pytest.fixture(scope="module")
def expected(state):
    """timm's own features of one picture."""
    model = timm.create_model("test_resnet", num_classes=0).eval()
    model.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")})
    with torch.inference_mode():
        return model(pixels())


def pixels():
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def prefixed(prefix):
    return lambda state: {f"{prefix}{name}": value for name, value in state.items()}


def under(key, **others):
    return lambda state: {key: state, "epoch": 3, **others}


def inside(state):
    """A compiled part of a model that was not compiled whole."""
    return {name.replace("layer1.", "layer1._orig_mod."): v for name, v in state.items()}


def lightning(state):
    """A module with a loss of its own around the model."""
    return {
        "state_dict": {**prefixed("backbone.")(state), "loss.weight": torch.ones(3)},
        "hyper_parameters": {"lr": 0.1},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []}],
    }


ENVELOPES = {
    "plain": dict,
    "module": prefixed("module."),
    "compiled": prefixed("_orig_mod."),
    "module-compiled": prefixed("module._orig_mod."),
    "compiled-module": prefixed("_orig_mod.module."),
    "twice": prefixed("module.module."),
    "inside": inside,
    "model-prefix": prefixed("model."),
    "backbone-prefix": prefixed("backbone."),
    "visual-prefix": prefixed("visual."),
    "module-model-prefix": prefixed("module.model."),
    "encoder-beside-head": lambda s: {**prefixed("encoder.")(s), "head.weight": torch.ones(2)},
    "state_dict": under("state_dict"),
    "model": under("model", optimizer={"state": {0: {"step": torch.ones(1)}}, "param_groups": []}),
    "model_state_dict": under("model_state_dict"),
    "net": under("net"),
    "any-name": under("my_weights"),
    "nested": lambda s: {"checkpoint": {"model": s}},
    "model-compiled": lambda s: {"model": prefixed("_orig_mod.")(s)},
    "ema-alone": lambda s: {"model_ema": s, "epoch": 2},
    "state_dict_ema-alone": lambda s: {"state_dict_ema": prefixed("module.")(s)},
    "lightning": lightning,
    "scheduler": under("model", lr_scheduler={"milestones": Counter([3])}),
    "ordered": OrderedDict,
    "metadata": lambda s: {**s, "epoch": 3, "note": "mine"},
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_gives_the_model_in_it(name, state, expected, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(ENVELOPES[name](state), path)
    with torch.inference_mode():
        features = load_encoder(SPEC, weights=path).encode_image(pixels())
    assert torch.allclose(features, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["legacy", "safetensors", "metadata", "half", "other-suffix"])
def test_a_file_of_any_kind_gives_the_model_in_it(name, state, expected, tmp_path):
    path = tmp_path / "weights.safetensors"
    if name == "legacy":
        path = tmp_path / "weights.pth"
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif name == "half":
        floats = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        save_file(floats, path)
    else:
        path = tmp_path / "weights.bin" if name == "other-suffix" else path
        save_file(state, path, metadata={"format": "pt"} if name == "metadata" else None)
    with torch.inference_mode():
        features = load_encoder(SPEC, weights=path).encode_image(pixels())
    assert torch.allclose(features, expected, atol=1e-5 if name != "half" else 0.05)


def test_averaged_weights_beside_the_model_are_told(state, tmp_path):
    path = tmp_path / "weights.pth"
    other = {name: torch.zeros_like(value) for name, value in state.items()}
    torch.save({"model": state, "model_ema": other}, path)
    with pytest.warns(BecamWarning, match=r"averaged weights too \(model_ema\)"):
        found = read_state_dict(path)
    assert torch.equal(found["conv1.0.weight"], state["conv1.0.weight"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda s: {"student": s, "teacher": s}, r"several state dicts \(student, teacher\)"),
        (
            lambda s: {**prefixed("encoder_q.")(s), **prefixed("encoder_k.")(s)},
            "2 times, under encoder_k. and encoder_q.",
        ),
        (lambda s: {**s, **prefixed("module.")(s)}, "with and without the prefixes"),
        (lambda s: {"epoch": 3}, "no state dict of tensors"),
        (lambda s: [1, 2], "no state dict of tensors"),
        (lambda s: torch.ones(3), "no state dict of tensors"),
    ],
)
def test_what_is_ambiguous_is_refused(content, said, state, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(content(state), path)
    with pytest.raises(BecamError, match=said):
        load_encoder(SPEC, weights=path)


@given(
    wrappers=st.lists(st.sampled_from(["module.", "_orig_mod."]), max_size=4),
    prefix=st.lists(st.sampled_from(["model.", "backbone.", "visual.", "net."]), max_size=3),
)
@settings(max_examples=50, deadline=None)
def test_prefixes_in_any_order_go(wrappers, prefix):
    own = {"conv.weight": torch.ones(1), "norm.bias": torch.zeros(1)}
    begin = "".join(wrappers + prefix)
    found = unwrapped({f"{begin}{name}": value for name, value in own.items()}, "x")
    assert without_prefix(found, own.keys(), "x").keys() == own.keys()


class Opens:
    """What would run code when unpickled."""

    def __reduce__(self):
        return (os.system, ("touch /tmp/becam-ran",))


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def saved(value, **options):
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def header(length, text=b"{}"):
    return struct.pack("<Q", length) + text


def recompressed(content):
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return stream.getvalue()


def flipped(content, where):
    changed = bytearray(content)
    changed[where] ^= 1
    return bytes(changed)


def scripted():
    stream = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), stream)
    return stream.getvalue()


def overlapping():
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    text = json.dumps({"a": entry, "b": entry}).encode()
    return header(len(text), text) + bytes(8)


SMALL = {"a.weight": torch.ones(4)}
FILES = {
    "empty": (b"", "it is empty"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "a pointer of git-lfs .*; run git lfs pull",
    ),
    "html": (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page"),
    "text": (b"see the model zoo\n" * 100, "it is a text"),
    "index": (
        json.dumps({"weight_map": {"a": "1-of-2.st", "b": "2-of-2.st", "c": "1-of-2.st"}}).encode(),
        "the index of weights in 2 parts",
    ),
    "json": (b'{"a": [1, 2]}', "it is JSON"),
    "deep-json": (b"{" + b'"a":{' * 100_000, "it is JSON"),
    "binary": (bytes(range(255, 0, -1)) * 4, "neither safetensors nor saved by torch.save"),
    "zeros": (bytes(4096), "cannot be read as weights"),
    "zip": (zipped(**{"word/document.xml": b"<a/>"}), "ZIP archive that torch.save did not write"),
    "npz": (zipped(**{"a.npy": b"\x93NUMPY"}), "ZIP archive that torch.save did not write"),
    "script": (scripted(), "a TorchScript archive"),
    "compressed": (recompressed(saved({"a": torch.zeros(10_000)})), "compressed"),
    "cut-zip": (saved(SMALL)[:-200], "damaged or incomplete"),
    "cut-legacy": (saved(SMALL, _use_new_zipfile_serialization=False)[:-3], "damaged"),
    "flip": (flipped(saved(SMALL), saved(SMALL).index(b"\x00\x00\x80\x3f")), "is damaged"),
    "cut-safetensors": (header(2**30, b'{"a":'), "damaged or incomplete"),
    "huge-header": (header(2**60), "damaged or incomplete"),
    "overlap": (overlapping(), "damaged or incomplete"),
    "code": (saved({"a": Opens()}), r"holds posix\.system beside tensors"),
    "code-legacy": (saved({"a": Opens()}, _use_new_zipfile_serialization=False), r"posix\.system"),
    "code-pickle": (pickle.dumps({"a": Opens()}, protocol=2), r"posix\.system"),
    "code-pickle-4": (pickle.dumps({"a": Opens()}, protocol=4), "objects beside tensors"),
    "namespace": (
        saved({"state_dict": SMALL, "args": argparse.Namespace(lr=0.1)}),
        r"holds argparse\.Namespace beside tensors",
    ),
    "module": (saved(torch.nn.Linear(2, 2)), r"torch\.nn\.modules\.linear\.Linear"),
    "numpy": (saved({"a": np.ones(3)}), "numpy"),
    "expanded": (
        saved({"fc.weight": torch.ones(1).expand(200_000, 1000)}),
        "declares 200,000,000 numbers for fc.weight and stores fewer",
    ),
    "sparse": (saved({"a": torch.eye(3).to_sparse()}), "no plain tensor"),
    "meta": (saved({"a": torch.empty(10**12, device="meta")}), "no plain tensor"),
    "complex": (saved({"a": torch.ones(3, dtype=torch.complex64)}), "no plain tensor"),
    "escape": (saved({"a\x1b[31m": torch.eye(3).to_sparse()}), "holds a in a form"),
}


def refusal(path, spec=SPEC):
    with pytest.raises(BecamError) as caught:
        load_encoder(spec, weights=path)
    said = str(caught.value)
    assert "\n" not in said
    assert "\x1b" not in said
    assert "weights_only" not in said
    assert "trust" not in said
    return said


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_weights_file_is_told_in_one_sentence(name, suffix, tmp_path):
    content, said = FILES[name]
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    if suffix == "safetensors" and name in (
        "binary",
        "code-legacy",
        "code-pickle",
        "code-pickle-4",
        "cut-legacy",
    ):
        said = "cannot be read as weights"  # its name says that it is safetensors
    with pytest.raises(BecamError, match=said):
        read_state_dict(path)
    refusal(path)
    assert not os.path.exists("/tmp/becam-ran")


@pytest.mark.parametrize("kind", ["fifo", "folder", "loop", "device", "absent", "dangling"])
def test_what_is_no_file_is_told(kind, tmp_path):
    path = tmp_path / "weights.safetensors"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nothing")
    assert "weights.safetensors" in refusal(path)
    assert "weights.safetensors" in refusal(path, "imagebind:huge")
    assert "weights.safetensors" in refusal(path, "open_clip:RN50")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v.clone().fill_(torch.nan), "not finite in conv1.0.weight"),
        (lambda v: v.clone().index_fill_(0, torch.tensor([1]), torch.inf), "not finite in conv1"),
        (lambda v: (v * 127).to(torch.int8), "holds conv1.0.weight as int8"),
        (lambda v: v[:, :1], "has other shapes"),
    ],
)
def test_numbers_that_are_no_weights_are_refused(change, said, state, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({**state, "conv1.0.weight": change(state["conv1.0.weight"]).contiguous()}, path)
    assert said in refusal(path)


def test_what_is_not_loaded_may_hold_anything(state, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({**state, "fc.bias": torch.full((7,), torch.nan)}, path)
    assert load_encoder(SPEC, weights=path).dim == state["fc.weight"].shape[1]


def test_a_storage_that_claims_more_than_its_record_is_refused(tmp_path):
    """The pickle says four hundred million numbers, the record holds four."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved(SMALL))) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("data.pkl"):
                assert content.count(b"K\x04") >= 2
                content = content.replace(b"K\x04", b"J" + struct.pack("<i", 400_000_000))
            new.writestr(name, content)
    path = tmp_path / "weights.pth"
    path.write_bytes(stream.getvalue())
    assert "cannot be read as weights" in refusal(path) or "stores fewer" in refusal(path)
