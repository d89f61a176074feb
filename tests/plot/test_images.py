import builtins

import numpy as np
import pytest
from shared_helpers import read_picture

from ndmapper.data import NDLater
from ndmapper.errors import MissingPackageError, ShapeError
from ndmapper.plot import before_after, save_images
from ndmapper.plot.images import zscale

pytest.importorskip("matplotlib", reason="the extra plot is not installed")


def test_zscale_of_noise_brackets_the_background():
    low, high = zscale(np.random.default_rng(1).normal(100, 5, (200, 200)))
    assert low < 95
    assert high > 105


@pytest.mark.parametrize("value", [3.0, np.nan])
def test_zscale_of_a_constant_image_has_two_levels(value):
    low, high = zscale(np.full((5, 5), value))
    assert low < high


def test_before_after_draws_both(tmp_path):
    bright = np.zeros((50, 100))
    bright[:, 50:] = 1
    path = before_after(bright, 1 - bright, tmp_path / "picture.png")
    picture = read_picture(path)[..., 0]
    ny, nx = picture.shape
    upper, lower = picture[ny // 4], picture[3 * ny // 4]
    # Left half dark above and bright below.
    assert upper[nx // 4] < 0.1
    assert lower[nx // 4] > 0.9


def test_save_images_masked_pixels_are_red(tmp_path):
    flags = np.zeros((50, 100), "u2")
    flags[20:40, 20:80] = 1
    picture = read_picture(
        save_images([NDLater(np.zeros((50, 100)), flags=flags)], tmp_path / "p.png")
    )
    red = (picture[..., 0] > 0.8) & (picture[..., 1] < 0.4)
    assert red.mean() > 0.1


def test_save_images_leaves_pyplot_alone(tmp_path):
    from matplotlib import pyplot as plt

    before = plt.get_fignums()
    save_images([np.eye(5)], tmp_path / "p.png")
    assert plt.get_fignums() == before


@pytest.mark.parametrize(
    ("images", "titles"),
    [([], ()), ([np.ones(3)], ()), ([np.ones((3, 3))], ("a", "b"))],
    ids=["none", "line", "titles"],
)
def test_save_images_impossible_input_raises(tmp_path, images, titles):
    with pytest.raises(ShapeError):
        save_images(images, tmp_path / "p.png", titles=titles)


def test_save_images_without_matplotlib_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def guarded(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    with pytest.raises(MissingPackageError, match=r"ndmapper\[plot\]"):
        save_images([np.ones((3, 3))], tmp_path / "p.png")
