"""An instrument: facts and rules as frozen data, read from one TOML."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ndmapper.instruments.amplifiers import (
    Amplifier,
    AmplifierKeys,
    FixedAmplifier,
    find_amplifiers,
)
from ndmapper.instruments.conditions import Condition, Value, like
from ndmapper.instruments.descriptors import Descriptor
from ndmapper.instruments.functions import Header, HeaderPair, moment_in
from ndmapper.instruments.members import MemberKey
from ndmapper.instruments.rules import Period, Rule, Setup, all_met, values_of
from ndmapper.instruments.spectrograph import read_keywords

__all__ = ["Amplifier", "FixedAmplifier", "FrameClass", "Instrument"]


@dataclass(frozen=True, kw_only=True)
class FrameClass:
    """A kind of frame and how it is recognised."""

    name: str  # for instance ``"bias"``
    # Conditions on descriptors, all of which have to be met.
    where: Mapping[str, tuple[Condition, ...]]
    tag: str | None = None  # what tools call such frames, where that differs

    def test(self, values: Mapping[str, Value]) -> tuple[bool, str]:
        """Whether a frame is of this class."""
        reasons = []
        for name, conditions in self.where.items():
            for condition in conditions:
                met, text = condition.test(name, values.get(name))
                if not met:
                    return False, text
                if text not in reasons:
                    reasons.append(text)
        return True, ", ".join(reasons)


# Compared by identity: the mappings inside cannot be hashed.
@dataclass(frozen=True, kw_only=True, eq=False)
class Instrument:
    """
    All that is known of an instrument without looking at a file.

    Parameters
    ----------
    name : str
        Short name, that of its TOML.
    description : str
        In a few words.
    source : str
        Path of the TOML.
    applies : mapping of str to tuple of str
        Header keywords, and patterns of their values, that say that a file is of
        this instrument; all have to fit.
    fallback : bool
        Whether it is recognised only where no other instrument is.
    filename_regex : str or None
        Regular expression of the base of its file names.
    labels : mapping or None
        Names of its data, uncertainty and flags extensions.
    flags : str or None
        The convention of its flags: a name, or the path of a TOML.
    descriptors : mapping of str to Descriptor
        How the values that rules speak of are found.
    survey : tuple of str
        Descriptors that a survey shows.
    classes : tuple of FrameClass
        Classes of frames, in the order in which they are tried.
    dependencies : mapping of str to tuple of str
        What each kind of frame needs: type to types of calibration.
    products : mapping of str to mapping of str to str
        What is made of the raw frames of a type: each type of calibration, and the
        name of the output that has it.
    rules : tuple of Rule
        Which frames calibrate another one.
    amplifier_keys : AmplifierKeys
        Parts of an amplifier, and the header keywords that may give them, the first
        that can be used; and the names of the amplifiers where one header describes
        several.
    fixed_amplifiers : tuple of FixedAmplifier
        Amplifiers that no header describes.
    periods : mapping of str to Period
        Runs of observations that static calibrations are named after.
    members : mapping of str to MemberKey
        What tells files or extensions apart that are parts of one whole, such as IFUs.
    spectrograph : tuple of Setup
        Geometry and wavelengths of a slit spectrograph; the last that applies counts.
    steps : mapping of str to tuple of Setup
        Parameters of steps that depend on the instrument; the last that applies counts.
    digest : str
        Of the TOML, to know what was made by another version of it.
    """

    name: str
    description: str
    source: str
    applies: Mapping[str, tuple[str, ...]]
    fallback: bool = False
    filename_regex: str | None = None
    labels: Mapping[str, Any] | None = None
    flags: str | None = None
    descriptors: Mapping[str, Descriptor]
    survey: tuple[str, ...] = ()
    classes: tuple[FrameClass, ...] = ()
    dependencies: Mapping[str, tuple[str, ...]]
    products: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    amplifier_keys: AmplifierKeys
    fixed_amplifiers: tuple[FixedAmplifier, ...] = ()
    periods: Mapping[str, Period] = field(default_factory=dict)
    members: Mapping[str, MemberKey] = field(default_factory=dict)
    spectrograph: tuple[Setup, ...] = ()
    steps: Mapping[str, tuple[Setup, ...]] = field(default_factory=dict)
    digest: str = ""

    @functools.cached_property
    def needs_all(self) -> bool:
        """Whether descriptors look at the headers of all images of a file."""
        return any(d.needs_all for d in self.descriptors.values())

    @functools.cached_property
    def tags(self) -> dict[str, str]:
        """What tools call frames of each class: class to tag."""
        return {c.name: c.tag for c in self.classes if c.tag is not None}

    def serves(self, frame_class: str | None) -> tuple[str, ...]:
        """
        List the types of calibration that frames of a class are used for.

        Parameters
        ----------
        frame_class : str or None
            The class.

        Returns
        -------
        tuple of str
            Types of calibration, each once.
        """
        types = (
            rule.type
            for rule in self.rules
            if frame_class in rule.select or frame_class == f"processed_{rule.type}"
        )
        return tuple(dict.fromkeys(types))

    def needs(self, frame_class: str | None) -> tuple[str, ...]:
        """
        List the types of calibration that frames of a class need.

        Parameters
        ----------
        frame_class : str or None
            The class; None where it is not known.

        Returns
        -------
        tuple of str
            Types of calibration: those of a target, but for frames that are
            calibrations themselves.
        """
        if frame_class in self.dependencies:
            return tuple(self.dependencies[str(frame_class)])
        return () if self.serves(frame_class) else self.dependencies.get("target", ())

    def source_of(self, cal_type: str) -> str | None:
        """
        Return the type of the raw frames that a calibration is a further product of.

        Parameters
        ----------
        cal_type : str
            Type of calibration, such as ``"trace"``.

        Returns
        -------
        str or None
            Such as ``"flat"``; None for a calibration that has raw frames of its own.
        """
        types = (t for t, made in self.products.items() if cal_type in made)
        return next((t for t in types if t != cal_type), None)

    def parts(
        self, headers: Iterable[Header], filename: str = ""
    ) -> dict[str, tuple[int | str, ...]]:
        """
        List which members of sets a file holds, by what tells them apart.

        Parameters
        ----------
        headers : iterable of Header
            The headers of all its HDUs.
        filename : str
            Its name, without folder.

        Returns
        -------
        dict
            Keys by name, such as ``{'ifu': (7,)}``; names that it says nothing of are
            left out.
        """
        found: dict[str, tuple[int | str, ...]] = {}
        every = list(headers) if self.members else []
        for name, rule in self.members.items():
            if not rule.is_part:
                continue
            keys = rule.find_all(every)
            if not keys and (key := rule.find_in_name(filename)) is not None:
                keys = [key]
            if keys:
                found[name] = tuple(keys)
        return found

    def recognises(self, header: Header) -> bool:
        """
        Return whether a file is of this instrument.

        Parameters
        ----------
        header : Header
            Its primary header.

        Returns
        -------
        bool
            Whether every keyword of `applies` fits; of ``"A|B"``, one of the two.
        """
        # One that many instruments are asked of remembers its values.
        pair = header if isinstance(header, HeaderPair) else HeaderPair(header)
        return bool(self.applies) and all(
            any(
                like(pair.get(key), pattern)
                for key in keys.split("|")
                for pattern in patterns
            )
            for keys, patterns in self.applies.items()
        )

    def describe(
        self,
        primary: Header,
        extension: Header | None = None,
        others: Sequence[Header] = (),
        filename: str = "",
    ) -> dict[str, Value]:
        """
        Find the values of all descriptors.

        Parameters
        ----------
        primary : Header
            Primary header of a file.
        extension : Header, optional
            Header of its first image extension.
        others : sequence of Header
            Headers of its other image extensions.
        filename : str
            Its name, without folder.

        Returns
        -------
        dict
            Descriptor to value; None is missing.
        """
        plain = HeaderPair(primary, extension, others=others, filename=filename)
        first = plain.turned(True)
        return {
            name: descriptor.find_in(first if descriptor.extension_first else plain)
            for name, descriptor in self.descriptors.items()
        }

    def classify(
        self, primary: Header, extension: Header | None = None
    ) -> tuple[str | None, str]:
        """
        Classify a raw file.

        Parameters
        ----------
        primary : Header
            Primary header of the file.
        extension : Header, optional
            Header of its first extension.

        Returns
        -------
        name : str or None
            The class; None where no class fits.
        why : str
            What speaks for the class, or against each of them.
        """
        return self.classify_values(self.describe(primary, extension))

    def classify_values(self, values: Mapping[str, Value]) -> tuple[str | None, str]:
        """
        Classify a frame by its descriptors.

        Parameters
        ----------
        values : mapping
            Descriptor to value.

        Returns
        -------
        name : str or None
            The class; None where no class fits.
        why : str
            What speaks for the class, or against each of them.
        """
        for frame_class in self.classes:
            if all_met(frame_class.where, values):
                return frame_class.name, frame_class.test(values)[1]
        against = [f"not {c.name} ({c.test(values)[1]})" for c in self.classes]
        return None, "; ".join(against) or f"{self.name} describes no classes"

    def rule(
        self, cal_type: str, values: Mapping[str, Value] | None = None
    ) -> Rule | None:
        """
        Find the rule for a type of calibration.

        Parameters
        ----------
        cal_type : str
            The type.
        values : mapping, optional
            Descriptors of the frame to be calibrated, where rules differ between
            kinds of frames; without it the first rule of the type is given.

        Returns
        -------
        Rule or None
            None where there is no such rule.
        """
        for rule in self.rules:
            if rule.type == cal_type and (values is None or all_met(rule.when, values)):
                return rule
        return None

    def amplifiers(
        self,
        primary: Header,
        extension: Header | None = None,
        filename: str = "",
    ) -> tuple[Amplifier, ...]:
        """
        Describe the amplifiers that read an image out.

        Parameters
        ----------
        primary : Header
            Primary header of a raw file.
        extension : Header, optional
            Header of the image extension, where the image is in one.
        filename : str
            Name of the file, without folder.

        Returns
        -------
        tuple of Amplifier
            From the header keywords that the TOML names, else from the TOML itself;
            what one leaves open, the other says. Where there is no section at all and
            the TOML has no amplifiers, one that is the whole image. Empty for an
            unknown readout geometry.

        Raises
        ------
        InstrumentError
            If a card that should hold a section holds something else.
        """
        return find_amplifiers(
            self.amplifier_keys,
            self.fixed_amplifiers,
            HeaderPair(primary, extension, extension_first=True),
            lambda: self.describe(primary, extension, filename=filename),
        )

    def spectrograph_of(
        self,
        primary: Header,
        extension: Header | None = None,
        filename: str = "",
    ) -> dict[str, Any]:
        """
        Describe how spectra lie on the image of a slit spectrograph.

        Parameters
        ----------
        primary : Header
            Primary header of a file.
        extension : Header, optional
            Header of the image extension, where the image is in one.
        filename : str
            Name of the file, without folder.

        Returns
        -------
        dict
            The values of ``[spectrograph]`` that hold for this frame; empty where the
            instrument is no spectrograph.
        """
        if not self.spectrograph:
            return {}
        found = values_of(
            self.spectrograph,
            lambda: self.describe(primary, extension, filename=filename),
        )
        return read_keywords(found, HeaderPair(primary, extension))

    def parameters_of(
        self,
        step: str,
        primary: Header,
        extension: Header | None = None,
        filename: str = "",
    ) -> dict[str, Any]:
        """
        Return the parameters that a step has for frames of this instrument.

        Parameters
        ----------
        step : str
            Name of the step.
        primary : Header
            Primary header of a file.
        extension : Header, optional
            Header of its first image extension.
        filename : str
            Its name, without folder.

        Returns
        -------
        dict
            Parameter to value, of ``[steps.NAME]``.
        """
        return values_of(
            self.steps.get(step, ()),
            lambda: self.describe(primary, extension, filename=filename),
        )

    def why_no_amplifier(
        self,
        primary: Header,
        extension: Header | None = None,
        filename: str = "",
    ) -> str:
        """
        Return why nothing is known of the amplifiers of an image.

        Parameters
        ----------
        primary : Header
            Primary header of a raw file.
        extension : Header, optional
            Header of the image extension, where the image is in one.
        filename : str
            Name of the file, without folder.

        Returns
        -------
        str
            The amplifiers that the TOML describes, and what speaks against each.
        """
        keys = self.amplifier_keys
        if keys.names and not self.fixed_amplifiers:
            wanted = [key for n in keys.names for key in keys.of(n).get("data", ())]
            return f"the header has none of {', '.join(wanted)}"
        if not self.fixed_amplifiers and keys.parts:
            return (
                f"[amplifier_keys] of {self.source} has no data: write the keyword of "
                'the section of the image, such as data = "DATASEC", also where frames '
                "have none, and are wholly lit"
            )
        if not self.fixed_amplifiers:
            return (
                f"{self.source} has neither [[amplifier]] nor [amplifier_keys] (with "
                'extends = "ccd" it takes over the usual header keywords)'
            )
        values = self.describe(primary, extension, filename=filename)
        return "; ".join(
            f"amplifier {fixed.amplifier.name} does not fit ({fixed.against(values)})"
            for fixed in self.fixed_amplifiers
        )

    def why_no_time(self, primary: Header, extension: Header | None = None) -> str:
        """
        Return why the time of a frame is not known.

        Parameters
        ----------
        primary : Header
            Its primary header.
        extension : Header, optional
            Header of its first extension.

        Returns
        -------
        str
            The cards that cannot be read and their values, or those that are missing.
        """
        descriptor = self.descriptors.get("time")
        if descriptor is None or descriptor.fn != "timestamp":
            return f"{self.name} has no descriptor time with a timestamp"
        headers = HeaderPair(
            primary, extension, extension_first=descriptor.extension_first
        )
        refused = moment_in(headers, descriptor.keys).refused
        return ", ".join(refused) or f"no value of {', '.join(descriptor.keys)}"

    def conflict(self, header: Header) -> str | None:
        """
        Return the card of a header that contradicts this instrument.

        Parameters
        ----------
        header : Header
            The primary header of a file.

        Returns
        -------
        str or None
            A card that has another value than `applies` asks for; None where there is
            none. A card that is missing speaks against nothing.
        """
        pair = HeaderPair(header)
        for key, patterns in self.applies.items():
            value = pair.get(key)
            if value is not None and not any(like(value, p) for p in patterns):
                return f"{key} = {value!r}"
        return None
