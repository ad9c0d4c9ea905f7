"""Sets of neurons: whose they are, in which layers, and rows without them in blocks as one by one."""

import numpy as np
import torch
from test_neuron_attribution import STEPS, likelihood, on_the_way
from torch import Tensor
from transformers import PreTrainedModel

from recite.checkpoints.loading import Checkpoint
from recite.stages.neurons.measure.ablation import chosen_of, without_sets
from recite.stages.neurons.measure.attribution import neuron_means
from recite.stages.neurons.measure.sets import Ranking, alike, halves_of, layers_of, sets_of, shuffled
from recite.stages.neurons.rows import ATTRIBUTION, DIFFERENCE, DISTANCE, RANKINGS, SIBLING_RANKINGS

SIZES = [5, 8, 3]


def test_halves_of_texts() -> None:
    """Equal texts are of one half, and the carriers' fall into both alike, however few."""
    texts, carriers = [11, 12, 13, 11, 14, 15, 16, 12], np.array([1, 1, 1, 1, 0, 1, 0, 1], bool)
    halves = halves_of(texts, carriers, 7)
    assert set(halves.tolist()) == {0, 1}
    assert halves[0] == halves[3] and halves[1] == halves[7]
    assert np.bincount(halves[[0, 1, 2, 5]]).tolist() == [2, 2]
    order = [3, 7, 5, 0, 2, 1, 4, 6]
    assert halves_of([texts[row] for row in order], carriers[order], 7).tolist() == halves[order].tolist()


def ranked(values: Tensor, halves: np.ndarray, carriers: np.ndarray) -> Ranking:
    found = Ranking(halves, carriers, 6)
    for start in range(0, len(values), 3):
        rows = slice(start, min(start + 3, len(values)))
        found.add(rows, ATTRIBUTION, values[rows])
        found.add(rows, DISTANCE, -values[rows])
        found.add(rows, DIFFERENCE, values[rows].flip(1))
    return found


def test_sets() -> None:
    """By brute force: own ones by the row's values, the class's by the means of the other half's carriers."""
    values = torch.randn(8, sum(SIZES), generator=torch.Generator().manual_seed(1))
    halves, carriers = np.array([0, 1, 0, 1, 1, 0, 0, 1]), np.array([1, 1, 1, 1, 0, 1, 0, 1], bool)
    found = ranked(values, halves, carriers).ranked()
    ids, ladder = list(range(100, 108)), [2, 6]
    numbers = values.double().numpy()
    for row, sets in enumerate(sets_of(found, RANKINGS, ladder, SIZES, ids, halves, 5)):
        by = dict(zip([(ranking, k) for ranking in RANKINGS for k in ladder], sets, strict=True))
        others = numbers[carriers & (halves != halves[row])].mean(axis=0)
        for k in ladder:
            assert by["own_attribution", k].tolist() == np.argsort(-numbers[row])[:k].tolist()
            assert by["own_distance", k].tolist() == np.argsort(numbers[row])[:k].tolist()
            assert by["class_attribution", k].tolist() == np.argsort(-others)[:k].tolist()
            assert by["class_distance", k].tolist() == np.argsort(others)[:k].tolist()
            for whose in ("own", "class"):
                layers = [
                    np.bincount(layers_of(by[f"{whose}_{name}", k], SIZES)["layer"], minlength=3).tolist()
                    for name in ("attribution", "random")
                ]
                assert layers[0] == layers[1]
                assert len(set(by[f"{whose}_random", k].tolist())) == k
            assert set(by["own_random", 2].tolist()) <= set(by["own_random", 6].tolist())
    first = next(iter(sets_of(found, SIBLING_RANKINGS, ladder, SIZES, ids, halves, 5)))
    by = dict(zip([(ranking, k) for ranking in SIBLING_RANKINGS for k in ladder], first, strict=True))
    mean = numbers[carriers & (halves == 1)].mean(axis=0)[::-1]
    assert by["class_difference", 6].tolist() == np.argsort(-mean)[:6].tolist()
    pair = (layers_of(by[name, 6], SIZES)["layer"] for name in ("class_difference", "class_difference_random"))
    assert len({tuple(np.bincount(layers, minlength=3).tolist()) for layers in pair}) == 1


def test_random_neurons() -> None:
    """Every neuron is as likely as another of its layer, and text and layer alone decide."""
    drawn = np.array([shuffled(8, 3, text, 1) for text in range(4000)])
    assert (np.sort(drawn) == np.arange(8)).all()
    counts = np.bincount(drawn[:, 0], minlength=8)
    assert (np.abs(counts - 500) < 5 * np.sqrt(500 * 7 / 8)).all()
    assert shuffled(8, 3, 1, 2).tolist() != shuffled(8, 3, 1, 1).tolist() != shuffled(8, 3, 2, 1).tolist()
    order = [np.arange(size)[::-1] for size in SIZES]
    assert alike(np.array([0, 4, 13, 5]), order, SIZES).tolist() == [4, 3, 12, 15]


def test_rows_without_sets(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor) -> None:
    """In blocks of several rows and sets: as each in the plain model by itself, and as without where a set is empty."""
    text = context[:5, :20]
    means = neuron_means(checkpoint, text, STEPS, 8)
    flat, size = list(means.values()), sum(map(len, means.values()))
    rng = np.random.default_rng(4)
    sets = [[np.zeros(0, np.int64), *(rng.permutation(size)[:k] for k in (9, 60))] for _ in range(5)]
    found = without_sets(checkpoint, text, STEPS, 2, sets, means)
    for row, own in enumerate(sets):
        for place, numbers in enumerate(own):
            scales = torch.ones(size)
            scales[torch.from_numpy(numbers)] = 0
            with on_the_way(family, reference, flat, list(scales.split([len(mean) for mean in flat]))):
                expected = likelihood(reference, text[[row]])[0]
                tokens = text[[row], :-STEPS]
                for _ in range(STEPS):
                    choice = reference(input_ids=tokens, use_cache=False).logits[:, -1].argmax(-1)
                    tokens = torch.cat([tokens, choice[:, None]], dim=1)
            assert abs(float(found.log_probability[row, place]) - float(expected)) < 1e-3
            assert int(found.hits[row, place]) == int((tokens[0, -STEPS:] == text[row, -STEPS:]).sum())
    assert (found.log_probability[:, 1:] - found.log_probability[:, :1]).abs().amin() > 1e-3
    none = chosen_of([np.array([0, size - 1])], means, torch.device("cpu"))
    assert [int(part.sum()) for part in none.values()] == [1, 0, 1]
