"""Run a stage of the pipeline.

Errors caused by settings, files or the disk end the stage with one line and exit status 2, and
storage that fails with exit status 75 (EX_TEMPFAIL): another try may succeed. Any other error keeps
its traceback.
"""

import errno
import re
import sys
from collections.abc import Callable

from ptacl import memory, raw

_PARTICIPANT = re.compile(r"(?<!\d)[1-9]\d{6}(?!\d)")


def run(main: Callable[[], None]) -> None:
    """Call the main function of a stage, with memory that is kept (:mod:`ptacl.memory`).

    A ValueError or an OSError, whose text names the file and the remedy, becomes SystemExit(2), and
    Unavailable becomes SystemExit(75).
    """
    memory.keep()
    try:
        main()
    except raw.Unavailable as error:
        _end(str(error), status=raw.UNAVAILABLE)
    except (OSError, ValueError) as error:
        _end(explain(error))


def explain(error: BaseException) -> str:
    """Return one line about an error, which names its file and the remedy."""
    if not isinstance(error, OSError):
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{where}the disk is full or your quota is used up: free space and run again; "
            "finished results are kept"
        )
    if error.errno == errno.ENOENT:
        return f"{where}no such file or folder: check the path"
    if error.errno == errno.EACCES:
        return f"{where}no permission: change the permissions of the file or folder and run again"
    return f"{where}{error.strerror}" if error.strerror else str(error)


def _end(text: str, *, status: int = 2) -> None:
    """Print one line without participant ids, which are in the names of raw data files."""
    print(f"error: {_PARTICIPANT.sub('[participant]', text)}", file=sys.stderr)
    raise SystemExit(status)
