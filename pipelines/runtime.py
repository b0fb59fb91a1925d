"""Where weights live and how work is reported. Outside a host this class is enough; a host brings a subclass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Runtime:
    """A plain device policy: one device, whole parts, moved in when a stage needs them.

    device: where stages compute. Roles are "denoiser", "text" and "vae". scratch: the folder for long clips, see `spill`.
    """

    scratch: Path | None = None

    def __init__(self, device: str | torch.device | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def dtype_for(self, role: str, wanted: str = "auto") -> torch.dtype:
        """The dtype for a role: what the user asked for, else the device's best (fp32 on a CPU, bf16 on a GPU)."""
        if wanted != "auto":
            return DTYPES[wanted]
        return torch.float32 if self.device.type == "cpu" else torch.bfloat16

    @contextmanager
    def placed(self, parts: Sequence[nn.Module], activation_bytes: int = 0) -> Iterator[None]:
        """Have the weights of `parts` on the device while open; `activation_bytes` is what the work needs beside them."""
        with torch.inference_mode(False):  # weights moved inside of it have no slope
            for part in parts:
                part.to(self.device)
        yield

    def release(self, parts: Sequence[nn.Module]) -> None:
        """Give up the device memory of `parts`; the caller drops its own references."""
        if self.device.type != "cpu":
            for part in parts:
                part.to("cpu")

    def check_interrupt(self) -> None:
        """Raise the host's interrupt if the user asked to stop. Called at least once a step."""

    def free_bytes(self) -> int:
        """Free memory of the device, in bytes; a guess is good enough, it only steers `offload="auto"`."""
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[0]
        import psutil

        return psutil.virtual_memory().available
