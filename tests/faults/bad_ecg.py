"""Bad CardioSoft files by kind: edits of the text of a good one, each with the reasons that it must
be excluded for.
"""

import re
from collections.abc import Callable, Iterator
from itertools import combinations

from ptacl.ecg.read import LEADS
from ptacl.exclusions import Reason

Edit = Callable[[str], str]
Verdict = set[Reason]

_LIMB, _CHEST = LEADS[:6], LEADS[6:]


def strip(edit: Edit) -> Edit:
    """An edit of the rhythm strip only: the median beat, before it, has elements of the same
    names.
    """

    def apply(text: str) -> str:
        before, tag, after = text.partition("<StripData>")
        inside, end, rest = after.partition("</StripData>")
        changed = edit(inside)
        assert changed != inside
        return before + tag + changed + end + rest

    return apply


def wave(lead: str, edit: Edit) -> Edit:
    """An edit of the samples of one lead."""
    pattern = re.compile(f'(<WaveformData lead="{lead}">)(.*?)(</WaveformData>)', re.S)
    return strip(lambda inside: pattern.sub(lambda m: m[1] + edit(m[2]) + m[3], inside))


def values(edit: Callable[[list[int]], list[int]]) -> Edit:
    """An edit of samples as numbers."""
    return lambda samples: ",".join(map(str, edit([int(v) for v in samples.split(",")])))


def removed(tag: str) -> Edit:
    return lambda text: re.sub(f"<{tag}.*?</{tag}>", "", text, count=1, flags=re.S)


def without(lead: str) -> Edit:
    return strip(
        lambda s: re.sub(f'<WaveformData lead="{lead}">.*?</WaveformData>', "", s, flags=re.S)
    )


def swapped(first: str, second: str) -> Edit:
    """The names of two leads exchanged: the waveforms are then under the wrong name."""
    names = {first: second, second: first}
    return strip(
        lambda s: re.sub(f'lead="({first}|{second})"', lambda m: f'lead="{names[m[1]]}"', s)
    )


def last_value(replacement: str) -> Edit:
    return lambda samples: samples.rpartition(",")[0] + replacement


def copied(source: str, target: str) -> Edit:
    """The samples of one lead in place of another's."""

    def apply(inside: str) -> str:
        found = re.search(f'<WaveformData lead="{source}">(.*?)</WaveformData>', inside, re.S)
        assert found
        pattern = re.compile(f'(<WaveformData lead="{target}">).*?(</WaveformData>)', re.S)
        return pattern.sub(lambda m: m[1] + found[1] + m[2], inside)

    return strip(apply)


def every_lead(edit: Callable[[list[int]], list[int]]) -> Edit:
    pattern = re.compile(r'(<WaveformData lead="\w+">)(.*?)(</WaveformData>)', re.S)
    return strip(lambda inside: pattern.sub(lambda m: m[1] + values(edit)(m[2]) + m[3], inside))


def noise(v: list[int]) -> list[int]:
    """A fixed sequence of white noise, a millivolt at 5 microvolt a count."""
    state, out = 1, []
    for value in v:
        state = (1103515245 * state + 12345) % 2**31
        out.append(value + state // 2**16 % 400 - 200)
    return out


def cases() -> Iterator[tuple[str, Edit, Verdict]]:
    """Name, edit and allowed reasons of each bad file."""
    yield from _documents()
    yield from _headers()
    for lead in LEADS:
        yield f"no {lead}", without(lead), {Reason.MISSING_LEAD}
        yield (
            f"{lead} under an unknown name",
            strip(lambda s, x=lead: s.replace(f'lead="{x}"', 'lead="X9"')),
            {Reason.MISSING_LEAD},
        )
        yield f"{lead} of 3 samples", wave(lead, lambda _: "1,2,3"), {Reason.WRONG_LENGTH}
        yield f"{lead} flat", wave(lead, values(lambda v: [7] * len(v))), {Reason.FLAT_LEAD}
        broken = {Reason.DEAD_LEAD, Reason.EINTHOVEN}
        yield (
            f"{lead} dead for 3 s",
            wave(lead, values(lambda v: v[:2000] + [0] * 1500 + v[3500:])),
            broken,
        )
    for lead in _CHEST:
        yield (
            f"{lead} a hundred times as large",
            wave(lead, values(lambda v: [100 * x for x in v])),
            {Reason.VOLTAGE, Reason.UNREADABLE},
        )
        yield f"noise in {lead}", wave(lead, values(noise)), {Reason.NOISY_LEAD}
        cut = wave(lead, values(lambda v: [max(min(10 * x, 40), -40) for x in v]))
        yield f"{lead} saturated", cut, {Reason.SATURATED, Reason.DEAD_LEAD}
    for first, second in combinations(_LIMB, 2):
        yield f"{first} and {second} exchanged", swapped(first, second), {Reason.EINTHOVEN}
    for first, second in combinations(_CHEST, 2):
        yield f"{second} is {first}", copied(first, second), {Reason.REPEATED_LEAD}
    yield (
        "all leads dead at the end",
        every_lead(lambda v: v[:4000] + [0] * 1000),
        {Reason.DEAD_LEAD},
    )
    yield "all leads zero", every_lead(lambda v: [0] * len(v)), {Reason.FLAT_LEAD}
    yield from _samples()


def _documents() -> Iterator[tuple[str, Edit, Verdict]]:
    unreadable = {Reason.UNREADABLE}
    yield "empty", lambda text: "", unreadable
    yield "another file", lambda text: "<html><body>not found</body></html>", unreadable
    yield "no XML", lambda text: "PK\x03\x04" + text, unreadable
    for twentieth in range(1, 20):
        yield (
            f"ends after {5 * twentieth} %",
            lambda text, k=twentieth: text[: k * len(text) // 20],
            unreadable,
        )

    def wrong(text):
        text = text.replace("ISO-8859-1", "UTF-8")
        return text.replace("<PatientInfo>", "<PatientInfo>\xe9", 1)

    yield "wrong encoding", wrong, unreadable
    yield "unknown encoding", lambda text: text.replace("ISO-8859-1", "martian"), unreadable
    hidden = "+ADwAIQ-DOCTYPE CardiologyXML +AFs +ADw-!ENTITY a +ACI-1+ACIAPgBdAD4-"
    yield (
        "document type in UTF-7",
        lambda text: text.replace("ISO-8859-1", "UTF-7").replace("<Card", hidden + "<Card", 1),
        unreadable,
    )
    yield (
        "document type",
        lambda text: text.replace("<CardiologyXML>", "<!DOCTYPE CardiologyXML []><CardiologyXML>"),
        unreadable,
    )
    yield "no strip", removed("StripData"), {Reason.MISSING_LEAD}
    yield (
        "two strips",
        lambda text: text.replace("<StripData>", "<StripData></StripData><StripData>"),
        {Reason.MISSING_LEAD},
    )
    yield (
        "a twin of V5",
        strip(lambda s: s.replace('lead="V6"', 'lead="V5"')),
        {Reason.MISSING_LEAD},
    )


def _headers() -> Iterator[tuple[str, Edit, Verdict]]:
    for count in ("4999", "5001", "0", "-1", "", "many"):
        yield (
            f"count {count!r}",
            strip(lambda s, n=count: s.replace(">5000<", f">{n}<")),
            {Reason.WRONG_LENGTH},
        )
    yield "no count", strip(removed("ChannelSampleCountTotal")), {Reason.WRONG_LENGTH}
    for rate in ("1000", "250", "0", "-500", "NaN", "", "fast"):
        yield (
            f"rate {rate!r}",
            strip(lambda s, r=rate: s.replace(">500<", f">{r}<")),
            {Reason.WRONG_RATE},
        )
    yield "no rate", strip(removed("SampleRate")), {Reason.WRONG_RATE}
    yield (
        "rate in kHz",
        strip(lambda s: s.replace('units="Hz"', 'units="kHz"')),
        {Reason.WRONG_RATE},
    )
    for unit in ("nVperLsb", "V", "uV", "count"):
        yield f"unit {unit}", strip(lambda s, u=unit: s.replace("uVperLsb", u)), {Reason.WRONG_UNIT}
    yield "no unit", strip(lambda s: s.replace(' units="uVperLsb"', "")), {Reason.WRONG_UNIT}
    yield "no resolution", strip(removed("Resolution")), {Reason.WRONG_UNIT}
    for resolution in ("0", "-5", "inf", "", "five"):
        yield (
            f"resolution {resolution!r}",
            strip(lambda s, r=resolution: s.replace('uVperLsb">5<', f'uVperLsb">{r}<')),
            {Reason.WRONG_UNIT},
        )
    yield (
        "a count is a millivolt",
        strip(lambda s: s.replace("uVperLsb", "mVperLsb")),
        {Reason.VOLTAGE},
    )
    yield (
        "resolution 500",
        strip(lambda s: s.replace('uVperLsb">5<', 'uVperLsb">500<')),
        {Reason.VOLTAGE},
    )
    marks = "".join(f'<Time units="ms">{350 * k}</Time>' for k in range(28))
    other = strip(
        lambda s: re.sub(
            "<ArrhythmiaResults>.*?</ArrhythmiaResults>",
            f"<ArrhythmiaResults>{marks}</ArrhythmiaResults>",
            s,
            flags=re.S,
        )
    )
    yield "beats of the device at 171 bpm", other, {Reason.OTHER_BEATS}


def _samples() -> Iterator[tuple[str, Edit, Verdict]]:
    unreadable, length = {Reason.UNREADABLE}, {Reason.WRONG_LENGTH}
    for lead in ("I", "V1"):
        yield f"{lead} empty", wave(lead, lambda s: ""), length
        yield f"{lead} blank", wave(lead, lambda s: "\r\n\t\t"), length
        yield f"{lead} one sample less, then a comma", wave(lead, last_value(",\r\n\t\t")), length
        yield f"{lead} one sample more", wave(lead, lambda s: s + ",1"), length
        for name, text in {
            "blank": ", ,1",
            "empty": ",,1",
            "text": ",x",
            "fraction": ",1.5",
            "a space within": ",1 2",
        }.items():
            yield f"{lead} {name}", wave(lead, last_value(text)), unreadable
        yield (
            f"{lead} a space for a comma",
            wave(lead, lambda s: s.replace(",", " ", 1)),
            unreadable,
        )
        yield f"{lead} semicolons", wave(lead, lambda s: s.replace(",", ";")), unreadable
        for text in ("NaN", "-inf", "1e5000"):
            yield (
                f"{lead} {text}",
                wave(lead, last_value(f",{text}")),
                {Reason.NOT_FINITE, Reason.UNREADABLE},
            )
        for text in ("40000", "-40000", "4294967297", "-99999999999999999999"):
            yield f"{lead} {text}", wave(lead, last_value(f",{text}")), unreadable


HARMLESS: dict[str, Edit] = {
    "nothing": lambda text: text,
    "upper case": strip(
        lambda s: s.replace('lead="aVR"', 'lead="AVR"').replace('lead="V1"', 'lead="v1"')
    ),
    "comma after the last sample": wave("V1", lambda samples: samples + ",\r\n\t\t"),
    "spaces": wave("V1", lambda samples: samples.replace(",", " ,\n ")),
    "a comment amid the samples": wave("V1", lambda samples: samples.replace(",", "<!-- -->,", 1)),
    "order": strip(
        lambda s: re.sub(
            "(<WaveformData.*</WaveformData>)",
            lambda m: "".join(reversed(re.findall("<WaveformData.*?</WaveformData>", m[1], re.S))),
            s,
            flags=re.S,
        )
    ),
}
