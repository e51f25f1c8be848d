"""Training curves of a finished run as one small figure: validation loss of every model, seeds
together, chance dashed.

python docs/benchmark/curves.py RESULTS OUT.svg
"""

import csv
import math
import sys
from collections import defaultdict
from pathlib import Path


def main(results: Path, out: Path) -> None:
    """Draw the figure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    runs = defaultdict(list)
    for path in sorted((results / "training").glob("*.csv")):
        rows = list(csv.DictReader(path.open()))
        if rows and "validation_loss" in rows[0]:
            runs[path.stem.rpartition("-")[0]].append(rows)
    columns = 3
    with matplotlib.rc_context(
        {"font.size": 8, "svg.hashsalt": "curves", "axes.linewidth": 0.6, "svg.fonttype": "none"}
    ):
        lines = math.ceil(len(runs) / columns)
        figure, axes = plt.subplots(
            lines, columns, figsize=(7.5, 1.9 * lines), layout="constrained", squeeze=False
        )
        for ax in axes.flat[len(runs) :]:
            ax.axis("off")
        for ax, (name, seeds) in zip(axes.flat, runs.items(), strict=False):
            term = "global" if "validation_global" in seeds[0][0] else "loss"
            for rows in seeds:
                epochs = [int(row["epoch"]) for row in rows]
                ax.plot(
                    epochs,
                    [float(row[f"validation_{term}"]) for row in rows],
                    color="#17697f",
                    linewidth=0.9,
                )
                ax.plot(
                    epochs,
                    [float(row[f"train_{term}"]) for row in rows],
                    color="#a65e1f",
                    linewidth=0.9,
                )
            if term == "global":
                ax.axhline(
                    float(seeds[0][-1]["train_global_chance"]),
                    color="#555555",
                    linewidth=0.7,
                    linestyle="--",
                )
            ax.set_title(f"{name}, {term}", fontsize=8)
            ax.tick_params(length=2)
        figure.suptitle(
            "blue validation, brown training, dashed: guessing; over epochs", fontsize=8
        )
        figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
