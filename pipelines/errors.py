"""What we raise when an input is wrong: expected, came, remedy, in one sentence each."""


class AigcError(ValueError):
    """A problem that the user can mend; its text goes to the canvas as it is."""


# How packages are installed whose modules have another name.
INSTALLED_AS = {"cv2": "opencv-python-headless", "PIL": "Pillow"}


def absent(module: str) -> AigcError:
    """The error for a package that cannot be imported, by its module's name."""
    package = INSTALLED_AS.get(module, module)
    return AigcError(
        f"Expected the package {package}, which is not installed: run `pip install {package}` in ComfyUI's Python and restart "
        "ComfyUI."
    )
