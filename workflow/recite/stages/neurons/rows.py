"""What each drawn row's neurons are attributed, what it loses without sets of them, and the neurons of a class."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table
from recite.tables.columns import INCLUSION

TOP = 100
"""Neurons of a row that are named."""
OWN, CLASS = "own", "class"
ATTRIBUTION, DISTANCE, DIFFERENCE = "attribution", "distance", "difference"
"""By what neurons are ranked; the last is of siblings."""
RANDOM = "random"
"""As many neurons of each layer as a ranked set has."""
RANKINGS = (
    "own_attribution",
    "own_distance",
    "own_random",
    "class_attribution",
    "class_distance",
    "class_random",
)
"""Sets of neurons: the row's own, or those of the other half of the carriers' texts; random ones after attribution."""
SIBLING_RANKINGS = (*RANKINGS[3:], "class_difference", "class_difference_random")
CARRIERS, OTHERS = "carriers", "others"
"""Groups of a sibling's rows: recited where their texts were seen, and not without; and texts that it has not seen."""
_WITHOUT = "with sets of neurons at their means, by ranking of the file and then by size of the set"

NEURON_ROWS = Table(
    "neuron_rows",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it"),
        Column("domain", CATEGORY, "", "domain of the row"),
        INCLUSION,
        Column(
            "group", CATEGORY, "", "class by the row's score for which it was drawn; of siblings carriers or others"
        ),
        Column("drawn_share", pa.float64(), "", "share of the rows of that group and domain that was drawn"),
        Column("half", pa.uint8(), "", "0 or 1: half of the texts; its class neurons are those of the other half"),
        Column("clean_hits", pa.uint8(), "token", "true tokens of the whole model's greedy continuation"),
        Column("clean_log_probability", pa.float32(), "nat", "of the true continuation under the whole model"),
        Column("bare_log_probability", pa.float32(), "nat", "the same with all neurons at their means"),
        Column("attributed", pa.float32(), "nat", "sum of all neurons' attributions: clean less bare, to rounding"),
        Column("top_layer", pa.list_(pa.uint16()), "layer", "layers of the neurons of the greatest attributions"),
        Column("top_neuron", pa.list_(pa.uint32()), "neuron", "which neurons of their layers these are, from 0"),
        Column("top_attribution", pa.list_(pa.float32()), "nat", "their attributions, falling"),
        Column("hits", pa.list_(pa.uint8()), "token", f"true tokens of the greedy continuation {_WITHOUT}"),
        Column("log_probability", pa.list_(pa.float32()), "nat", f"of the true continuation {_WITHOUT}"),
    ),
)

CLASS_NEURONS = Table(
    "class_neurons",
    (
        Column("half", pa.uint8(), "", "half of the carriers' texts, 0 or 1, over which the mean is taken"),
        Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
        Column("neuron", pa.uint32(), "neuron", "neuron of the layer, from 0"),
        Column("attribution", pa.float32(), "nat", "its mean attribution, the greatest first"),
    ),
)
