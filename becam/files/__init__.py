"""Files: read only when they are what they should be, written whole or not at all."""

from becam.files.hashing import sha256
from becam.files.locks import locked
from becam.files.outputs import check_output_file, check_output_folder
from becam.files.reading import check_file, open_file, read_bytes, read_text
from becam.files.writing import (
    Contents,
    atomic_dir,
    atomic_file,
    disk_errors,
    recover_dir,
    save_torch,
    sweep,
    write_json,
)

__all__ = [
    "Contents",
    "atomic_dir",
    "atomic_file",
    "check_file",
    "check_output_file",
    "check_output_folder",
    "disk_errors",
    "locked",
    "open_file",
    "read_bytes",
    "read_text",
    "recover_dir",
    "save_torch",
    "sha256",
    "sweep",
    "write_json",
]
