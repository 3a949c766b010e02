"""Ctrl-C in any command: one sentence and the status that shells know."""

from becam.cli import app as module


def test_ctrl_c_is_said(run_cli, monkeypatch, tmp_path):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("becam.data.dataset.Dataset.open", interrupt)
    status, _, errors = run_cli("train", tmp_path, "-o", tmp_path / "run")
    assert status == module._INTERRUPTED == 130
    assert errors.strip().endswith("becam: Stopped; what was complete is kept.")
