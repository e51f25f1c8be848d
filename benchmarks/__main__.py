"""All benchmarks one after another: `make benchmark`."""

import runpy
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

if __name__ == "__main__":
    for script in sorted(HERE.glob("*.py")):
        if script.name != "__main__.py":
            print(f"== {script.stem}: {runpy.run_path(str(script))['__doc__'].splitlines()[0]}", flush=True)
            subprocess.run([sys.executable, script], check=True)
