def test_example_is_short(example):
    # A night of spectra has more steps than one of images.
    most = 100 if example.name in ("kast_longslit.py", "slit_night.py") else 60
    assert len(example.read_text().splitlines()) <= most


def test_example_is_flat(example):
    # Scripts need no main guard, and none of these has one.
    assert "__main__" not in example.read_text()
