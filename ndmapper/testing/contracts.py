"""Contract tests of services: inherit, describe yours, and run pytest."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ndmapper.calibrations.lookup_result import matched_files
from ndmapper.errors import NdmapperError

__all__ = ["ServiceContract"]


class _Tests:
    """The tests, named by what they check."""

    known: ClassVar[tuple[str, str]]
    unknown_type: ClassVar[str]
    files: ClassVar[Sequence[str]]
    absent: ClassVar[Sequence[str]]

    def make_service(self, folder: Path) -> Any:
        raise NotImplementedError

    def test_look_up_gives_names_without_folder(self, tmp_path: Path) -> None:
        """A match is a name, or a name and a checksum."""
        found = self.make_service(tmp_path).look_up(*self.known)
        names = [name for name, _ in matched_files(found)]
        assert names
        assert all(name and "/" not in name for name in names)

    def test_look_up_gives_each_name_once(self, tmp_path: Path) -> None:
        """A frame counts once in a set."""
        found = self.make_service(tmp_path).look_up(*self.known)
        names = [name for name, _ in matched_files(found)]
        assert len(set(names)) == len(names)

    def test_look_up_again_gives_the_same(self, tmp_path: Path) -> None:
        """In the same order, since the first names the product."""
        service = self.make_service(tmp_path)
        assert service.look_up(*self.known) == service.look_up(*self.known)

    def test_look_up_of_an_unknown_type_finds_nothing(self, tmp_path: Path) -> None:
        """It is no error: the user may add the calibration."""
        service = self.make_service(tmp_path)
        assert not matched_files(service.look_up(self.known[0], self.unknown_type))

    def test_fetch_gives_paths_in_the_order_asked(self, tmp_path: Path) -> None:
        """Even if files arrive in another order."""
        names = list(self.files)[::-1]
        paths = self.make_service(tmp_path).fetch(names, tmp_path, {})
        assert paths == [tmp_path / name for name in names]
        assert all(path.is_file() for path in paths)

    def test_fetch_again_touches_nothing(self, tmp_path: Path) -> None:
        """Existing files are not changed."""
        paths = self.make_service(tmp_path).fetch(list(self.files), tmp_path, {})
        before = [path.stat().st_mtime_ns for path in paths]
        again = self.make_service(tmp_path).fetch(list(self.files), tmp_path, {})
        assert [path.stat().st_mtime_ns for path in again] == before

    def test_fetch_of_nothing_gives_nothing(self, tmp_path: Path) -> None:
        """An empty list is no error."""
        assert self.make_service(tmp_path).fetch([], tmp_path, {}) == []

    def test_fetch_names_all_that_are_missing(self, tmp_path: Path) -> None:
        """The error is a FileNotFoundError, and the other files are there."""
        service = self.make_service(tmp_path)
        err = _error_of(
            lambda: service.fetch([*self.absent, *self.files], tmp_path, {})
        )
        assert isinstance(err, FileNotFoundError)
        assert all(name in str(err) for name in self.absent)
        assert all((tmp_path / name).is_file() for name in self.files)

    def test_fetch_compares_checksums(self, tmp_path: Path) -> None:
        """A file with another checksum than the document's is an error."""
        service = self.make_service(tmp_path)
        err = _error_of(
            lambda: service.fetch(list(self.files), tmp_path, {self.files[0]: "0" * 32})
        )
        assert self.files[0] in str(err)

    def test_fetch_leaves_no_parts(self, tmp_path: Path) -> None:
        """Neither after success nor after failure."""
        service = self.make_service(tmp_path)
        _error_of(lambda: service.fetch([*self.absent, *self.files], tmp_path, {}))
        left = [p.name for p in tmp_path.iterdir() if p.is_file()]
        assert not [name for name in left if name.startswith(".") or "part" in name]


class ServiceContract(_Tests):
    """
    Tests that a service inherits.

    A subclass sets the attributes and defines `make_service`.

    Attributes
    ----------
    known : tuple of (str, str)
        A frame, and a type of calibration that the service finds for it.
    unknown_type : str
        A type of calibration that it never finds.
    files : sequence of str
        Names of two or more files that it has.
    absent : sequence of str
        Names of two or more files that it does not have.
    """

    known: ClassVar[tuple[str, str]]
    unknown_type: ClassVar[str] = "no-such-type"
    files: ClassVar[Sequence[str]]
    absent: ClassVar[Sequence[str]] = ("S19990101S0001.fits", "S19990101S0002.fits")

    def make_service(self, folder: Path) -> Any:
        """
        Make the service.

        Parameters
        ----------
        folder : Path
            Where it finds, or puts, its files.

        Returns
        -------
        Service
            The service.
        """
        raise NotImplementedError


def _error_of(call: Callable[[], object]) -> NdmapperError:
    try:
        call()
    except NdmapperError as err:
        return err
    msg = "an error was expected, but there was none"
    raise AssertionError(msg)
