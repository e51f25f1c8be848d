"""Where the project's own files are, and which configuration files a command reads."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_PACKED = _PACKAGE / "workflow_files"  # only in a wheel
HOME = _PACKED if _PACKED.is_dir() else _PACKAGE.parents[1]


def configuration_files(*paths: Path) -> list[Path]:
    """Return the configuration files, with the project's own one first.

    Without any path, config.yaml of the current folder is used, if it exists.
    """
    found = [HOME / "config.yaml", *(paths or [p for p in [Path("config.yaml")] if p.is_file()])]
    for needed in found:
        if not needed.is_file():
            raise FileNotFoundError(
                f"{needed} is missing: run ptacl in the project's folder, or name a "
                "configuration file"
            )
    return found
