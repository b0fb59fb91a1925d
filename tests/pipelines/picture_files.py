"""Pictures on disk for the tests of data: drawn from seeds, so that each is one of a kind."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np

from pipelines.payloads import Dataset, Item


def scene(seed: int, width: int = 96, height: int = 64) -> np.ndarray:
    """uint8 [height, width, 3]: smooth coloured blotches with edges; two seeds look unlike each other."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    rgb = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    x, y = int(rng.integers(0, width // 2)), int(rng.integers(0, height // 2))
    cv2.rectangle(rgb, (x, y), (x + width // 3, y + height // 3), tuple(int(v) for v in rng.integers(0, 256, 3)), -1)
    return rgb


def write(path: Path, rgb: np.ndarray, *options: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), list(options))
    return path


def folder(path: Path, count: int, width: int = 96, height: int = 64) -> Path:
    for seed in range(count):
        write(path / f"{seed:03}.png", scene(seed, width, height))
    return path


def dataset(path: Path, count: int, width: int = 96, height: int = 64) -> Dataset:
    """`count` pictures below `path`, with captions "picture 0" and so on, their number as label."""
    files = sorted(folder(path, count, width, height).glob("*.png"))
    items = (Item(file, width, height, caption=f"picture {i}", label=i) for i, file in enumerate(files))
    return Dataset(tuple(items), (), tuple(f"class {i}" for i in range(count)))


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def film(path: Path, count: int, width: int = 64, height: int = 48, codec: str = "mpeg4", **options: int) -> Path:
    """A video whose frame n has the grey 4 n + 10, and its number in squares, dark or light, in the upper half."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 1_000_000
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        for number in range(count):
            rgb = np.full((height, width, 3), 4 * number + 10, np.uint8)
            for bit in range(6):
                rgb[: height // 2, bit * 8 : bit * 8 + 8] = 255 * (number >> bit & 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    return path
