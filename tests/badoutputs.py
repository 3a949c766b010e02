"""Paths that nothing can be written at."""

from __future__ import annotations

import os
import socket


def make_bad(folder, kind):
    """A path of a kind that nothing can be written at."""
    if kind == "parent is a file":
        (folder / "file").write_text("x")
        return folder / "file" / "x"
    if kind == "grandparent is a file":
        (folder / "file").write_text("x")
        return folder / "file" / "y" / "x"
    if kind == "dangling link":
        (folder / "link").symlink_to(folder / "nowhere")
        return folder / "link"
    if kind == "dangling parent":
        (folder / "link").symlink_to(folder / "nowhere")
        return folder / "link" / "x"
    if kind == "link to itself":
        (folder / "link").symlink_to(folder / "link")
        return folder / "link"
    if kind == "parent links to itself":
        (folder / "one").symlink_to(folder / "two")
        (folder / "two").symlink_to(folder / "one")
        return folder / "one" / "x"
    if kind == "long name":
        return folder / ("x" * 300)
    if kind == "long parent":
        return folder / ("x" * 300) / "x"
    if kind == "long path":
        return folder.joinpath(*["x" * 200] * 25)
    if kind == "nearly too long a path":  # itself it would do, but nothing beside or in it
        room = os.pathconf(folder, "PC_PATH_MAX") - len(os.fsencode(folder)) - 40
        return folder.joinpath(*["x" * 99] * (room // 100), "x" * (room % 100 + 1))
    if kind == "below a device":
        return "/dev/null/x"
    if kind == "device":
        return "/dev/null"
    if kind == "pipe":
        os.mkfifo(folder / "pipe")
        return folder / "pipe"
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(folder / "s"))
        return folder / "s"
    if kind == "zero byte":
        return f"{folder}/a\0b"
    if kind == "no letter":
        return f"{folder}/\ud800"
    if kind == "no files there":
        return "/proc/becam-output"
    assert kind == "whole disk"
    return "/"
