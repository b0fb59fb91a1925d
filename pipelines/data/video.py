"""Frames of video files by their number, in the order in which they are shown."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import handles

if TYPE_CHECKING:
    import numpy as np

ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".wmv")
AHEAD = 32  # frames that are decoded on to a later one before a seek is tried


class Frames:
    """An open video. Frame n is the n-th by presentation time; the times are read from the packets, without decoding."""

    def __init__(self, path: Path) -> None:
        import av
        from av.error import FFmpegError

        try:
            self.container = av.open(str(path))
            if not self.container.streams.video:
                self.container.close()
                raise ValueError("it has no video track")
            self.stream = self.container.streams.video[0]
            self.stream.thread_type = "AUTO"
            packets: list[Any] = [
                (p.pts, p.dts, p.is_keyframe) for p in self.container.demux(self.stream) if p.size and not p.is_discard
            ]
        except FFmpegError as error:
            raise ValueError(error.strerror) from error
        # Streams without times (raw ones) are counted from their start.
        self.timed = all(pts is not None and dts is not None for pts, dts, _ in packets)
        self.times = sorted(pts for pts, _, _ in packets) if self.timed else list(range(len(packets)))
        self.keys = sorted((pts, dts) for pts, dts, key in packets if key) if self.timed else []
        self._frames: Any = None
        self._next = len(packets)  # the number of the frame that decoding would give next

    def __len__(self) -> int:
        return len(self.times)

    def frame(self, number: int) -> np.ndarray:
        """uint8 [H, W, 3], turned as the file says. Raises ValueError when it cannot be decoded."""
        import numpy as np
        from av.error import FFmpegError

        if not 0 <= number < len(self):
            raise ValueError(f"it has {len(self)} frames, and no frame {number}")
        try:
            near = self._frames is not None and self._next <= number < self._next + AHEAD
            frames: Any = self._frames if near else self._sought(number)
            for frame in frames:
                self._next = bisect_left(self.times, frame.pts) + 1 if self.timed else self._next + 1
                if self._next == number + 1:
                    quarter = round(frame.rotation / 90) % 4
                    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), quarter))
                if self._next > number:
                    break
        except FFmpegError as error:
            self._frames = None
            raise ValueError(f"frame {number}: {error.strerror}") from error
        self._frames = None
        raise ValueError(f"frame {number} is not in what can be decoded")

    def _sought(self, number: int) -> Any:
        """The frames from the last key frame that is shown at or before this one; without times, from the first.

        Files are sought by decoding time, which is earlier: a key frame that is shown later may be stored before this frame.
        """
        place = bisect_right(self.keys, (self.times[number], float("inf"))) - 1
        start = self.keys[place][1] if place >= 0 else min(self.times[0], 0)
        self.container.seek(start, stream=self.stream, backward=True)
        self._frames, self._next = self.container.decode(self.stream), 0
        return self._frames

    def close(self) -> None:
        self._frames = None
        self.container.close()


def opened(path: Path) -> Frames:
    """The video, open in this thread. Raises OSError, or ValueError with the reason."""
    return handles.held(path, Frames)
