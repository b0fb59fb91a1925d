"""Pixels of a dataset's items: every kind of file comes out upright, in 8 bits, as PIL or the maths has it."""

from __future__ import annotations

import io
import threading

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from pipelines.data import handles, reading, video
from pipelines.payloads import Item

from .picture_files import film, scene, write, zipped


def item(path, **values) -> Item:
    return Item(path, 0, 0, **values)


def saved(path, picture: Image.Image, **options) -> Item:
    picture.save(path, **options)
    return item(path)


@pytest.mark.parametrize("ending", ("png", "bmp", "tif", "webp"))
def test_a_lossless_file_gives_its_pixels(tmp_path, ending):
    rgb = scene(0)
    options = {"lossless": True} if ending == "webp" else {}
    assert np.array_equal(reading.pixels(saved(tmp_path / f"a.{ending}", Image.fromarray(rgb), **options)), rgb)


def test_a_jpeg_is_what_pil_makes_of_it(tmp_path):
    one = saved(tmp_path / "a.jpg", Image.fromarray(scene(1)), quality=95)
    theirs = np.asarray(Image.open(one.path).convert("RGB")).astype(int)
    assert np.abs(reading.pixels(one).astype(int) - theirs).mean() < 1


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("ending", ("jpg", "png"))
def test_pictures_stand_upright_and_so_do_their_sizes(tmp_path, turn, ending):
    exif = Image.Exif()
    exif[0x0112] = turn
    one = saved(tmp_path / f"a.{ending}", Image.fromarray(scene(2)), exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(one.path)).convert("RGB"))
    found = reading.pixels(one)
    assert found.shape == upright.shape and np.abs(found.astype(int) - upright).mean() < 2
    assert reading.size(one) == upright.shape[1::-1]


def test_alpha_lies_on_white_in_each_way_that_a_file_can_have_it(tmp_path):
    rgba = np.dstack([scene(3), np.tile(np.linspace(0, 255, 96).round().astype(np.uint8), (64, 1))])
    wanted = np.asarray(Image.alpha_composite(Image.new("RGBA", (96, 64), "white"), Image.fromarray(rgba)))[..., :3]
    found = reading.pixels(saved(tmp_path / "a.png", Image.fromarray(rgba)))
    assert np.abs(found.astype(int) - wanted).max() <= 1
    grey = reading.pixels(saved(tmp_path / "b.png", Image.fromarray(rgba).convert("LA")))
    assert (grey[:, 0] == 255).all() and (grey[..., 0] == grey[..., 2]).all()
    palette = Image.fromarray(np.zeros((4, 4), np.uint8), "P")
    palette.putpalette([10, 20, 30])
    assert (reading.pixels(saved(tmp_path / "c.png", palette, transparency=0)) == 255).all()


def test_sixteen_bits_are_rounded_and_grey_is_on_all_three(tmp_path):
    deep = np.arange(64 * 96, dtype=np.uint16).reshape(64, 96) * 10
    wanted = (deep / 257).round().astype(np.uint8)
    for name in ("a.png", "a.tif"):
        found = reading.pixels(saved(tmp_path / name, Image.fromarray(deep)))
        assert np.array_equal(found, np.repeat(wanted[..., None], 3, 2))


def test_cmyk_palettes_and_the_first_of_an_animation_are_read(tmp_path):
    rgb = Image.fromarray(scene(4))
    cmyk = saved(tmp_path / "a.jpg", rgb.convert("CMYK"), quality=95)
    assert np.abs(reading.pixels(cmyk).astype(int) - np.asarray(Image.open(cmyk.path).convert("RGB"))).max() == 0
    flat = rgb.quantize(16)
    assert np.array_equal(reading.pixels(saved(tmp_path / "a.png", flat)), np.asarray(flat.convert("RGB")))
    for ending in ("gif", "webp"):
        rest = [Image.new("RGB", (96, 64), "red")]
        moving = saved(tmp_path / f"b.{ending}", flat.convert("RGB"), save_all=True, append_images=rest)
        assert np.abs(reading.pixels(moving).astype(int) - np.asarray(flat.convert("RGB"))).mean() < 8


@pytest.mark.parametrize("ending", ("jpg", "png", "webp", "gif", "tif"))
def test_half_a_file_and_no_picture_are_refused_with_the_name_and_the_remedy(tmp_path, ending):
    whole = saved(tmp_path / f"a.{ending}", Image.fromarray(scene(5, 256, 256))).path.read_bytes()
    (tmp_path / f"half.{ending}").write_bytes(whole[: len(whole) // 2])
    (tmp_path / f"text.{ending}").write_text("no picture at all")
    (tmp_path / f"empty.{ending}").write_bytes(b"")
    for name in ("half", "text", "empty", "gone"):
        with pytest.raises(reading.Unreadable, match=rf"at {name}.{ending}, got: .+Clean Images"):
            reading.pixels(item(tmp_path / f"{name}.{ending}"))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("ending", ("jpg", "png", "webp", "gif", "tif", "bmp"))
def test_damaged_files_are_read_or_refused_and_nothing_else(tmp_path, ending):
    whole = saved(tmp_path / f"a.{ending}", Image.fromarray(scene(5))).path.read_bytes()
    rng, one = np.random.default_rng(0), item(tmp_path / f"b.{ending}")
    refused = 0
    for number in range(40):
        data = np.frombuffer(whole, np.uint8).copy()
        # Headers are where damage does most.
        reach = len(data) if number % 2 else min(200, len(data))
        data[rng.integers(0, reach, 8)] = rng.integers(0, 256, 8)
        one.path.write_bytes(data[: rng.integers(1, len(data))].tobytes() if number % 5 == 0 else data.tobytes())
        for read in (reading.size, reading.pixels):
            try:
                read(one)
            except reading.Unreadable:
                refused += 1
    assert refused > 3


def test_a_picture_inside_a_zip_is_read_in_place_and_a_changed_zip_anew(tmp_path):
    def png(seed: int) -> bytes:
        held = io.BytesIO()
        Image.fromarray(scene(seed)).save(held, "PNG")
        return held.getvalue()

    path = zipped(tmp_path / "a.zip", {"../../out.png": png(6), "b/c.png": png(7)})
    assert np.array_equal(reading.pixels(item(path, member="../../out.png")), scene(6))
    assert reading.size(item(path, member="b/c.png")) == (96, 64)
    zipped(path, {"b/c.png": png(8) + b" "})
    assert np.array_equal(reading.pixels(item(path, member="b/c.png")), scene(8))
    assert {file.name for file in tmp_path.iterdir()} == {"a.zip"}, "nothing is unpacked"
    with pytest.raises(reading.Unreadable, match=r"a\.zip/gone\.png"):
        reading.pixels(item(path, member="gone.png"))


def test_open_files_are_few_and_each_threads_own(tmp_path):
    paths = [zipped(tmp_path / f"{i}.zip", {"a.txt": b"a"}) for i in range(handles.KEPT + 3)]
    opened = [handles.archive(path) for path in paths]
    assert [archive.fp is None for archive in opened] == [True] * 3 + [False] * handles.KEPT
    found = []
    other = threading.Thread(target=lambda: (found.append(handles.archive(paths[-1])), handles.close()))
    other.start()
    other.join()
    assert found[0] is not opened[-1] and handles.archive(paths[-1]) is opened[-1]
    handles.close()
    assert opened[-1].fp is None


@pytest.mark.parametrize(
    ("codec", "options"),
    (
        ("mpeg4", {"gop_size": 10}),
        ("mpeg4", {"gop_size": 12, "max_b_frames": 2}),
        ("libx264", {"gop_size": 25}),
        ("mjpeg", {"pix_fmt": "yuvj420p"}),
    ),
)
def test_every_frame_of_a_video_is_found_by_its_number_in_any_order(tmp_path, codec, options):
    path = film(tmp_path / "a.mp4", 60, codec=codec, **options)
    with av.open(str(path)) as container:
        every = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(video.opened(path)) == len(every) == 60 and len({frame.tobytes() for frame in every}) == 60
    for number in (0, 59, 3, 4, 37, 36, 12, 58, 0, *range(59, -1, -1)):
        assert np.array_equal(reading.pixels(item(path, frame=number)), every[number]), number
    with pytest.raises(reading.Unreadable, match=r"a\.mp4/frame 60"):
        reading.pixels(item(path, frame=60))
    handles.close()


def test_fitted_covers_and_cuts_or_fits_and_pads(tmp_path):
    rgb = np.zeros((40, 100, 3), np.uint8)
    rgb[:, :50] = 200
    one = item(write(tmp_path / "a.png", rgb))
    assert np.array_equal(reading.fitted(one, 100, 40), rgb)
    centre = reading.fitted(one, 20, 20)
    assert centre.shape == (20, 20, 3) and (centre[:, :9] > 190).all() and (centre[:, 11:] < 10).all()
    padded = reading.fitted(one, 50, 50, "pad")
    assert (padded[:14] == 255).all() and (padded[36:] == 255).all() and (padded[16:34, :24] > 190).all()
    ends = [reading.fitted(one, 20, 20, "random", (x, 0.0)).mean() for x in (0.0, 1.0)]
    assert ends == [200, 0]
    assert reading.fitted(one, 400, 160).shape == (160, 400, 3)
    with pytest.raises(ValueError, match="centre, random, pad"):
        reading.fitted(one, 20, 20, "middle")
