"""Stage: pre-train the encoder of one modality as a masked autoencoder (Sec. 3.1). Also under torchrun."""

import argparse
import logging
from pathlib import Path

from pydantic import Field

from ptacl.config import CmrPretraining, EcgPretraining, Section
from ptacl.config import Encoder as EncoderSettings
from ptacl.learning import processes, run
from ptacl.learning.data import Samples, Zscore, digest, load, read_participants, split_participants
from ptacl.learning.objectives import Reconstruction, initial_weights
from ptacl.models.mae import MAE
from ptacl.models.vit import Encoder


class Input(Section):
    """What of the section `encoders` this stage uses: the settings of the other modality's encoder must not rerun it."""

    zscore: Zscore = Field(description="axis of the ECG z-score")
    encoder: EncoderSettings = Field(description="encoder of the modality")


def build(modality: str, *, sizes: EncoderSettings, settings: EcgPretraining | CmrPretraining, seed: int) -> Reconstruction:
    """The objective with its initial weights: `.mae.encoder`, `.mae.decoder`."""
    with initial_weights(seed, modality):
        encoder = Encoder(sizes)
    with initial_weights(seed, f"{modality} decoder"):
        mae = MAE(encoder, settings.decoder, mask_ratio=settings.mask_ratio)
    return Reconstruction(mae, modality=modality)


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modality", required=True, choices=["ecg", "cmr"], help="which encoder to train")
    parser.add_argument("--shards", required=True, nargs="+", type=Path, help="manifests k.json of this modality's stores")
    parser.add_argument("--encoders", required=True, metavar="JSON", help="zscore of the section encoders, and one encoder of it")
    run.add_arguments(parser)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    inputs = Input.model_validate_json(options.encoders)
    is_ecg = options.modality == "ecg"
    settings = (EcgPretraining if is_ecg else CmrPretraining).model_validate_json(options.settings)
    with processes.started() as device:
        table = read_participants(options.participants, splits=["train", "validation"])
        ecg, cmr = (options.shards, []) if is_ecg else ([], options.shards)
        recordings = load(table["visit"].tolist(), ecg=ecg, cmr=cmr, zscore=inputs.zscore)
        objective = build(options.modality, sizes=inputs.encoder, settings=settings, seed=options.seed)
        data, validation = (
            Samples(
                recordings,
                split_participants(table, split),
                sizes={options.modality: inputs.encoder},
                seed=options.seed,
                masked=objective.mae.encoder.num_tokens,
                ecg=settings.augmentation if isinstance(settings, EcgPretraining) else None,
                cmr=settings.augmentation if isinstance(settings, CmrPretraining) else None,
            )
            for split in ("train", "validation")
        )
        facts = {"settings": settings.model_dump(mode="json"), "encoders": inputs.model_dump(mode="json"), "seed": options.seed}
        facts |= {"stage": "pretrain", "modality": options.modality, "code": options.identity}
        run.run(
            objective,
            data,
            validation=validation,
            training=settings.training,
            seed=options.seed,
            device=device,
            places=run.Places(options.state, options.out, options.metrics),
            identity=facts | {"data": digest(recordings, table)},
            modules={options.modality: objective.mae.encoder, "decoder": objective.mae.decoder},
            description=facts | {"title": f"{options.modality.upper()} masked autoencoder"},
        )


if __name__ == "__main__":
    main()
