import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from ptacl import config
from ptacl.models import heads, vit, weights

SETTINGS = config.Encoder(shape=[4, 20], patch=[1, 5], width=16, depth=2, heads=2)
DESCRIPTION = {
    "title": "PTACL",
    "summary": "A test of the folder.",
    "seed": 3,
    "experiment": {"sigma": 0.1},
}


def _modules() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "ecg": vit.VisionTransformer(SETTINGS),
        "ecg_projector": heads.projector(16, 8),
        "pool": nn.Identity(),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "ptacl-3"
    weights.save(path, _modules(), description=DESCRIPTION)
    return path


def test_what_is_saved_is_what_is_loaded(folder: Path) -> None:
    modules, description = weights.load(folder)
    assert description == DESCRIPTION
    assert modules.keys() == {"ecg", "ecg_projector", "pool"}
    for name, module in _modules().items():
        expected = module.state_dict()
        assert modules[name].keys() == expected.keys()
        assert all(torch.equal(modules[name][key], value) for key, value in expected.items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_types_are_kept(dtype: torch.dtype, tmp_path: Path) -> None:
    project = heads.projector(5, 3).to(dtype)
    weights.save(tmp_path, {"projector": project}, description={})
    loaded = weights.load(tmp_path)[0]["projector"]["weight"]
    assert loaded.dtype == dtype and torch.equal(loaded, project.weight)


def test_shared_and_transposed_tensors_are_saved(tmp_path: Path) -> None:
    a, b = nn.Linear(4, 4), nn.Linear(4, 4)
    b.weight = a.weight
    a.bias = nn.Parameter(torch.arange(16.0).view(4, 4).T[0])
    weights.save(tmp_path, {"a": a, "b": b}, description={})
    modules, _ = weights.load(tmp_path)
    assert torch.equal(modules["a"]["weight"], modules["b"]["weight"]) and torch.equal(
        modules["a"]["bias"], a.bias
    )


def test_encoder_is_rebuilt_from_the_folder_alone(folder: Path) -> None:
    expected, x = _modules()["ecg"], torch.randn(2, 4, 20)
    state = torch.random.get_rng_state()
    encoder = weights.encoder(folder, "ecg")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert encoder.settings == SETTINGS and not encoder.training
    assert torch.equal(encoder(x), expected(x))
    encoder(x).sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_saving_twice_gives_the_same_bytes_and_leaves_nothing_else(folder: Path) -> None:
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert before.keys() == {"model.safetensors", "config.json", "README.md"}
    weights.save(folder, _modules(), description=dict(reversed(DESCRIPTION.items())))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_card_says_what_the_model_is(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    count = sum(p.numel() for p in _modules()["ecg"].parameters())
    sizes = "4 x 20, patch 1 x 5, 2 layers, width 16"
    for part in (
        "# PTACL",
        "A test of the folder.",
        f"{count:,}",
        sizes,
        "Intended use",
        "not a medical",
    ):
        assert part in text, part
    assert "UK Biobank" in text and "fall under their terms" in text
    origin = text.split("```json\n")[1].split("\n```")[0]
    assert json.loads(origin) == {"seed": 3, "experiment": {"sigma": 0.1}}


def test_missing_folder_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere is missing: train"):
        weights.load(tmp_path / "nowhere")
    with pytest.raises(
        FileNotFoundError, match=r"no model\.safetensors and no config\.json; train"
    ):
        weights.load(tmp_path)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))

    def __init__(self, path: Path) -> None:
        self.path = path


@pytest.mark.parametrize("name", ["model.pt", "checkpoint.ckpt", "pytorch_model.bin"])
def test_a_pickle_is_named_and_never_opened(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / name).write_bytes(pickle.dumps(_Bomb(tmp_path / "exploded")))
    with pytest.raises(FileNotFoundError, match=f"{name} .*convert"):
        weights.load(folder)
    # Not even under the name of a safe file.
    weights.save(folder, _modules(), description={})
    (folder / "model.safetensors").write_bytes((folder / name).read_bytes())
    with pytest.raises(ValueError, match="damaged"):
        weights.load(folder)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", ["{}", "[1]", "not json", '{"format": "other"}'])
def test_foreign_config_is_refused(content: str, folder: Path) -> None:
    (folder / "config.json").write_text(content)
    for read in (lambda: weights.load(folder), lambda: weights.encoder(folder, "ecg")):
        with pytest.raises(ValueError, match=r"config\.json was not written by ptacl"):
            read()


def test_cut_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        weights.load(folder)


def test_weights_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    weights.save(other, {"cmr": vit.VisionTransformer(SETTINGS)}, description={})
    wider = SETTINGS.model_copy(update={"width": 32})
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"'cmr', which config\.json does not name"):
        weights.load(folder)
    weights.save(other, {"ecg": vit.VisionTransformer(wider)}, description={})
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match="do not fit"):
        weights.encoder(folder, "ecg")


def test_unknown_encoder_lists_the_known(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no encoder 'cmr'; it has \['ecg'\]"):
        weights.encoder(folder, "cmr")


def test_names_with_a_dot_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dot"):
        weights.save(tmp_path, {"a.b": nn.Linear(1, 1)}, description={})


def test_a_save_cut_short_leaves_no_weights_beside_another_description(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(tensors: object) -> bytes:
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.torch, "save", fail)
    with pytest.raises(OSError, match="full"):
        weights.save(folder, _modules(), description={"seed": 4})
    with pytest.raises(FileNotFoundError, match="no model"):
        weights.load(folder)
