"""The results of preparation, merged over the shards of a modality."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ptacl import participants


@dataclass(frozen=True)
class Prepared:
    """The merged manifests of all shards of one modality.

    `usable` are visits, `excluded` are rows (visit, reason, detail), and `quality` is by visit.
    `stored` is a digest of the visits and arrays that does not depend on their quality.
    """

    usable: frozenset[str]
    excluded: list[dict[str, str]]
    quality: dict[str, dict[str, Any]]
    stored: str = ""

    def reasons(self, visits: Collection[str]) -> dict[str, str]:
        """Return the reason for each of these visits that is excluded."""
        return {row["visit"]: row["reason"] for row in self.excluded if row["visit"] in visits}


def merge(shards: Iterable[Mapping[str, Any]]) -> Prepared:
    """Merge the shards of one modality."""
    usable: set[str] = set()
    excluded: list[dict[str, str]] = []
    quality: dict[str, dict[str, Any]] = {}
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(json.dumps([shard["visits"], shard.get("stored")]).encode())
        usable.update(shard["visits"])
        excluded.extend(shard["excluded"])
        quality.update(shard["quality"])
    excluded.sort(key=lambda row: participants.visit_order(row["visit"]))
    return Prepared(frozenset(usable), excluded, quality, digest.hexdigest())


def check(visits: Iterable[str], prepared: Prepared, *, stage: str) -> None:
    """Raise ValueError unless the shards hold exactly the visits of the manifest.

    Shards of an old run can hold more, for instance the visits of a withdrawn participant.
    """
    expected, seen = set(visits), prepared.usable | {row["visit"] for row in prepared.excluded}
    if seen != expected:
        raise ValueError(
            f"{stage}: {len(seen - expected)} prepared visits are not in the manifest "
            "(withdrawn, or of an old run) and "
            f"{len(expected - seen)} visits of the manifest are not prepared: run the "
            f"{stage} preparation of every shard again"
        )
