"""A stage runs with memory that it keeps. What settings, files or disk forbid is one line and status 2, all else a traceback."""

import errno
import re
import sys
from collections.abc import Callable

from ptacl import memory

_PARTICIPANT = re.compile(r"(?<!\d)[1-9]\d{6}(?!\d)")


def run(main: Callable[[], None]) -> None:
    """Call the main function of a stage. SystemExit(2) after a ValueError or an OSError, whose text names file and remedy."""
    memory.keep()
    try:
        main()
    except OSError as error:
        _end(_of_system(error))
    except ValueError as error:
        _end(str(error))


def _of_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}the disk is full, or your quota is: free space and run again, what is finished stays"
    if error.errno == errno.EACCES:
        return f"{where}no permission: change the rights of the file or folder and run again"
    return f"{where}{error.strerror}" if error.strerror else str(error)


def _end(text: str) -> None:
    """Print a line without the number of a participant, as files of raw data have them in their names."""
    print(f"error: {_PARTICIPANT.sub('[participant]', text)}", file=sys.stderr)
    raise SystemExit(2)
