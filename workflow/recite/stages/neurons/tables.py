"""What is left without sets of neurons, how far rows share theirs, where these lie, and siblings' planted truth."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import COUNTED, LAYER, MODEL, with_interval

_GROUP = Column("group", pa.string(), "", "memorized, half or unmemorized by the row's score: for which it was drawn")
_WITHOUT = (
    Column(
        "ranking",
        pa.string(),
        "",
        "own or class: the row's neurons, or those of the other half of the carriers' texts; by attribution, by the "
        "distance of the activation from its mean, or, of siblings, from its twin's; random: as many of each layer as "
        "a set by attribution, or by the difference, has; none where k is 0",
    ),
    Column("k", pa.uint32(), "neuron", "neurons at their means"),
    Column("share", pa.float64(), "", "k over the model's neurons"),
    *COUNTED,
    *with_interval("score", "mean memorization score M with these neurons at their means"),
    *with_interval("recited", "share of the rows that are recited whole then"),
    *with_interval("lost", "log-probability of the true continuation that is lost, a token", "nat"),
)

NEURONS = Table(
    "neurons",
    (
        *MODEL,
        Column("rows", pa.string(), "", "natural, planted, or unseen: rows that the model was not trained on"),
        _GROUP,
        *_WITHOUT,
    ),
)
NEURON_OVERLAP = Table(
    "neuron_overlap",
    (
        *MODEL,
        Column(
            "comparison",
            pa.string(),
            "",
            "pairs of natural rows of different texts: within_domain and across_domains, both memorized; "
            "with_unmemorized, one of them; halves: the class's neurons by either half of its texts",
        ),
        Column("k", pa.uint32(), "neuron", "foremost neurons of each that are compared"),
        Column("neurons", pa.uint32(), "neuron", "neurons of the model"),
        *COUNTED,
        *with_interval("overlap", "Jaccard index of the two sets of neurons, mean over pairs", finite=False),
        Column("chance", pa.float64(), "", "mean of the index of two random sets of that size"),
        Column("chance_low", pa.float64(), "", "lower end of the interval that holds it for one pair"),
        Column("chance_high", pa.float64(), "", "upper end of the interval that holds it for one pair"),
    ),
)
NEURON_LAYERS = Table(
    "neuron_layers",
    (
        *MODEL,
        _GROUP,
        *LAYER,
        *COUNTED,
        *with_interval("share", "share of natural rows' foremost neurons by attribution that lie in the layer"),
    ),
)
NEURON_SIBLINGS = Table(
    "neuron_siblings",
    (
        *MODEL,
        Column("siblings", pa.uint16(), "model", "siblings over which the mean is taken, each with its twin"),
        Column(
            "group",
            pa.string(),
            "",
            "carriers: texts that a sibling saw and recites and its twin does not; others: texts that it has not seen",
        ),
        *_WITHOUT,
    ),
)
