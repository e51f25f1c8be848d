"""Export the embeddings of a run as a table: one row per visit, one column per number."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ptacl import participants
from ptacl.evaluation.inputs import WHOLE
from ptacl.files import whole

METADATA = "ptacl"  # key of the metadata in the parquet file


def export(run: Path, *, model: str, out: Path, arrays: Sequence[str] = ()) -> tuple[int, int]:
    """Write the embeddings of one model to a parquet file.

    The columns are visit, participant, instance, split and evaluate (the visit of a participant
    that the tables use), followed by the numbers of each array, such as `ecg_whole_0`. Without
    `arrays`, they are the mean embeddings `ecg_whole` and `cmr`, as far as the model has them. The
    metadata of the file, under the key `ptacl`, is JSON with the name and digest of the model and
    the width of each array.

    run : folder of a run, or its `results`. model : name and seed, such as `ptacl-0`. Returns the
    numbers of rows and columns. Raises ValueError or FileNotFoundError, which name what the run
    has instead.
    """
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    if out.suffix != ".parquet":
        raise ValueError(f"{out}: name a .parquet file, which keeps the digest of the model")
    private = participants.private_folder(run)
    path = private / "embeddings" / f"{model}.npz"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.npz"))) or "none"
        raise FileNotFoundError(f"{path} does not exist; {run} has embeddings of: {known}")
    with np.load(path, allow_pickle=False) as stored:
        visits = stored["visits"].tolist()
        found = {name: stored[name] for name in stored if "_local" not in name}
        wide = [n for n, of in found.items() if of.ndim == 2 and len(of) == len(visits)]
        chosen = list(arrays) or [name for name in (WHOLE, "cmr") if name in wide]
        if missing := [name for name in chosen if name not in wide]:
            raise ValueError(
                f"{path} has no array {missing[0]} with one row per visit; it has {', '.join(wide)}"
            )
        digest = str(stored["model"]) if "model" in stored else ""
        values = {name: found[name] for name in chosen}
    facts = participants.read(private / "participants.csv").set_index("visit", drop=False)
    rows = [i for i, visit in enumerate(visits) if visit in facts.index]
    facts = facts.loc[[visits[i] for i in rows], list(participants.FACTS)].reset_index(drop=True)
    columns: dict[str, np.ndarray] = {}
    for name, of in values.items():
        columns |= {f"{name}_{k}": of[rows, k] for k in range(of.shape[1])}
    table = pa.Table.from_pandas(
        pd.concat([facts, pd.DataFrame(columns)], axis=1), preserve_index=False
    )
    described = {
        "model": model,
        "digest": digest,
        "arrays": {name: of.shape[1] for name, of in values.items()},
    }
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), METADATA.encode(): json.dumps(described).encode()}
    )
    with whole(out) as partial:
        pq.write_table(table, partial)
    return table.num_rows, table.num_columns
