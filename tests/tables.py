"""Long tables of results in the paper's layout, for tests that read or change single numbers."""

import pandas as pd

KEYS = ["input", "method", "evaluation", "model", "paper", "direction", "gallery", "shown"]


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method, with a column per number.

    LVEF_R2 has its interval in LVEF_R2_low and LVEF_R2_high, its difference from the reference in
    LVEF_R2_difference, and the p value of the difference in LVEF_R2_p.
    """
    overall = table[table["seed"].isna() & (table["group"] == "all")].fillna({"reference": ""})
    keys = [key for key in (*KEYS, "n_train", "n_test", "seeds", "confidence") if key in table]
    rows = []
    for identity, lines in overall.groupby(keys, sort=False, dropna=False):
        row = dict(zip(keys, identity, strict=True))
        for line in lines.fillna({"phenotype": ""}).to_dict("records"):
            name = f"{line['phenotype']}_{line['statistic']}".lstrip("_").replace(" ", "_")
            if line["reference"]:
                row[f"{name}_p"], row[f"{name}_p_holm"] = line["p"], line.get("p_holm")
                name += "_difference"
            row |= {name: line["value"], f"{name}_low": line["low"], f"{name}_high": line["high"]}
        rows.append(row)
    return pd.DataFrame(rows)


def change(
    table: pd.DataFrame,
    where: pd.Series,
    *,
    phenotype: str = "mean",
    statistic: str = "R2",
    difference: bool = False,
    **numbers: float,
) -> None:
    """Set value, low, high or p of one number over all seeds, in the rows of a mask."""
    compared = table["reference"].fillna("") != ""
    lines = where & table["seed"].isna() & (table["phenotype"] == phenotype)
    lines &= (table["statistic"] == statistic) & (compared == difference)
    assert lines.any()
    table.loc[lines, list(numbers)] = list(numbers.values())
