"""Safetensors files: checked before they are mapped.

A damaged file that is mapped can kill the process or load silently wrong, so every file is checked first: the length of
its header, the header itself, and that the tensors fill the rest of the file exactly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import AigcError
from ..sources.layout import PICKLE_SUFFIXES, WeightSet, choose_weights, weight_files

# Real headers stay below 3 MB (20,000 tensors); beyond this parsing alone would cost the host a few hundred MB.
MAX_HEADER = 8 * 2**20

DTYPE_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "C64": 8,
    "F32": 4, "I32": 4, "U32": 4,
    "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip


@dataclass(frozen=True)
class TensorInfo:
    """One entry of a file's header: dtype as written ("F32", "BF16", ...), shape, and bytes where they are packed."""

    dtype: str
    shape: tuple[int, ...]
    packed: int = 0

    @property
    def numel(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def stored(self) -> int:
        """Bytes in the file."""
        return self.packed or self.numel * DTYPE_BYTES.get(self.dtype, 4)

    @property
    def floating(self) -> bool:
        return self.dtype.startswith(("F", "BF"))


def refuse_pickle(path: Path) -> None:
    """Raise for a file that is a pickle by its name or by its first bytes."""
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(4)
    by_content = head[:2] == b"PK" or (head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"))
    # A safetensors header of exactly 0x..80 bytes starts with 0x80 too; its length's upper bytes are then zero.
    if path.suffix == ".safetensors" and head[:1] == b"\x80" and _opens_header(path):
        by_content = False
    if by_content or path.suffix.lower() in PICKLE_SUFFIXES:
        what = "is a zip or pickle inside" if path.suffix == ".safetensors" else "is a pickle file"
        raise AigcError(
            f"Expected safetensors, got {path.name}, which {what}: a pickle can run code when it is read. "
            f"Get the model's .safetensors version, or convert the file to safetensors on a machine apart."
        )


def _opens_header(path: Path) -> bool:
    """Whether byte 8 is the brace that opens a safetensors header."""
    with path.open("rb") as file:
        return file.read(9)[8:9] == b"{"


def _damaged(path: Path, came: str) -> AigcError:
    return AigcError(f"Expected a whole safetensors file, but {path} {came}. Download it again.")


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Check a safetensors file without mapping it and return its tensors by name.

    Raises AigcError naming the file when it is missing, empty, cut short, damaged or a pickle.
    """
    if not path.is_file():
        raise AigcError(f"Expected the file {path}, but it is not there. Download the model again, or mend its path.")
    size = path.stat().st_size
    if size == 0:
        raise _damaged(path, "is empty (0 bytes)")
    refuse_pickle(path)
    if size <= 8:
        raise _damaged(path, f"is only {size} bytes long")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER:
            raise _damaged(path, f"claims a header of {length} bytes (at most {MAX_HEADER} is plausible)")
        if length > size - 8:
            raise _damaged(path, f"is {size} bytes long and claims a header of {length} bytes")
        text = file.read(length)
    try:
        header = json.loads(text)
        if not isinstance(header, dict):
            raise TypeError(f"a {type(header).__name__} instead of an object")
        header.pop("__metadata__", None)
        tensors, end = _entries(header)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, f"has a damaged header ({type(error).__name__}: {error})"[:300]) from None
    if end != size - 8 - length:
        raise _damaged(path, f"is {size} bytes long where its header promises {end + 8 + length} bytes")
    return tensors


def read_notes(path: Path) -> dict[str, str]:
    """What a safetensors file's author noted in its header; {} for a file without notes or of another kind."""
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            notes = json.loads(file.read(min(length, MAX_HEADER))).get("__metadata__", {})
        except (ValueError, AttributeError, RecursionError):
            return {}
    return {str(key): str(value) for key, value in notes.items()} if isinstance(notes, dict) else {}


def _entries(header: dict[str, Any]) -> tuple[dict[str, TensorInfo], int]:
    """Tensors by name and the number of data bytes; raises when spans do not follow each other or do not fit."""
    tensors: dict[str, TensorInfo] = {}
    spans = []
    for name, entry in header.items():
        info = TensorInfo(entry["dtype"], tuple(entry["shape"]))
        begin, stop = entry["data_offsets"]
        if any(not isinstance(number, int) or number < 0 for number in (*info.shape, begin, stop)):
            raise ValueError(f"tensor {name!r} has sizes that are no whole numbers")
        width = DTYPE_BYTES.get(info.dtype)
        if width is not None and stop - begin != info.numel * width:
            raise ValueError(f"tensor {name!r} of shape {list(info.shape)} and {stop - begin} bytes")
        spans.append((begin, stop))
        tensors[name] = info
    end = 0
    for begin, stop in sorted(spans):
        if begin != end:
            raise ValueError(f"tensors that overlap or leave a gap at byte {end}")
        end = stop
    return tensors, end


def part_weights(folder: Path) -> tuple[WeightSet, list[Path]]:
    """The weights of one part's folder: which, and the files that its index asks for (not yet checked)."""
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    chosen = choose_weights(names)
    if chosen is None:
        pickles = [name for name in names if Path(name).suffix in PICKLE_SUFFIXES]
        if pickles:
            refuse_pickle(folder / pickles[0])
        raise AigcError(
            f"Expected .safetensors weights in {folder}, found {', '.join(names[:8]) or 'no files'}. "
            f"Download the model again; a download that was cut off looks like this."
        )
    return chosen, weight_files(folder, chosen)
