"""Tables from small stores whose numbers were worked out by hand."""

import csv
import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from markdown_it import MarkdownIt
from scipy import stats

from becam.errors import BecamError
from becam.experiments.costs import costs_table, parameters_text
from becam.experiments.rendering import Block, Cell, Line, Table, to_csv, to_latex, to_markdown
from becam.experiments.store import Run, Store
from becam.experiments.tables import adapters_table, comparison_table

NAMES = ("recall@20", "ndcg@20")
FLOORS = {"popularity": dict.fromkeys(NAMES, 0.05), "random": dict.fromkeys(NAMES, 0.01)}
USERS = 4

# Over the seeds the users' differences in recall are .1 .1 .1 .2: mean .125, standard error .025.
PLAIN = {0: [0.1, 0.2, 0.3, 0.4], 1: [0.2, 0.3, 0.4, 0.5]}
BEFA = {0: [0.2, 0.3, 0.4, 0.6], 1: [0.3, 0.4, 0.5, 0.7]}
P_BEFA = 2 * stats.t.sf(0.125 / 0.025, df=3)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", create=True)


def enter(store, seeds, *, model="bm3", adapter="none", **more):
    """Enter a run a seed: of users' recall, with an NDCG of .1 everywhere."""
    for seed, recall in seeds.items():
        values = {NAMES[0]: np.array(recall, float), NAMES[1]: np.full(USERS, 0.1)}
        given = {
            "dataset": "shop",
            "features": "clip",
            "fingerprint": "f00d",
            "label": "",
            "options": {"lr": 0.001},
            "baselines": FLOORS,
            "parameters": 9_447_104,
            "seconds": 100.0,
            "epoch_seconds": 1.5,
            "epochs": 40,
        } | more
        key = "-".join(map(str, (model, adapter, seed, len(store.runs()))))
        store.folder(key).mkdir(parents=True)
        np.savez(store.folder(key) / "users.npz", users=np.arange(USERS), **values)
        means = {name: float(v.mean()) for name, v in values.items()}
        metrics = {"epoch": 1, "validation": means, "test": means}
        store.enter(Run(key=key, model=model, adapter=adapter, seed=seed, metrics=metrics, **given))


def lines(table, block=0):
    return {line.title: line for line in table.blocks[block].lines}


def texts(table, column=0, block=0):
    """Titles and what stands in a column."""
    return [(line.title, line.cells[column].text) for line in table.blocks[block].lines]


def test_the_comparison_by_hand(store):
    enter(store, PLAIN)
    enter(store, BEFA, adapter="befa")
    table = comparison_table(store, NAMES)
    assert texts(table) == [
        ("Popularity", "0.0500"),
        ("Random", "0.0100"),
        ("BM3", "0.3000"),
        ("BM3 + BeFA", "0.4250"),
        ("Improvement", "+41.67%"),
    ]
    plain, befa = lines(table)["BM3"].cells[0], lines(table)["BM3 + BeFA"].cells[0]
    # Seeds .25 and .35, and .375 and .475: each .05 from its mean, over n - 1 = 1.
    assert plain.spread == befa.spread == "0.0707"
    assert befa.p == pytest.approx(P_BEFA)
    # NDCG does not differ, so the family has one test alone.
    assert befa.p_holm == pytest.approx(P_BEFA)
    assert (befa.place, plain.place, befa.mark, plain.mark) == (1, 2, "*", "")
    assert lines(table)["BM3 + BeFA"].cells[1].mark == ""
    assert any("over users" in note and "over the 1 test of" in note for note in table.notes)
    assert "Mean ± standard deviation over seeds 0, 1." in table.notes


def test_ties_as_shown_share_the_decoration(store):
    enter(store, PLAIN)
    enter(store, BEFA, adapter="befa")
    table = comparison_table(store, NAMES)
    places = {title: line.cells[1].place for title, line in lines(table).items()}
    assert places == {
        "BM3": 1,
        "BM3 + BeFA": 1,
        "Popularity": 2,
        "Random": 0,
        "Improvement": 0,
    }
    assert lines(table)["Improvement"].cells[1].text == "+0.00%"


def test_a_floor_may_be_best(store):
    enter(store, {0: [0.01, 0.01, 0.01, 0.03]})
    enter(store, {0: [0.02, 0.02, 0.01, 0.03]}, adapter="befa")
    table = comparison_table(store, NAMES)
    assert lines(table)["Popularity"].cells[0].place == 1
    assert lines(table)["BM3 + BeFA"].cells[0].place == 2


def test_holm_goes_over_the_whole_table(store):
    enter(store, PLAIN)
    enter(store, BEFA, adapter="befa")
    # The differences are .1 .2 .3 .4: t = .25 / (.129 / 2) = 3.87, a larger p than BeFA's.
    lora = {s: [v + d for v, d in zip(PLAIN[s], (0.1, 0.2, 0.3, 0.4), strict=True)] for s in (0, 1)}
    enter(store, lora, adapter="lora")
    table = adapters_table(store, NAMES)
    befa, other = lines(table)["BM3 + BeFA"].cells[0], lines(table)["BM3 + LoRA"].cells[0]
    assert befa.p_holm == pytest.approx(2 * P_BEFA)
    assert other.p == pytest.approx(stats.ttest_1samp([0.1, 0.2, 0.3, 0.4], 0).pvalue)
    assert other.p_holm == pytest.approx(max(other.p, 2 * P_BEFA))
    assert other.improvement == pytest.approx(100 * 0.25 / 0.3)
    # Table 3 has a line a row, without the improvements between them.
    assert [title for title, _ in texts(table)[2:]] == ["BM3", "BM3 + BeFA", "BM3 + LoRA"]


def test_over_seeds(store):
    enter(store, {0: [0.1] * 4, 1: [0.2] * 4, 2: [0.3] * 4, 7: [0.9] * 4})
    enter(store, {0: [0.2] * 4, 1: [0.4] * 4, 2: [0.6] * 4}, adapter="befa")
    cell = lines(comparison_table(store, NAMES, "seeds"))["BM3 + BeFA"].cells[0]
    # Differences .1 .2 .3.
    assert cell.p == pytest.approx(stats.ttest_1samp([0.1, 0.2, 0.3], 0).pvalue)


def test_one_seed_is_shown_without_spread_and_without_marks(store):
    enter(store, {5: PLAIN[0]})
    enter(store, {5: BEFA[0]}, adapter="befa")
    table = comparison_table(store, NAMES, "seeds")
    befa = lines(table)["BM3 + BeFA"].cells[0]
    assert (befa.text, befa.spread, befa.std, befa.p, befa.mark) == ("0.3750", "", None, None, "")
    assert "One run a row, seed 5." in table.notes
    assert any(note.startswith("No significance marks") for note in table.notes)
    [row] = [r for r in csv_rows(table) if r["adapter"] == "befa" and r["metric"] == "recall@20"]
    assert (row["p"], row["p_holm"], row["std"], row["test"], row["n"]) == ("", "", "", "", "1")


def test_rows_with_other_seeds_are_named(store):
    enter(store, PLAIN)
    enter(store, {0: BEFA[0]}, adapter="befa")
    assert (
        "Mean ± standard deviation over seeds 0, 1, but over seed 0: BM3 + BeFA on shop."
        in comparison_table(store, NAMES).notes
    )


def test_what_is_missing_is_a_dash_and_a_note(store):
    enter(store, PLAIN)
    enter(store, BEFA, adapter="befa")
    enter(store, BEFA, model="lattice", adapter="befa")
    table = comparison_table(store, NAMES)
    assert ("LATTICE", "-") in texts(table)
    assert "Not in the store: LATTICE on shop." in table.notes
    # Nothing to compare with: no improvement, no test.
    assert [title for title, _ in texts(table)].count("Improvement") == 1
    assert lines(table)["LATTICE + BeFA"].cells[0].p is None


def test_the_average_improvement(store):
    for name, factor in (("one", 2.0), ("two", 1.5)):
        enter(store, {0: PLAIN[0]}, dataset=name)
        enter(store, {0: [v * factor for v in PLAIN[0]]}, adapter="befa", dataset=name)
    assert (
        "Average improvement over 2 comparisons: Recall@20 +75.00%, NDCG@20 +0.00%."
        in comparison_table(store, NAMES).notes
    )


def test_runs_with_other_options_are_no_seeds_of_one_row(store):
    enter(store, PLAIN)
    for dropout in (0.1, 0.5):
        options = {"lr": 0.001, "adapter_options": {"dropout": dropout}, "device": "cpu"}
        enter(store, {0: BEFA[0]}, adapter="befa", options=options)
    titles = [title for title, _ in texts(comparison_table(store, NAMES))]
    assert titles[2:] == [
        "BM3",
        "BM3 + BeFA, adapter.dropout=0.1",
        "Improvement",
        "BM3 + BeFA, adapter.dropout=0.5",
        "Improvement",
    ]


def test_a_label_is_held_against_its_own_plain_row(store):
    enter(store, {0: [0.1] * 4})
    enter(store, {0: [0.2] * 4}, label="deep")
    enter(store, {0: [0.3] * 4}, adapter="befa", label="deep")
    enter(store, {0: [0.3] * 4}, adapter="befa", label="ratio=1/2")
    table = comparison_table(store, NAMES)
    assert lines(table)["BM3 + BeFA, deep"].cells[0].improvement == pytest.approx(50)
    assert lines(table)["BM3 + BeFA, ratio=1/2"].cells[0].improvement == pytest.approx(200)


def test_other_data_features_and_ways_of_testing_are_kept_apart(store):
    for more in (
        {},
        {"fingerprint": "beefbeefbeef"},
        {"features": "resnet"},
        {"options": {"lr": 0.001, "mask_validation": True}},
    ):
        enter(store, {0: PLAIN[0]}, adapter="befa", **more)
    assert [block.title for block in comparison_table(store, NAMES).blocks] == [
        "shop, clip, data beefbeef, validation ranked",
        "shop, clip, data f00d, validation ranked",
        "shop, clip, data f00d, validation masked",
        "shop, resnet, data f00d, validation ranked",
    ]


def test_two_runs_of_one_seed_are_refused(store):
    enter(store, {0: PLAIN[0]}, adapter="befa")
    enter(store, {0: PLAIN[1]}, adapter="befa")
    with pytest.raises(BecamError, match=r"two runs of BM3 \+ BeFA on shop with seed 0"):
        comparison_table(store, NAMES)


def test_costs_by_hand(store):
    enter(store, PLAIN, seconds=3600.4, epochs=100)
    for adapter, more in (("befa", 197_760), ("lora", 4_096), ("soft-prompt", 128)):
        enter(store, {0: BEFA[0]}, adapter=adapter, parameters=9_447_104 + more, seconds=59.6)
    enter(store, {0: BEFA[0]}, model="mgcn", adapter="lora", parameters=18_358_656)
    table = costs_table(store)
    shown = {title: [cell.text for cell in line.cells] for title, line in lines(table).items()}
    assert shown["BM3"] == ["9.45M", "1.50", "1:00:00", "100"]
    assert shown["BM3 + BeFA"] == ["+0.20M", "1.50", "0:01:00", "40"]
    assert shown["BM3 + LoRA"][0] == "+4.10K"
    assert shown["BM3 + Soft Prompt"][0] == "+0.13K"
    assert shown["MGCN"] == ["-"] * 4
    assert shown["MGCN + LoRA"][0] == "18.36M"
    assert any("All parameters" in n and "MGCN + LoRA on shop" in n for n in table.notes)
    rows = {(r["model"], r["adapter"], r["metric"]): r["mean"] for r in csv_rows(table)}
    assert rows["bm3", "befa", "parameters"] == "9644864"


def test_fewer_parameters_than_without_adapter(store):
    enter(store, {0: PLAIN[0]}, parameters=10_000)
    enter(store, {0: PLAIN[0]}, adapter="befa", parameters=8_000)
    assert lines(costs_table(store))["BM3 + BeFA"].cells[0].text == "-2.00K"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (9_447_104, "9.45M"),
        (18_358_656, "18.36M"),
        (21_260_096, "21.26M"),
        (197_760, "0.20M"),
        (4_096, "4.10K"),
        (128, "0.13K"),
        (0, "0"),
    ],
)
def test_parameters_as_the_paper_writes_them(count, text):
    assert parameters_text(count) == text


def test_a_model_that_this_becam_does_not_know_goes_by_its_name(store):
    enter(store, {0: PLAIN[0]}, model="newest", adapter="befa")
    enter(store, {0: PLAIN[0]}, model="mgcn", adapter="befa")
    titles = [title for title, _ in texts(comparison_table(store, NAMES))]
    assert titles[2:] == ["MGCN", "MGCN + BeFA", "newest", "newest + BeFA"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (comparison_table, "no run with BeFA yet, so Table 2 is empty; a becam experiment over"),
        (adapters_table, "no run with an adapter yet, so Table 3 is empty; a becam experiment"),
        (costs_table, "no runs yet, so Table 4 is empty; any becam experiment fills it"),
    ],
)
def test_an_empty_store_says_what_would_fill_it(store, make, sentence):
    with pytest.raises(BecamError, match=sentence):
        make(store)


def test_an_unknown_metric(store):
    enter(store, PLAIN, adapter="befa")
    with pytest.raises(BecamError, match=r"no metric recall@7; choose from recall@20, ndcg@20"):
        comparison_table(store, ["recall@7"])


# What it looks like.

NASTY = Table(
    number=2,
    caption="50% of H&M_x",
    columns=("Recall@20", "NDCG@20"),
    metrics=("recall@20", "ndcg@20"),
    blocks=[
        Block(
            "[H&M]_50% #1 {a|b} ~^\\ <b> $x$ *",
            "H&M, 50",
            "clip",
            [
                Line(
                    "BM3",
                    [
                        Cell("0.1235", "0.0020", 0.12345, 0.002, 2, place=2),
                        Cell("0.5000", mean=0.5, n=1, place=1, p=0.001, p_holm=0.003),
                    ],
                    model="bm3",
                    adapter="none",
                ),
                Line("Improvement", [Cell("-0.45%"), Cell()]),
            ],
        )
    ],
    notes=["* p < .05, ** p < .01"],
    test="users",
)


def csv_rows(table):
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def html_cells(markdown):
    """Rows of cells as GitHub's Markdown would show them."""
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    rows = re.findall(r"<tr>(.*?)</tr>", html, flags=re.S)
    return html, [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.S) for row in rows]


def test_markdown_renders():
    html, rows = html_cells(to_markdown(NASTY))
    assert rows == [
        ["Dataset", "Model", "Recall@20", "NDCG@20"],
        [
            "[H&amp;M]_50% #1 {a|b} ~^\\ &lt;b&gt; $x$ *",
            "BM3",
            "<u>0.1235</u> ± 0.0020",
            "<strong>0.5000</strong>**",
        ],
        ["", "Improvement", "-0.45%", "-"],
    ]
    assert "<li>* p &lt; .05, ** p &lt; .01</li>" in html


def test_markdown_is_aligned_as_plain_text():
    table = [line for line in to_markdown(NASTY).splitlines() if line.startswith("|")]
    bars = [[i for i, c in enumerate(line) if c == "|" and line[i - 1] != "\\"] for line in table]
    assert len({tuple(places) for places in bars}) == 1


def test_csv_is_unrounded_and_leaves_out_what_restates():
    first, second = csv_rows(NASTY)
    assert first["mean"] == "0.12345"
    assert (first["dataset"], first["n"], first["std"]) == ("H&M, 50", "2", "0.002")
    assert (second["test"], second["p"], second["p_holm"]) == ("users", "0.001", "0.003")


def test_latex_is_balanced_and_escaped():
    text = to_latex(NASTY)
    unescaped = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert unescaped.count("{") == unescaped.count("}")
    assert unescaped.count("$") % 2 == 0
    assert re.findall(r"\\begin\{(.*?)\}", text) == re.findall(r"\\end\{(.*?)\}", text)[::-1]
    rows = [line for line in unescaped.splitlines() if " & " in line]
    assert {row.count("&") for row in rows} == {3}
    assert r"\underline{0.1235} $\pm$ 0.0020 & \textbf{0.5000}$^{**}$ \\" in text
    assert r"$-$0.45\% & - \\" in text
    assert not re.search(r"[%#]", re.sub(r"^%.*", "", unescaped))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    body = to_latex(NASTY)
    document = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}\n{body}"
    (tmp_path / "t.tex").write_text(document + "\\end{document}\n", "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


# On the command line.


def test_the_command_prints_markdown_and_writes_the_other_forms(store, run_cli, tmp_path):
    enter(store, PLAIN)
    enter(store, BEFA, adapter="befa")
    metrics = ("--metric", "Recall@20")
    code, output, _ = run_cli("table", 2, store.path, *metrics)
    assert code == 0
    assert "**0.4250**\\* ± 0.0707" in output
    assert "NDCG" not in output
    file = tmp_path / "made" / "table.tex"
    code, output, _ = run_cli("table", 3, store.path, *metrics, "--format", "latex", "-o", file)
    assert (code, output) == (0, f"Wrote {file}.\n")
    assert r"\textbf{0.4250}$^{*}$" in file.read_text("utf-8")
    code, output, _ = run_cli("table", 4, store.path, "--format", "csv")
    assert code == 0
    assert output.startswith("dataset,features,model,")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--format", "word"), "There is no --format word; choose from markdown, latex, csv."),
        (("--significance", "items"), "--significance is users or seeds, not items."),
        (("--metric", "mrr"), "There is no metric mrr; choose from recall@20, ndcg@20."),
    ],
)
def test_bad_options_are_one_sentence(store, run_cli, arguments, sentence):
    enter(store, {0: PLAIN[0]}, adapter="befa")
    code, _, errors = run_cli("table", 2, store.path, *arguments)
    assert (code, errors) == (1, f"becam: {sentence}\n")


def test_table_4_has_no_metrics(store, run_cli):
    code, _, errors = run_cli("table", 4, store.path, "--metric", "recall@20")
    assert code == 1
    assert "leave out --metric and --significance" in errors


def test_no_store(run_cli, tmp_path):
    code, _, errors = run_cli("table", 2, tmp_path)
    assert code == 1
    assert "is not a store" in errors
    assert len(errors.splitlines()) == 1
