def test_example_has_at_most_60_lines(example):
    assert len(example.read_text().splitlines()) <= 60


def test_example_is_flat(example):
    # Scripts need no main guard, and none of these has one.
    assert "__main__" not in example.read_text()
