"""Points of a line and a network that learns it."""

import torch
from torch import nn

CPU = torch.device("cpu")


class Points:
    """Points of a line with noise; notes what was collected, and may do something from one step
    on.
    """

    def __init__(self, count=10, *, slope=2.0, dtype=torch.float32):
        self.x = torch.linspace(-1, 1, count, dtype=dtype)[:, None]
        self.y = slope * self.x + 0.1 * torch.sin(20 * self.x)
        self.seen, self.steps, self.at, self.does = [], 0, -1, None

    def __len__(self):
        return len(self.x)

    def collect(self, samples, *, epoch):
        self.seen.append((epoch, samples.tolist()))
        return samples

    def finish(self, host, *, device):
        self.steps += 1
        if self.does is not None and self.steps >= self.at:
            self.does()
        return {"x": self.x[host], "y": self.y[host]}


class Fit(nn.Module):
    """Least squares of a small network."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(
                nn.Linear(1, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 1)
            ).to(dtype)

    def forward(self, batch):
        error = self.net(batch["x"]) - batch["y"]
        return {"loss": error.square().mean(), "error": error.detach().abs().mean()}
