"""Header-only FITS files, to simulate large archives quickly."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["SimulatedArchive", "write_headers"]

_BLOCK = 2880

Cards = Mapping[str, str | int | float | bool]


@dataclass
class SimulatedArchive:
    """
    Content of a simulated archive, with the true associations.

    Parameters
    ----------
    folder : Path
        Folder of the files.
    count : int
        Number of files.
    answers : dict of (str, str) to tuple of str
        Expected matches: names by (target, type of calibration).
    qualities : dict of (str, str) to int
        Quality of matches that are not the best.
    misses : dict of (str, str, str) to str
        Expected reason by (target, type, name) of frames that nearly match.
    """

    folder: Path
    count: int = 0
    answers: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    qualities: dict[tuple[str, str], int] = field(default_factory=dict)
    misses: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def write(self, name: str, headers: Sequence[Cards | bytes]) -> str:
        """
        Write one file.

        Parameters
        ----------
        name : str
            Its name.
        headers : sequence of mapping or bytes
            The cards of each HDU, or a header as `header_bytes` makes it.

        Returns
        -------
        str
            The name.
        """
        write_headers(self.folder / name, headers)
        self.count += 1
        return name


def write_headers(path: Path, headers: Sequence[Cards | bytes]) -> None:
    """
    Write a FITS file without data.

    Parameters
    ----------
    path : Path
        The file.
    headers : sequence of mapping or bytes
        The cards of each HDU, primary first, without structural keywords; or a complete
        header.
    """
    made = [
        given if isinstance(given, bytes) else header_bytes(given, first=i == 0)
        for i, given in enumerate(headers)
    ]
    path.write_bytes(b"".join(made))


def header_bytes(cards: Cards, *, first: bool = False) -> bytes:
    """Return the header of an HDU without data."""
    form: dict[str, str | int | bool] = {"SIMPLE": True} if first else {}
    if not first:
        form["XTENSION"] = "IMAGE"
    form |= {"BITPIX": 16, "NAXIS": 0}
    form |= {"EXTEND": True} if first else {"PCOUNT": 0, "GCOUNT": 1}
    raw = b"".join(_card(key, value) for key, value in {**form, **cards}.items())
    raw += b"END".ljust(80)
    return raw.ljust(-(-len(raw) // _BLOCK) * _BLOCK)


def _card(key: str, value: str | float | bool) -> bytes:
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        text = f"'{value.replace(chr(39), chr(39) * 2):<8}'"
    else:
        text = f"{value!r:>20}"
    start = f"HIERARCH {key} = " if " " in key or len(key) > 8 else f"{key:<8}= "
    return f"{start}{text}".ljust(80)[:80].encode("ascii")


def moment(day: datetime.date, hours: float) -> datetime.datetime:
    """Return a time, given in hours after midnight of a date."""
    start = datetime.datetime.combine(day, datetime.time())
    return start + datetime.timedelta(milliseconds=round(hours * 3600e3))
