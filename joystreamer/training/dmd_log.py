"""What distillation is doing, in numbers: by noise level, and by how text and audio agree.

The student's loss is not expected to fall, so these are what one watches. Sums and counts are kept,
so that several processes add up before anything is divided.
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

from joystreamer.training.dmd import Guidance, MatchingGradient, RealAndFake

TAU_EDGES = (0.0, 200.0, 400.0, 600.0, 800.0, 875.0, 900.0, 950.0, 1000.0)
"""Ends of the bins, cut where experts and the dynamic scale change."""


def tau_bins() -> tuple[str, ...]:
    """Names of the bins: '0200-0400' holds 200 < tau <= 400, as the dynamic scale's own '>'."""
    return tuple(f"{int(low):04d}-{int(high):04d}" for low, high in pairwise(TAU_EDGES))


class MatchingLog:
    """Running sums over the student's updates since the last report.

    Tables are (bins, columns): count, |real - fake|, normaliser, cosine between the text and the
    audio term, share above the threshold.
    """

    COLUMNS = ("count", "distance", "normaliser", "cosine", "above")

    def __init__(self) -> None:
        self.sums = torch.zeros(len(TAU_EDGES) - 1, len(self.COLUMNS), dtype=torch.float64)
        self.skipped = 0

    def add(
        self, tau: Tensor, judged: RealAndFake, update: MatchingGradient, guidance: Guidance
    ) -> None:
        """Note one batch."""
        text, audio = guidance.text_and_audio_terms(judged.terms, judged.audio_scale)
        cosine = torch.cosine_similarity(text.flatten(1), audio.flatten(1), dim=1)
        edges = torch.tensor(TAU_EDGES[1:-1], dtype=torch.float32)
        level = tau.detach().float().cpu()
        bins = torch.bucketize(level, edges)
        rows = torch.stack(
            [
                torch.ones_like(level),
                update.distance.cpu(),
                update.normaliser.cpu(),
                cosine.cpu(),
                (level > guidance.threshold).float(),
            ],
            dim=1,
        ).double()
        self.sums.index_add_(0, bins, rows)
        self.skipped += update.skipped

    def report(self, sums: Tensor | None = None) -> Mapping[str, float]:
        """Means per bin, and the share of tau above the threshold; then start anew.

        Args:
            sums: This log's sums added over all processes; its own if None.
        """
        table = self.sums if sums is None else sums.to(self.sums)
        lines: dict[str, float] = {}
        for name, row in zip(tau_bins(), table.tolist(), strict=True):
            count, distance, normaliser, cosine, _ = row
            if count:
                lines[f"tau/{name}/real_minus_fake"] = distance / count
                lines[f"tau/{name}/normaliser"] = normaliser / count
                lines[f"tau/{name}/cosine_text_audio"] = cosine / count
                lines[f"tau/{name}/draws"] = count
        total = float(table[:, 0].sum())
        if total:
            lines["tau/share_above_threshold"] = float(table[:, 4].sum()) / total
        lines["student/skipped_samples"] = float(self.skipped)
        self.sums.zero_()
        self.skipped = 0
        return lines
