"""What every judge answers: one protocol for scoring, steering and showing where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..errors import AigcError
from ..payloads import JudgeSpec


@dataclass(frozen=True)
class Beside:
    """What is known beside the items x [B, ...] that are judged.

    sigma: [B], the noise of x = x0 + sigma eps, None for clean ones. prompts: one an item, or none. reference: [B or 1, ...].
    check_interrupt: to be called between the pieces of a long judgement.
    """

    sigma: torch.Tensor | None = None
    prompts: Sequence[str] = ()
    reference: torch.Tensor | None = None
    check_interrupt: Callable[[], None] = lambda: None


class Judge:
    """One open judge. Subclasses set `spec` and give `judged`; a higher score is better, always.

    chunk: how many are judged at once.
    """

    spec: JudgeSpec
    chunk = 16

    def parts(self) -> list[nn.Module]:
        """The modules that hold weights, for the memory manager."""
        return []

    def logit(
        self,
        x: torch.Tensor,
        *,
        sigma: torch.Tensor | None = None,
        prompts: Sequence[str] = (),
        reference: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The score [B] of x, in the judge's own space (`spec.space`); differentiable in x where `spec.differentiable`.

        sigma: [B], the noise of x = x0 + sigma eps, for a noise-aware judge. Not calibrated.
        """
        return self.judged(x, Beside(sigma, prompts, reference))

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        """What `logit` answers: the one thing that a subclass must give."""
        raise NotImplementedError

    def raw(self, logit: torch.Tensor) -> torch.Tensor:
        """The value in the judge's unit, from the score."""
        return logit

    def heatmap(self, x: torch.Tensor, *, prompts: Sequence[str] = ()) -> torch.Tensor:
        """Where x looks good: [B, h, w] whose mean is, or stands for, the logit.

        A judge without patches shows the gradient times x (Simonyan et al. 2013, arXiv 1312.6034; Shrikumar et al. 2016,
        arXiv 1605.01713). Raises AigcError when it has no gradient either.
        """
        if not self.spec.differentiable:
            raise AigcError(
                f"Expected a judge that can show where, got {self.spec.id}, which gives one number only: choose another."
            )
        with torch.inference_mode(False), torch.enable_grad():
            x = x.detach().clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.logit(x, prompts=prompts).sum(), x)
        return (slope * x.detach()).sum(1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the judge sees in x before it decides: [B, D], to compare sets by. Raises AigcError when it has none."""
        raise AigcError(
            f"Expected a trained judge as the feature net, got {self.spec.id}, which sees one number only: connect a trained "
            "one, or none."
        )
