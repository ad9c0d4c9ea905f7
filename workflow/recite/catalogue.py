"""The stages that a study may be made of, in the order in which they run and are reported."""

from recite.comparison.claims.stage import STAGE as CLAIMS
from recite.comparison.domains.stage import STAGE as DOMAINS
from recite.comparison.factorial.stage import STAGE as FACTORIAL
from recite.comparison.measures.stage import STAGE as MEASURES
from recite.comparison.published.stage import STAGE as PUBLISHED
from recite.comparison.scaling.stage import STAGE as SCALING
from recite.comparison.signatures.stage import STAGE as SIGNATURES
from recite.report.stage import STAGE as REPORT
from recite.stages.attention.stage import STAGE as ATTENTION
from recite.stages.batching.stage import STAGE as BATCHING
from recite.stages.compressibility.stage import STAGE as COMPRESSIBILITY
from recite.stages.counterfactual.stage import STAGE as COUNTERFACTUAL
from recite.stages.dimension.stage import STAGE as DIMENSION
from recite.stages.erasing.stage import STAGE as ERASING
from recite.stages.examples.stage import STAGE as EXAMPLES
from recite.stages.extraction.stage import STAGE as EXTRACTION
from recite.stages.frequency.stage import STAGE as FREQUENCY
from recite.stages.heads.stage import STAGE as HEADS
from recite.stages.lens.stage import STAGE as LENS
from recite.stages.models.stage import STAGE as MODELS
from recite.stages.near_verbatim.stage import STAGE as NEAR_VERBATIM
from recite.stages.neurons.stage import STAGE as NEURONS
from recite.stages.noise.stage import STAGE as NOISE
from recite.stages.offsets.stage import STAGE as OFFSETS
from recite.stages.predictability.stage import STAGE as PREDICTABILITY
from recite.stages.recovery.stage import STAGE as RECOVERY
from recite.stages.sampling.stage import STAGE as SAMPLING
from recite.stages.scoring.stage import STAGE as SCORING
from recite.stages.sublayers.stage import STAGE as SUBLAYERS
from recite.stages.trajectory.stage import STAGE as TRAJECTORY
from recite.stages.tuned_lens.stage import STAGE as TUNED_LENS
from recite.stages.verification.stage import STAGE as VERIFICATION

STAGES = (
    SAMPLING,
    MODELS,
    BATCHING,
    SCORING,
    MEASURES,
    SCALING,
    DOMAINS,
    NEAR_VERBATIM,
    EXTRACTION,
    TRAJECTORY,
    COMPRESSIBILITY,
    OFFSETS,
    FREQUENCY,
    PREDICTABILITY,
    COUNTERFACTUAL,
    EXAMPLES,
    NOISE,
    RECOVERY,
    LENS,
    TUNED_LENS,
    DIMENSION,
    HEADS,
    ATTENTION,
    SUBLAYERS,
    ERASING,
    NEURONS,
    SIGNATURES,
    FACTORIAL,
    CLAIMS,
    PUBLISHED,
    REPORT,
    VERIFICATION,
)
