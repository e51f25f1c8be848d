"""docs/exclusions.md says what the checks of ECGs cost, and this is still true."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_table_of_real_records_is_up_to_date(real_data: Path) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, 'benchmarks');"
        "import ecg_checks; print(ecg_checks.table(Path(sys.argv[1])), end='')"
    )
    command = [sys.executable, "-c", code, str(real_data)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    page = (ROOT / "docs" / "exclusions.md").read_text(encoding="utf-8")
    assert run.stdout in page
