"""Temperature scaling: one number that makes confidence match accuracy on the validation part.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2: softmax(logits / T).
The predicted classes stay as they are.
"""

import numpy as np

RANGE = 0.1, 10.0  # of temperatures; a fit that ends outside has not converged
# Standard deviation of the normal prior of log T around 0. Without it, a fit to a few dozen samples often makes the
# calibration worse; with thousands of samples it changes nothing.
PRIOR_SD = 0.25


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> float | None:
    """Return the most probable temperature (posterior mode) for `labels` (N,), `logits` (N, C); None outside `RANGE`.

    There is none if many samples are classified worse than by chance. Logarithms of probabilities are logits, too.
    Raises ValueError without samples, and for logits that are not finite.
    """
    if not len(labels) or not np.isfinite(logits).all():
        raise ValueError(f"logits of {len(labels)} samples; allowed: one or more, all finite")
    from scipy.optimize import minimize_scalar  # a third of a second to import

    logits, row = np.asarray(logits, dtype=np.float64), np.arange(len(labels))

    def objective(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        cross_entropy = float((np.log(np.exp(scaled).sum(axis=1)) - scaled[row, labels]).mean())
        return cross_entropy + (log_temperature / PRIOR_SD) ** 2 / (2 * len(labels))

    low, high = np.log(RANGE)
    found = minimize_scalar(objective, bounds=(low, high), method="bounded", options={"xatol": 1e-5}).x
    return round(float(np.exp(found)), 4) if low + 0.01 < found < high - 0.01 else None


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(log(p) / T) for `probabilities` p (N, C); 1 / T undoes T."""
    if temperature == 1:
        return probabilities
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(probabilities.dtype)
