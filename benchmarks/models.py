"""A training step of both autoencoders at the paper's shapes, against transformers models of the
same sizes.

ViTMAE only takes square images and patches. Its patches have 25 values instead of 50, which hardly
matters, and three of its functions are replaced to allow the shape. Both are measured in float32,
and also in bfloat16 if the processor multiplies bfloat16 faster.
"""

import statistics
from collections.abc import Callable, Iterator

import torch
from common import Row, in_turns, rate, seconds
from torch import Tensor, nn

from ptacl import config, memory
from ptacl.models import mae, vit

BATCH, WIDTH, HEADS, DECODER = 16, 512, 8, config.Decoder(width=256, depth=1, heads=4)
ECG_STEP_GFLOP = (
    21.9  # a sample, both passes: encoder (visible), decoder (all), head (masked tokens)
)


def step_of(module: nn.Module, loss: Callable[[], Tensor], *, bfloat16: bool) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(
        [p for p in module.parameters() if p.requires_grad], lr=1e-4, fused=True
    )

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            value = loss()
        value.backward()
        optimizer.step()

    return step


def fast_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 faster than float32.

    Without units for bfloat16 it takes three times as long.
    """
    times = {}
    for kind in (torch.float32, torch.bfloat16):
        square = torch.rand(1024, 1024).to(kind)
        times[kind] = min(seconds(lambda square=square: square @ square) for _ in range(5))
    return times[torch.bfloat16] < 0.8 * times[torch.float32]


def ours(
    shape: list[int], patch: list[int], *, depth: int, mask_ratio: float, bfloat16: bool
) -> Callable[[], None]:
    encoder = vit.VisionTransformer(
        config.Encoder(shape=shape, patch=patch, width=WIDTH, depth=depth, heads=HEADS)
    )
    model = mae.MAE(encoder, DECODER, mask_ratio=mask_ratio)
    x = torch.rand(BATCH, *shape)
    return step_of(
        model, lambda: model(x, torch.rand(BATCH, encoder.num_tokens))["loss"], bfloat16=bfloat16
    )


def sizes(depth: int) -> dict[str, int]:
    return {
        "hidden_size": WIDTH,
        "num_hidden_layers": depth,
        "num_attention_heads": HEADS,
        "intermediate_size": 4 * WIDTH,
        "decoder_hidden_size": DECODER.width,
        "decoder_num_hidden_layers": DECODER.depth,
        "decoder_num_attention_heads": DECODER.heads,
        "decoder_intermediate_size": 4 * DECODER.width,
    }


def vit_mae(*, bfloat16: bool) -> Callable[[], None]:
    from transformers import ViTMAEConfig, ViTMAEForPreTraining
    from transformers.models.vit_mae import modeling_vit_mae as theirs

    theirs.ViTMAEEmbeddings.initialize_weights = lambda self: None
    theirs.ViTMAEDecoder.initialize_weights = lambda self, num_patches: None
    settings = ViTMAEConfig(
        image_size=(60, 250), patch_size=5, num_channels=1, mask_ratio=0.75, **sizes(6)
    )
    settings._attn_implementation = "sdpa"
    model = ViTMAEForPreTraining(settings)
    model.patchify = lambda x, interpolate_pos_encoding=False: vit.patchify(x[:, 0], (5, 5))
    x = torch.rand(BATCH, 1, 60, 250)
    return step_of(model, lambda: model(x).loss, bfloat16=bfloat16)


def video_mae(frames: int, *, bfloat16: bool) -> Callable[[], None]:
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    settings = VideoMAEConfig(
        image_size=84,
        patch_size=12,
        num_channels=1,
        num_frames=frames,
        tubelet_size=2,
        norm_pix_loss=True,
        **sizes(4),
    )
    settings._attn_implementation = "sdpa"
    model = VideoMAEForPreTraining(settings)
    tokens = frames // 2 * 49
    hidden = tokens - mae.num_visible(tokens, 0.9)
    x = torch.rand(BATCH, frames, 1, 84, 84)

    def loss() -> Tensor:
        masked = torch.zeros(BATCH, tokens, dtype=torch.bool)
        for row in masked:
            row[torch.randperm(tokens)[:hidden]] = True
        return model(x, bool_masked_pos=masked).loss

    return step_of(model, loss, bfloat16=bfloat16)


def rows(rounds: int) -> Iterator[Row]:
    memory.keep()
    for bfloat16 in (False, True) if fast_bfloat16() else (False,):
        how, kind = {"bfloat16": bfloat16}, ", both in bfloat16" if bfloat16 else ""
        step = ours([12, 2500], [1, 50], depth=6, mask_ratio=0.75, **how)
        times = in_turns(step, vit_mae(**how), rounds=rounds)
        yield rate(
            f"ECG MAE step, batch {BATCH}, 600 tokens{kind}",
            BATCH,
            "samples/s",
            times,
            None if bfloat16 else 1.3,
        )
        if not bfloat16:
            yield of_products(step, rounds)
        for frames, floor in ((26, 1.35), (50, 1.45)):
            step = ours([frames, 84, 84], [2, 12, 12], depth=4, mask_ratio=0.9, **how)
            times = in_turns(step, video_mae(frames, **how), rounds=rounds)
            yield rate(
                f"CMR MAE step, batch {BATCH}, {frames} frames{kind}",
                BATCH,
                "samples/s",
                times,
                None if bfloat16 else floor,
            )


def of_products(step: Callable[[], None], rounds: int) -> Row:
    """Compare operations per second of an ECG step with those of a product of two matrices."""
    square = torch.rand(2048, 2048)
    both = [
        (BATCH * ECG_STEP_GFLOP / seconds(step), 2 * 2.048**3 / seconds(lambda: square @ square))
        for _ in range(rounds + 1)
    ]
    mine, gemm = (statistics.median(column) for column in zip(*both[1:], strict=True))
    ratio = statistics.median(a / b for a, b in both[1:])
    return Row("the same against a matrix product of 2048", mine, gemm, "GFLOP/s", ratio, 0.87)
