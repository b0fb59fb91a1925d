"""Write the averaged layers of a training as the file that ships.

python -m training.motion.export --run build/motion --out models/motion/pictogram.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from pipelines import motion
from pipelines.motion.network import Motion, Shape
from training.pictogram.vae import SCALING

from .train import KINDS


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("build/motion"))
    parser.add_argument("--out", type=Path, default=Path("models/motion/pictogram.safetensors"))
    args = parser.parse_args()
    layers = Motion(Shape(KINDS))
    layers.load_state_dict(torch.load(args.run / "redraw.pt", weights_only=True)["average"])
    motion.save(args.out, layers, scale=SCALING, licence="Apache-2.0")
    print(args.out, args.out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
