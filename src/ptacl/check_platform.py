"""Estimate the time and cost of a run on machines of UK Biobank's platform."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ptacl import check_needs, config, training_cost

MOUNT = "/mnt/project"  # where jobs of the platform find the files of their project


class Machine(NamedTuple):
    """A machine type: its GPU, its cores and the peak rate of its GPU in operations per second.

    `share` is the fraction of the peak rate that a training is expected to reach.
    """

    gpu: str
    cores: int
    peak: float
    share: float = check_needs.SHARE_GPU
    bfloat16: bool = True


# Machine types of the `dx` catalogue (dx-toolkit 0.417.1); your project may allow others. The T4
# has no units for bfloat16, and is given its rate for float32, of which a training reaches more.
MACHINES = {
    "mem2_ssd2_gpu1_v2_x16": Machine("L4 24 GB", 16, 121e12),
    "mem2_ssd2_gpu1_x16": Machine("A10G 24 GB", 16, 70e12),
    "mem2_ssd1_gpu_x16": Machine("T4 16 GB", 16, 8.1e12, share=0.5, bfloat16=False),
    "mem2_ssd1_v2_x16": Machine("no GPU", 16, 0.0),
}


def concerns(settings: config.Config) -> bool:
    """Return whether the configuration reads files of the platform."""
    folders = [*settings.cohort.ecg_folders, *settings.cohort.cmr_folders]
    return any(str(folder).startswith(MOUNT) for folder in folders)


def prices(texts: list[str]) -> dict[str, float]:
    """Return pounds per hour by machine type, from texts such as "mem2_ssd2_gpu1_v2_x16=1.2".

    Raises
    ------
    ValueError
        If a text has another form, or the price is no positive number.
    """
    found = {}
    for text in texts:
        machine, _, price = text.partition("=")
        try:
            found[machine] = float(price)
        except ValueError:
            found[machine] = 0.0
        if not found[machine] > 0:
            raise ValueError(f"--price {text}: expected MACHINE=POUNDS_PER_HOUR")
    if unknown := found.keys() - MACHINES.keys():
        raise ValueError(
            f"--price: unknown machine {min(unknown)}; known are {', '.join(MACHINES)}"
        )
    return found


def facts(
    settings: config.Config,
    *,
    visits: int,
    seconds: Mapping[str, float],
    prices: Mapping[str, float],
) -> dict[str, str]:
    """Return the estimated time of a run on each machine, and its cost where a price is given.

    `seconds` is the measured preparation time per record, by modality. The machine without a GPU
    only prepares the recordings, and those with a GPU do everything else.
    """
    works = training_cost.trainings(settings, visits=visits)
    total = sum(work.flops for work in works.values())
    found = {}
    for name, machine in MACHINES.items():
        if machine.peak:
            duration = total / (machine.share * machine.peak)
            text = f"trainings about {check_needs.hours(duration)}"
        elif seconds:
            duration = sum(seconds.values()) * visits / machine.cores
            text = f"preparation at least {check_needs.hours(duration)}; the mount can be slower"
        else:
            continue
        if name in prices:
            text += f", £{prices[name] * duration / 3600:.2f} at £{prices[name]:.2f} per hour"
        if not machine.bfloat16:
            text += "; no bfloat16: needs precision: float32"
        found[f"{name} ({machine.gpu})"] = text
    return found


def section(
    settings: config.Config,
    *,
    visits: int,
    seconds: Mapping[str, float],
    prices: Mapping[str, float],
) -> dict[str, Any]:
    """Return the facts under their title, for a run on the platform or if prices are given."""
    if not (concerns(settings) or prices):
        return {}
    found = facts(settings, visits=visits, seconds=seconds, prices=prices)
    return {"machines of UK Biobank's platform, estimates": found}
