"""Several interventions at once."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from recite.engine.continuation import Intervention, Pass


def together(interventions: Sequence[Intervention]) -> Intervention:
    """All of them in one pass."""

    @contextmanager
    def intervene(pass_: Pass) -> Iterator[None]:
        with ExitStack() as stack:
            for intervention in interventions:
                stack.enter_context(intervention(pass_))
            yield

    return intervene
