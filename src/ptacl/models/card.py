"""Write the card of a model folder: the model, its purpose, and its origin."""

import json
from collections.abc import Mapping
from typing import Any

_CARD = """# {title}

{summary}

| part | parameters | input |
|---|---|---|
{sizes}

## Intended use
This model is for research on what an ECG reveals about the structure and function of the heart,
with embeddings, linear probes, retrieval and fine-tuning. It is not a medical device: do not use it
for the diagnosis or treatment of a person. Inputs must be prepared as in training. Performance
outside the population and the devices of the training data is unknown.

## Data
Weights trained on individual-level data of UK Biobank are derived from those data and
fall under their terms: keep them only where the data are allowed to be, and clear it with UK
Biobank before you share or publish them. Weights trained on the simulated cohort contain no data of
real people.

## Use
```python
import ptacl

model = ptacl.Model.load("FOLDER")  # this folder
table = model.embed(["ecg.xml"])  # or an array of leads in mV: model.embed(signal, rate_hz=500)
table = model.predict(["ecg.xml"])  # phenotypes with intervals; needs probe.json in this folder
# and risks of diseases, if this folder has risk.json
```

## Files
`{weights}` contains the tensors (no pickle); any reader of safetensors can open it. `{config}`
contains the sizes, the preparation of inputs and the origin. `probe.json` contains the linear probe
of the phenotypes and its performance on test participants. `risk.json`, if it exists, contains
linear models of diseases.

## Origin
```json
{origin}
```
"""


def text(facts: Mapping[str, Any], *, weights: str, settings: str) -> str:
    """Return the model card, in Markdown.

    `facts` is the content of config.json. `weights` and `settings` are the names of the weights
    file and of config.json.
    """
    origin = dict(facts["description"])
    title = origin.pop("title", "ECG and cardiac MRI model")
    summary = origin.pop(
        "summary", "Representations of 12-lead ECG and short-axis cine cardiac MRI."
    )
    sizes = "\n".join(
        f"| {name} | {count:,} | {_input(facts, name)} |"
        for name, count in sorted(facts["parameters"].items())
    )
    facts_text = json.dumps(origin, indent=2, sort_keys=True)
    return _CARD.format(
        title=title,
        summary=summary,
        sizes=sizes,
        weights=weights,
        config=settings,
        origin=facts_text,
    )


def _input(facts: Mapping[str, Any], name: str) -> str:
    if name not in facts["encoders"]:
        return "tokens or embeddings"
    settings = facts["encoders"][name]
    shape = " x ".join(map(str, settings["shape"]))
    if "patch" not in settings:
        return f"{shape}, ResNet-50 with {settings['base_width']} channels at first"
    patch = " x ".join(map(str, settings["patch"]))
    return f"{shape}, patch {patch}, {settings['depth']} layers, width {settings['width']}"
