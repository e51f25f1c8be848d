"""Heat maps of ECG phases against CMR phases over the heart cycle (Fig. 2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def draw_models(result: Mapping[str, object], *, paths: Sequence[Path]) -> None:
    """Draw one heat map per model, side by side, with a common colour scale."""
    models: list[dict[str, object]] = list(result["models"].values())  # type: ignore[attr-defined]
    titles = [f"{model['title']}\n{model['share']:.2f} near the diagonal" for model in models]
    draw(
        {title: np.asarray(model["matrix"]) for title, model in zip(titles, models, strict=True)},
        label="mean cosine",
        paths=paths,
    )


def draw(
    matrices: Mapping[str, NDArray[np.floating]], *, label: str, paths: Sequence[Path]
) -> None:
    """Draw heat maps (T, T) by title, side by side; `label` is the label of the colour scale."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    num_steps = len(next(iter(matrices.values())))
    low, high = min(m.min() for m in matrices.values()), max(m.max() for m in matrices.values())
    ticks = np.arange(0, num_steps, max(1, num_steps // 4))
    style = {"font.size": 9, "svg.hashsalt": "alignment", "axes.linewidth": 0.6}
    with matplotlib.rc_context(style):
        figure, axes = plt.subplots(
            1,
            len(matrices),
            figsize=(2.5 * len(matrices) + 0.9, 2.95),
            layout="constrained",
            squeeze=False,
        )
        for ax, (title, matrix) in zip(axes[0], matrices.items(), strict=True):
            mesh = ax.pcolormesh(
                matrix, cmap="viridis", vmin=low, vmax=high, edgecolors="face", linewidth=0.2
            )
            ax.set(aspect="equal", xlabel="CMR phase", xticks=ticks + 0.5, yticks=ticks + 0.5)
            ax.set_xticklabels(["ED", *map(str, ticks[1:])])
            ax.set_yticklabels(["ED", *map(str, ticks[1:])])
            ax.invert_yaxis()
            ax.tick_params(length=2)
            ax.set_title(title, fontsize=9)
        axes[0][0].set_ylabel("ECG phase")
        figure.colorbar(mesh, ax=axes[0].tolist(), label=label, shrink=0.85, pad=0.015)
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(path, dpi=200, metadata=metadata)
        plt.close(figure)
