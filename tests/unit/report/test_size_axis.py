"""recite.report.style.size_axis: labels that can be told apart, however near or far the sizes are."""

from itertools import pairwise

import pytest

from recite.report import style


@pytest.mark.parametrize(
    "sizes",
    [
        [1_180_352, 1_316_864, 1_452_032],
        [1_400_000],
        [213_280, 640_608, 1_452_032],
        [63_264, 281_152, 1_452_032],
        [70e6, 1e9, 12e9],
        [410e6, 405e9],
    ],
)
def test_labels_of_sizes_do_not_touch(sizes: list[float]) -> None:
    """Prevents 1.2 x 10^6 over 1.25 x 10^6 where models are of nearly one size."""
    with style.style():
        figure, panels = style.family_panels(["a", "b", "c"])
        for axes in panels.values():
            axes.plot(sizes, [0.0] * len(sizes), "o")
        for axes in panels.values():
            style.size_axis(axes)
        figure.canvas.draw()
        for axes in panels.values():
            low, high = axes.get_xlim()
            assert low < min(sizes) and max(sizes) < high and high >= 9.99 * low
            boxes = [label.get_window_extent() for label in axes.get_xticklabels(which="both") if label.get_text()]
            boxes = [box for box in boxes if axes.bbox.x0 <= (box.x0 + box.x1) / 2 <= axes.bbox.x1]
            assert boxes and all(one.x1 < other.x0 for one, other in pairwise(sorted(boxes, key=lambda box: box.x0)))
            assert axes.get_xlabel() == "parameters"
