"""Commands in processes that begin at once: forked from one that has imported everything.

As a script it reads jobs from standard input, a line of JSON each, and answers with a line each:
``{"start": ["train", ...], "said": PATH}`` with the process's id, ``{"wait": ID}`` with its status.
It only imports, so that no thread of a library is lost in a fork.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

MODULES = (
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "optuna",
    "sqlalchemy.dialects.sqlite",
    "tensorboardX.event_file_writer",
    "becam.cli.app",
    "becam.data.preparation",
    "becam.demo.run",
    "becam.encoders.extraction",
    "becam.evaluation.auditor",
    "becam.evaluation.deviation",
    "becam.evaluation.request",
    "becam.experiments.config",
    "becam.experiments.runner",
    "becam.experiments.search",
    "becam.experiments.sweep",
    "becam.figures.deviation",
    "becam.figures.explanation",
    "becam.figures.paper",
    "becam.figures.sweep",
    "becam.figures.words",
    "becam.gallery.build",
    "becam.interop.attach",
    "becam.interop.release",
    "becam.training",
)
LONGEST_SECONDS = 120.0


class Process:
    """A command that runs, or has run."""

    def __init__(self, zygote: Zygote, arguments, said: Path) -> None:
        self._zygote, self._said = zygote, said
        words = [str(argument) for argument in arguments]
        self.pid = zygote.ask({"start": words, "said": str(said)})
        self._status = None

    def kill(self) -> None:
        """End it as suddenly as can be."""
        os.kill(self.pid, signal.SIGKILL)

    def running(self) -> bool:
        """Whether it has not ended."""
        state = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z"

    def wait(self) -> int:
        """Its exit status; negative where a signal ended it."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while self._status is None and self.running():
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"it hangs: {self.said}")
            time.sleep(0.005)
        if self._status is None:
            self._status = self._zygote.ask({"wait": self.pid})
        return self._status

    @property
    def said(self) -> str:
        """What it has written to the terminal."""
        return self._said.read_text(errors="replace")

    def sentence(self) -> str:
        """The one line of a command that failed as commands should."""
        assert self.wait() == 1, (self.wait(), self.said)
        assert "Traceback" not in self.said, self.said
        (line,) = [line for line in self.said.splitlines() if line.startswith("becam: ")]
        return line


class Zygote:
    """The process that forks the others; a context manager.

    Args:
        folder: for what the commands say.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __enter__(self) -> Zygote:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(self, *arguments: object) -> Process:
        """Begin a command of becam."""
        self._count += 1
        return Process(self, arguments, self._folder / f"{self._count}.txt")

    def ask(self, job) -> int:
        """The answer to a job."""
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _serve() -> None:
    import importlib

    import torch

    torch.set_num_threads(1)
    for name in MODULES:
        importlib.import_module(name)
    demo = importlib.import_module("becam.demo.run")
    demo.N_ITEMS, demo.N_USERS, demo.N_EXPLAINED, demo._EPOCHS = 64, 80, 2, 2
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            _, status = os.waitpid(job["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
        elif pid := os.fork():
            print(pid, flush=True)
        else:
            _run(job["start"], job["said"])


def _run(arguments: list[str], said: str) -> None:
    from becam.cli import main

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    written = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(written, 1)
    os.dup2(written, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["becam", *arguments]
    status = 99
    try:
        main()
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
