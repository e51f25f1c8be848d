import resource
import subprocess
import sys

import pytest

from ptacl import memory

FAULTS = """
import resource
import torch
from ptacl import memory
torch.set_num_threads(1)
kept = KEEP and memory.keep()
for i in range(20):
    if i == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(8 << 20)  # 32 MiB
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="settings of glibc")
def test_a_block_that_was_given_back_is_not_mapped_anew():
    """The least of three runs, because other work of the process can map a block too."""
    faults = {True: sys.maxsize, False: sys.maxsize}
    for keep in (True, False) * 3:
        run = subprocess.run(
            [sys.executable, "-c", FAULTS.replace("KEEP", str(keep))],
            capture_output=True,
            text=True,
            check=True,
        )
        kept, count = run.stdout.split()
        if keep and kept != "True":
            pytest.skip("another C library")
        faults[keep] = min(faults[keep], int(count))
    pages = 10 * (32 << 20) // resource.getpagesize()
    assert faults[True] < 0.01 * pages
    assert faults[True] < 0.2 * faults[False]


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.keep()
