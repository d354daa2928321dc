"""The Keras-style CNN: layers, sizes and initial weights."""

from torch import nn

from stages.models.keras_cnn import build


def layers(model: nn.Module) -> list[str]:
    leaves = (layer for layer in model.modules() if not list(layer.children()))
    return [type(layer).__name__ for layer in leaves]


def test_number_of_values_equals_keras():
    # 3x3 convolutions with bias, batch normalisations of four vectors, dense layers with bias.
    convolutions = sum(n_in * 9 * n_out + n_out for n_in, n_out in ((1, 32), (32, 64), (64, 128), (128, 256)))
    normalisations = sum(4 * n for n in (32, 64, 128, 256, 256, 128))
    dense = sum(n_in * n_out + n_out for n_in, n_out in ((9216, 256), (256, 128), (128, 7)))
    state = build((1, 48, 48), 7).state_dict()
    total = sum(value.numel() for name, value in state.items() if not name.endswith("num_batches_tracked"))
    assert total == convolutions + normalisations + dense == 2_784_647


def test_order_of_layers():
    convolution, dense = ["Conv2d", "ReLU", "BatchNorm2d"], ["Linear", "ReLU", "BatchNorm1d", "Dropout"]
    pool = ["MaxPool2d"]
    expected = convolution * 2 + pool + convolution + pool + convolution + pool + dense * 2 + ["Linear"]
    assert layers(build((1, 48, 48), 7)) == expected


def test_initial_weights_are_those_of_keras():
    model = build((1, 48, 48), 7)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert not layer.bias.any()
            fan = layer.weight[0].numel() + layer.weight.shape[0] * layer.weight[0, 0].numel()
            limit = (6 / fan) ** 0.5  # Glorot & Bengio 2010, eq. 16
            assert 0.8 * limit < layer.weight.abs().max() <= limit
