"""Pixels of a dataset's items: from a file, from inside a zip, or a frame of a video; always upright 8-bit RGB."""

from __future__ import annotations

import io
import os
from typing import IO, TYPE_CHECKING, Any

from ..errors import AigcError
from ..payloads import Item
from . import handles, video

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

LARGEST = 1 << 29  # bytes of one picture file: a zip may claim anything
CROPS = ("centre", "random", "pad")
ORIENTATION = 0x0112  # the EXIF tag
PLAIN = {"JPEG": ("RGB", "L"), "PNG": ("RGB", "RGBA", "L", "LA", "I;16"), "BMP": ("RGB",), "WEBP": ("RGB", "RGBA"),
         "TIFF": ("RGB", "RGBA", "L", "I;16")}  # fmt: skip
"""What OpenCV decodes as PIL does, only faster; palettes, CMYK, animations and the rest are PIL's."""


class Unreadable(AigcError):
    """A picture that cannot be decoded. reason: why, alone, for a report."""

    def __init__(self, item: Item, reason: str) -> None:
        super().__init__(
            f"Expected a picture that can be read at {item.name}, got: {reason}. Put the file back, or leave it out with Clean "
            "Images."
        )
        self.reason = reason


def pixels(item: Item) -> np.ndarray:
    """uint8 [H, W, 3], upright RGB; alpha lies on white, 16 bits are rounded to 8, of an animation the first.

    Raises Unreadable with the reason.
    """
    return explained(item, lambda: _pixels(item))


def size(item: Item) -> tuple[int, int]:
    """(width, height), upright, from the header alone. Raises Unreadable."""
    return explained(item, lambda: _size(item))


def explained(item: Item, read: Callable[[], Any]) -> Any:
    """What `read` returns. Raises Unreadable for whatever it raises.

    A broken file makes PIL, OpenCV and zipfile raise nearly anything, TypeError and struct.error among it; `read` calls nothing
    of ours that could be interrupted.
    """
    try:
        return read()
    except Exception as error:
        raise Unreadable(item, _said(error)) from error


def _said(error: Exception) -> str:
    """What went wrong in one line, without the path that PIL and the system put into it."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is no picture of a known kind"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [repr(error)])[0][:160]


def _pixels(item: Item) -> np.ndarray:
    if item.frame >= 0:
        return video.opened(item.path).frame(item.frame)
    data = data_of(item)
    return decoded(data)


def data_of(item: Item) -> bytes:
    """The bytes of a picture file. Raises OSError, or ValueError when it is too large to be one."""
    if not item.member:
        _check_length(os.path.getsize(item.path))
        return item.path.read_bytes()
    archive = handles.archive(item.path)
    _check_length(archive.getinfo(item.member).file_size)
    return archive.read(item.member)


def _check_length(length: int) -> None:
    if length > LARGEST:
        raise ValueError(f"{length >> 20} MB are too many for one picture, {LARGEST >> 20} at most")


def stream(item: Item) -> IO[bytes]:
    """A picture file, open for reading; of a zip's member only as much is unpacked as is read."""
    return handles.archive(item.path).open(item.member) if item.member else open(item.path, "rb")


def _size(item: Item) -> tuple[int, int]:
    from PIL import Image

    if item.frame >= 0:
        height, width = video.opened(item.path).frame(item.frame).shape[:2]
        return width, height
    with stream(item) as file, Image.open(file) as header:
        width, height = header.size
        return (height, width) if _turn(header) >= 5 else (width, height)


def _turn(header: Any) -> int:
    """The EXIF orientation, 1 to 8. A PNG's is looked up in what comes before its pixels: PIL would decode them all."""
    from PIL import Image

    if header.format != "PNG":
        return int(header.getexif().get(ORIENTATION) or 1)
    raw = header.info.get("exif")
    exif = Image.Exif()
    if raw:
        exif.load(raw)
    return int(exif.get(ORIENTATION) or 1)


def decoded(data: bytes) -> np.ndarray:
    """A picture file's bytes as upright RGB uint8 [H, W, 3]."""
    import cv2
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(data)) as header:
        turn = _turn(header)
        kind = str(header.format)
        plain = header.mode in PLAIN.get(kind, ()) and "transparency" not in header.info and _ends(data, kind)
        plain = plain and getattr(header, "n_frames", 1) == 1
        raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if plain else None
        rgb = _by_pil(header) if raw is None else _rgb(raw)
    return np.ascontiguousarray(_upright(rgb, turn))


def _ends(data: bytes, kind: str) -> bool:
    """Whether the file's last part is there: OpenCV paints what is missing grey, where PIL refuses."""
    if kind == "JPEG":
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    return kind != "PNG" or b"IEND" in data[-64:]


def _by_pil(header: Any) -> np.ndarray:
    import numpy as np

    header.seek(0)
    if header.mode in ("I", "I;16", "I;16B", "F"):
        return _rgb(np.array(header))
    if header.mode in ("P", "LA", "PA", "RGBa", "La") or "transparency" in header.info:
        header = header.convert("RGBA")
    array = np.array(header if header.mode == "RGBA" else header.convert("RGB"))
    return _on_white(array) if array.shape[2] == 4 else array


def _rgb(raw: np.ndarray) -> np.ndarray:
    """OpenCV's picture [H, W] or [H, W, 1, 3 or 4] of any depth, blue first, as RGB uint8."""
    import cv2

    raw = raw if raw.ndim == 3 else raw[:, :, None]
    deep = _eight_bits(raw)
    if deep.shape[2] == 1:
        return deep.repeat(3, 2)
    if deep.shape[2] == 2:
        return _on_white(deep[:, :, [0, 0, 0, 1]])
    if deep.shape[2] == 4:
        return _on_white(cv2.cvtColor(deep, cv2.COLOR_BGRA2RGBA))
    return cv2.cvtColor(deep, cv2.COLOR_BGR2RGB)


def _eight_bits(raw: np.ndarray) -> np.ndarray:
    """16 bits to the nearest of 256; floats from 0..1."""
    import numpy as np

    if raw.dtype == np.uint8:
        return raw
    if raw.dtype.kind == "f":
        return (np.nan_to_num(raw).clip(0, 1) * 255).round().astype(np.uint8)
    return ((raw.astype(np.int64).clip(0, 65535) + 128) // 257).astype(np.uint8)


def _on_white(rgba: np.ndarray) -> np.ndarray:
    """Straight alpha over white, rounded."""
    import numpy as np

    alpha = rgba[:, :, 3:].astype(np.uint16)
    over = rgba[:, :, :3].astype(np.uint16) * alpha + 255 * (255 - alpha)
    return ((over + 127) // 255).astype(np.uint8)


def _upright(rgb: np.ndarray, turn: int) -> np.ndarray:
    """Undo an EXIF orientation: 5 to 8 lie on their side, 2, 4, 5 and 7 are mirrored."""
    import numpy as np

    if turn in (2, 5, 7, 4):
        rgb = rgb[:, ::-1]
    return np.rot90(rgb, {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(turn, 0))


def fitted(
    item: Item, width: int, height: int, crop: str = "centre", at: tuple[float, float] = (0.5, 0.5)
) -> np.ndarray:
    """uint8 [height, width, 3]: scaled until it covers that and cut, or with crop "pad" until it fits, white around.

    at: where a "random" crop lies, (x, y) in 0..1 from the left and top end; the caller draws it. Raises Unreadable.
    """
    return cut(pixels(item), width, height, crop, at)


def cut(rgb: np.ndarray, width: int, height: int, crop: str, at: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
    """The same for a picture that is read already."""
    import numpy as np

    if crop not in CROPS:
        raise ValueError(f"Expected crop to be one of {', '.join(CROPS)}, got {crop!r}.")
    tall, wide = rgb.shape[:2]
    scale = (min if crop == "pad" else max)(width / wide, height / tall)
    rgb = scaled(rgb, *(_side(length, scale, to, crop) for length, to in ((wide, width), (tall, height))))
    x, y = at if crop == "random" else (0.5, 0.5)
    if crop == "pad":
        canvas = np.full((height, width, 3), 255, np.uint8)
        left, top = (width - rgb.shape[1]) // 2, (height - rgb.shape[0]) // 2
        canvas[top : top + rgb.shape[0], left : left + rgb.shape[1]] = rgb
        return canvas
    left, top = round((rgb.shape[1] - width) * x), round((rgb.shape[0] - height) * y)
    return np.ascontiguousarray(rgb[top : top + height, left : left + width])


def _side(length: int, scale: float, wanted: int, crop: str) -> int:
    side = round(length * scale)
    return max(1, min(side, wanted)) if crop == "pad" else max(side, wanted)


def scaled(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 [height, width, 3]: by area when a side shrinks, else cubic."""
    import cv2

    if rgb.shape[:2] == (height, width):
        return rgb
    smaller = width < rgb.shape[1] or height < rgb.shape[0]
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
