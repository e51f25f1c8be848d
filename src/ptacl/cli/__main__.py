"""Run `python -m ptacl.cli`."""

import sys

from ptacl.cli import main

sys.exit(main())
