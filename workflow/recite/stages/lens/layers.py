"""Which layers of a model are decoded."""


def decoded_layers(layers: int, stride: int) -> list[int]:
    """The first and every `stride`-th after it, and the last, which is the model itself."""
    return sorted({*range(0, layers, stride), layers - 1})
