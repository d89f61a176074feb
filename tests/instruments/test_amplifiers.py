"""Sections and numbers of amplifiers, as cameras write them."""

import pytest
from astropy.io import fits

from ndmapper import instruments
from ndmapper.errors import InstrumentError
from ndmapper.instruments.amplifiers import is_section_of, read_section
from ndmapper.instruments.from_toml import parse_instrument

CCD = instruments.load("ccd")
SIZE = {"NAXIS1": 60, "NAXIS2": 40}


def one(instrument=CCD, **cards):
    (found,) = instrument.amplifiers({**SIZE, **cards})
    return found


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[1:50,1:40]", "[1:50,1:40]"),
        (" [ 1 : 50 , 1 : 40 ] ", "[1:50,1:40]"),
        ("1:50,1:40", "[1:50,1:40]"),
        ("(1:50,1:40)", "[1:50,1:40]"),
        ("[1.0:50.0,1.:40.]", "[1:50,1:40]"),
        ("[50:1,40:1]", "[1:50,1:40]"),
        ("[50:1:-1,1:40:1]", "[1:50,1:40]"),
        ("[*,1:20]", "[1:60,1:20]"),
        ("[51:60,-*]", "[51:60,1:40]"),
        ("[1:50,1:40,1:1]", "[1:50,1:40]"),
        ("[1:50,1:40,*]", "[1:50,1:40]"),
        ("[51,1:40]", "[51:51,1:40]"),
        ("[001:050,0001:0040]", "[1:50,1:40]"),
    ],
)
def test_section_is_read_as_it_is_meant(text, meant):
    assert read_section(text, (60, 40)) == meant


@pytest.mark.parametrize(
    "text",
    ["[0:49,0:39]", "[1:50]", "[1:50,1:40,1:3]", "[1:50:2,1:40]", "[a:b,1:40]",
     "[-5:50,1:40]", "[1.5:50,1:40]", "[]", "[1:50;1:40]", "[:50,1:40]"],
)  # fmt: skip
def test_section_that_is_none_is_refused_with_its_card(text):
    with pytest.raises(ValueError, match=r"first|axes|axis"):
        read_section(text, (60, 40))
    with pytest.raises(InstrumentError, match=r"BIASSEC = .* is no section"):
        one(BIASSEC=text)


@pytest.mark.parametrize("value", ["", "UNKNOWN", " n/a", "None", None])
def test_section_without_a_value_is_none(value):
    found = one(DATASEC=value, BIASSEC=value)
    assert (found.data, found.overscan) == ("[1:60,1:40]", None)


@pytest.mark.parametrize(
    ("overscan", "data"),
    [("[51:60,1:40]", "[1:50,1:40]"), ("[1:4,*]", "[5:60,1:40]"),
     ("[1:60,39:40]", "[1:60,1:38]")],
)  # fmt: skip
def test_data_are_what_the_overscan_leaves(overscan, data):
    assert one(BIASSEC=overscan).data == data


@pytest.mark.parametrize("overscan", ["[20:30,1:40]", "[51:60,2:40]", "[1:60,1:40]"])
def test_overscan_that_leaves_no_rectangle_needs_a_data_section(overscan):
    with pytest.raises(InstrumentError, match="no DATASEC or TRIMSEC says"):
        one(BIASSEC=overscan)


@pytest.mark.parametrize(
    "gain", [2, 2.0, "2.0", " 2 ", "2.0 e-/ADU", "2 [electrons/adu]", "0.2D1", "[2.0]"]
)
def test_gain_may_be_text(gain):
    assert one(GAIN=gain).gain == 2.0


@pytest.mark.parametrize("gain", ["0.5 ADU/e-", "high", "1.5 2.5", False, "inf"])
def test_text_that_is_no_gain_is_none(gain):
    found = one(GAIN=gain)
    assert found.gain is None
    assert found.unknown["gain"] == f"GAIN = {gain!r} is no gain"


@pytest.mark.parametrize(
    ("cards", "gain", "remark"),
    [
        ({"GAIN": 2.0, "EGAIN": 2.0}, 2.0, None),
        ({"GAIN": "2.0", "EGAIN": 2}, 2.0, None),
        ({"GAIN": 100, "EGAIN": 0.25}, 0.25, "not GAIN = 100"),
        ({"GAIN": 1.9, "EGAIN": 2.0}, 2.0, "not GAIN = 1.9"),
        ({"GAIN": 1.9, "EGAIN": 0}, 1.9, "EGAIN = 0 is no gain; GAIN = 1.9 is taken"),
        ({"GAIN": "HIGH", "EGAIN": 1.1}, 1.1, "GAIN = 'HIGH' is no gain"),
        ({"EGAIN": 1.1}, 1.1, None),
    ],
)
def test_egain_wins_and_a_difference_is_told(cards, gain, remark):
    found = one(**cards)
    assert found.gain == gain
    if remark is None:
        assert found.remarks == ()
    else:
        assert remark in found.remarks[0]


@pytest.mark.parametrize(
    ("card", "part", "value"),
    [("RDNOISE", "read_noise", 1e9), ("RDNOISE", "read_noise", -3),
     ("SATURATE", "saturation", 1e-30), ("SATURATE", "saturation", "-5")],
)  # fmt: skip
def test_what_no_detector_has_is_no_value(card, part, value):
    found = one(**{card: value})
    assert getattr(found, part) is None
    assert found.unknown[part].startswith(f"{card} = {value!r} is no ")


@pytest.mark.parametrize(
    ("part", "value"), [("gain", 0), ("gain", 1e-30), ("read_noise", 1e9),
                        ("saturation", 0.0), ("gain", float("inf"))],
)  # fmt: skip
def test_what_no_detector_has_is_an_error_in_a_table(part, value):
    with pytest.raises(InstrumentError, match=rf"{part}.*(expected|finite)"):
        described(data="[1:60,1:40]", **{part: value})


def test_read_noise_of_zero_is_told():
    found = one(RDNOISE=0)
    assert found.read_noise == 0
    assert found.remarks == ("RDNOISE = 0: there is no read noise",)


def described(**amplifier):
    return parse_instrument(
        {
            "schema": 1,
            "descriptors": {"shape": {"fn": "shape"}},
            "amplifier_keys": {"data": "DATASEC", "gain": ["EGAIN", "GAIN"]},
            "amplifier": [{"name": "A", "where": {"shape": "60x40"}, **amplifier}],
        },
        "mine",
        "mine.toml",
    )


def test_table_says_what_the_cards_leave_open_and_the_reverse():
    mine = described(data="[1:50,1:40]", read_noise=4.0)
    found = one(mine, GAIN=2.0)
    assert (found.data, found.gain, found.read_noise) == ("[1:50,1:40]", 2.0, 4.0)
    assert found.cards == {"gain": "GAIN"}
    found = one(mine, DATASEC="[1:48,1:40]", EGAIN=3.0)
    assert (found.data, found.gain, found.read_noise) == ("[1:48,1:40]", 3.0, 4.0)
    assert found.cards == {"data": "DATASEC", "gain": "EGAIN"}


def test_table_with_amplifiers_does_not_guess_the_whole_image():
    mine = described(data="[1:50,1:40]")
    header = {"NAXIS1": 30, "NAXIS2": 40}
    assert mine.amplifiers(header) == ()
    assert mine.why_no_amplifier(header) == (
        "amplifier A does not fit (shape '30x40', not '60x40')"
    )


def test_table_without_amplifiers_advises_to_extend():
    mine = parse_instrument({"schema": 1}, "mine", "mine.toml")
    assert mine.amplifiers(SIZE) == ()
    assert 'extends = "ccd"' in mine.why_no_amplifier(SIZE)


def own_table(amplifier="", keys=""):
    return f"""
        schema = 1
        extends = "ccd"
        [applies]
        INSTRUME = "MYCAM"
        {keys}
        [[amplifier]]
        name = "a"
        data = "[1:50,1:40]"
        gain = 2.0
        {amplifier}
    """


CARDS = {"DATASEC": "[1:50,1:40]", "GAIN": 1.0, "BIASSEC": "[51:60,1:40]"}


def test_card_that_goes_before_the_table_is_named(tmp_path):
    path = tmp_path / "mycam.toml"
    path.write_text(own_table('overscan = "[55:60,1:40]"'))
    found = one(instruments.load(path), **CARDS)
    assert (found.gain, found.overscan) == (1.0, "[51:60,1:40]")
    said = "\n".join(found.remarks)
    assert "BIASSEC = [51:60,1:40] is taken, not [55:60,1:40]" in said
    assert "GAIN = 1.0 is taken, not 2.0, the gain in the table" in said
    path.write_text(own_table(keys="[amplifier_keys]\ngain = []"))
    found = one(instruments.load(path), **CARDS)
    assert (found.gain, found.remarks) == (2.0, ())


def test_card_that_says_the_same_as_the_table_is_not_named(tmp_path):
    path = tmp_path / "mycam.toml"
    path.write_text(own_table())
    assert one(instruments.load(path), **{**CARDS, "GAIN": 2.0}).remarks == ()


def test_amplifiers_of_the_table_that_a_section_puts_aside_are_named(tmp_path):
    path = tmp_path / "mycam.toml"
    more = '[[amplifier]]\nname = "b"\ndata = "[51:60,1:40]"\ngain = 3.0'
    path.write_text(own_table(more))
    (remark,) = one(instruments.load(path), DATASEC="[1:60,1:40]", GAIN=1.0).remarks
    assert remark.startswith(
        "DATASEC = [1:60,1:40] is taken, not the amplifiers a ([1:50,1:40]), b ("
    )
    assert "write data = [] under [amplifier_keys]" in remark


def test_star_in_a_table_is_the_whole_axis(tmp_path):
    table = tmp_path / "mine.toml"
    table.write_text(
        'schema = 1\n[[amplifier]]\nname = "1"\n'
        'data = "[1:50,*]"\noverscan = "[51:60,*]"\n'
    )
    mine = instruments.load(table)
    for rows in (40, 17):
        found = one(mine, NAXIS2=rows)
        assert (found.data, found.overscan) == (f"[1:50,1:{rows}]", f"[51:60,1:{rows}]")
    with pytest.raises(InstrumentError, match="header has no NAXIS1 and NAXIS2"):
        mine.amplifiers({})


@pytest.mark.parametrize(
    ("template", "section", "same"),
    [
        ("[1:50,*]", "[1:50,1:17]", True),
        ("[1:50,*]", "[1:51,1:17]", False),
        ("[1:50,1:17]", "[1:50,1:17]", True),
        (None, "[1:50,1:17]", False),
        (1.2, 1.2, True),
    ],
)
def test_section_that_a_table_describes_is_known(template, section, same):
    assert is_section_of(template, section) == same


def test_keys_without_that_of_the_section_are_said_to_lack_it(tmp_path):
    path = tmp_path / "mycam.toml"
    path.write_text(
        'schema = 1\n[applies]\nINSTRUME = "X"\n[amplifier_keys]\ngain = "G"\n'
    )
    why = instruments.load(path).why_no_amplifier(fits.Header({"G": 1.0}))
    assert "[amplifier_keys]" in why
    assert 'data = "DATASEC"' in why
    assert "neither" not in why
