"""Count how many real ECGs each check flags or excludes, and write the table of docs/exclusions.md.

python benchmarks/ecg_checks.py ../shared/data
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import stats

from ptacl import config
from ptacl.ecg.examine import examine, examine_array
from ptacl.preparation import Examined

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "exclusions.md"
START, END = "<!-- real records -->\n", "<!-- /real records -->"
# files of other devices, from ecg/formats, that are known to be unusable
_UNUSABLE = ("ANON000002.scp", "liryc_hl7aecg.xml", "contec_0000050.edf")
_FILES = (".xml", ".scp", ".dcm", ".edf")


def examined(folder: Path, *, settings: config.Ecg) -> Iterator[tuple[str, Examined]]:
    """Yield the source and what is known of each real record.

    LUDB's physical values are scaled lead by lead, so its stored counts of 1 uV are used.
    """
    for header in sorted((folder / "ecg" / "ludb").rglob("*.hea")):
        names = [line.split()[-1] for line in header.read_text().splitlines()[1:13]]
        counts = np.fromfile(header.with_suffix(".dat"), "<i2").reshape(-1, 12).T
        facts = {"names": names, "rate_hz": 500, "unit": "uV", "settings": settings}
        yield "LUDB", examine_array(counts.astype(np.float64), **facts)
    for header in sorted((folder / "ecg" / "cinc2021").glob("*.hea")):
        yield "Challenge 2021", examine(header, settings=settings)
    for path in sorted((folder / "ecg").glob("*/*")):
        if path.suffix in _FILES and not path.name.endswith(_UNUSABLE):
            yield "other devices", examine(path, settings=settings)


def bound(number: int, of: int) -> float:
    """Return the upper end of the one-sided 95 % interval of a share (Clopper and Pearson)."""
    return 1.0 if number == of else float(stats.beta.ppf(0.95, number + 1, of - number))


def table(folder: Path) -> str:
    """Return the table as Markdown."""
    settings = config.load(ROOT / "config.yaml").ecg
    totals: Counter[str] = Counter()
    found: dict[tuple[str, str], Counter[str]] = {}
    for source, record in examined(folder, settings=settings):
        totals[source] += 1
        for flag in record.flags:
            found.setdefault(("flag", flag), Counter())[source] += 1
        if record.excluded is not None:
            key = ("exclusion", record.excluded.reason.value)
            found.setdefault(key, Counter())[source] += 1
    of = totals.total()
    heads = [f"{source} ({number})" for source, number in totals.items()]
    lines = [
        f"| check | | {' | '.join(heads)} | all ({of}) | upper 95 % bound |",
        "|---|---|" + "---|" * (len(totals) + 2),
    ]
    for (kind, name), numbers in sorted(found.items()):
        cells = [str(numbers[source]) for source in totals]
        number = numbers.total()
        lines.append(
            f"| {name} | {kind} | {' | '.join(cells)} | {number} | {bound(number, of):.1%} |"
        )
    lines.append(f"| every other check | | {'0 | ' * len(totals)}0 | {bound(0, of):.1%} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of the real recordings")
    arguments = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + START + table(arguments.folder) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
