"""Copy the workflow into the wheel, so that `ptacl workflow DIR` can write it to a folder.

All other settings of the package are in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WORKFLOW = ("Snakefile", "config.yaml", "workflow", "profiles", "envs")


class BuildWithWorkflow(build_py):
    """Build the modules as usual, and add the workflow."""

    def run(self) -> None:
        """Copy the modules, then the workflow."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "ptacl", "workflow_files")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in WORKFLOW:
            if Path(name).is_dir():
                shutil.copytree(name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(name, target / name)


setup(cmdclass={"build_py": BuildWithWorkflow})
