"""The examples of docs/extending.md run as they stand and keep the contracts they explain."""

import math
import re
from pathlib import Path

import pytest
import torch
from adapter_contract import CONTRACT, DIM, perturbed
from planted import planted_dataset

from becam.adapters import ADAPTERS, create_adapter
from becam.errors import BecamError
from becam.recommenders import RECOMMENDERS
from becam.training import evaluate

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Names that the page's code leaves behind, given a dataset."""
    names = {"dataset": planted_dataset(tmp_path_factory.mktemp("docs") / "planted")}
    registries = {id(r): (r, dict(r)) for r in (ADAPTERS, RECOMMENDERS)}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    yield names
    for registry, before in registries.values():
        registry.clear()
        registry.update(before)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_the_pages_adapter_keeps_the_contract(page, check):
    torch.manual_seed(0)
    check(perturbed(create_adapter("behaviour-gate", DIM)))


def test_the_pages_adapter_is_what_the_page_says(page):
    adapter = create_adapter("behaviour-gate", 2, sharpness="1/2")
    with torch.no_grad():
        adapter.gate.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        adapter.gate.bias.zero_()
    got = adapter(torch.tensor([[3.0, 5.0]]), torch.tensor([[4.0, 1.0]])).tolist()[0]
    assert got == pytest.approx([3 / (1 + math.exp(-3)), 5 / (1 + math.exp(0.5))])
    with pytest.raises(BecamError, match="sharpness"):
        create_adapter("behaviour-gate", 2, sharpness=-1)


def test_the_pages_training_gives_a_checkpoint_that_evaluates_alike(page):
    checkpoint = page["checkpoint"]
    assert checkpoint.recommender["name"] == "content-lightgcn"
    assert checkpoint.recommender["config"]["options"] == {"layers": 1}
    assert checkpoint.training["epochs"] == 2
    assert evaluate(checkpoint, page["dataset"]).reproduced
    for modality in ("image", "text"):
        head = checkpoint.head(modality)
        assert head.adapter.config() == {"sharpness": 2.0}
        width = head.projection.in_features
        assert head(torch.randn(3, width), torch.randn(3, 64)).shape == (3, 64)
