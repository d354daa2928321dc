"""Temperature scaling: one number that makes confidence match accuracy on the validation part.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2: softmax(logits / T).
The predicted classes stay as they are.
"""

import numpy as np

RANGE = 0.1, 10.0  # of temperatures; a fit that ends outside has not converged


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> float | None:
    """Return the temperature with the lowest cross-entropy on `labels` (N,), `logits` (N, C); None outside `RANGE`.

    There is none if all samples are classified correctly, or fewer than by chance. Logarithms of probabilities are
    logits, too.
    """
    from scipy.optimize import minimize_scalar  # a third of a second to import

    logits, row = np.asarray(logits, dtype=np.float64), np.arange(len(labels))

    def cross_entropy(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[row, labels]).mean())

    low, high = np.log(RANGE)
    found = minimize_scalar(cross_entropy, bounds=(low, high), method="bounded", options={"xatol": 1e-5}).x
    return round(float(np.exp(found)), 4) if low + 0.01 < found < high - 0.01 else None


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(log(p) / T) for `probabilities` p (N, C); 1 / T undoes T."""
    if temperature == 1:
        return probabilities
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(probabilities.dtype)
