"""Files: read only when they are what they should be, written whole or not at all."""

from becam.files.arrays import map_array, read_arrays
from becam.files.disk import DiskFullError, disk_errors
from becam.files.folders import Contents, atomic_dir, check_replaceable, recover_dir
from becam.files.hashing import content_sha256, sha256
from becam.files.locks import filling, locked
from becam.files.outputs import check_output_file, check_output_folder
from becam.files.reading import check_file, open_file, read_bytes, read_text
from becam.files.temporaries import is_temporary, sweep
from becam.files.tensors import all_finite, read_torch
from becam.files.writing import (
    atomic_file,
    save_arrays,
    save_picture,
    save_torch,
    write_json,
    write_text,
)

__all__ = [
    "Contents",
    "DiskFullError",
    "all_finite",
    "atomic_dir",
    "atomic_file",
    "check_file",
    "check_output_file",
    "check_output_folder",
    "check_replaceable",
    "content_sha256",
    "disk_errors",
    "filling",
    "is_temporary",
    "locked",
    "map_array",
    "open_file",
    "read_arrays",
    "read_bytes",
    "read_text",
    "read_torch",
    "recover_dir",
    "save_arrays",
    "save_picture",
    "save_torch",
    "sha256",
    "sweep",
    "write_json",
    "write_text",
]
