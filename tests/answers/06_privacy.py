# Planted answers to exercise 6; read by tests/test_exercises.py, never imported.
# %% wrong noise_of_mean loses noise-read says "it is divided as well"
noise_of_mean = 2.2
# %% wrong noise_of_mean loses noise-read says "added once"
noise_of_mean = 1.1 * 2 / np.sqrt(100)
# %% wrong noise_of_mean loses noise-read says "clipping norm is missing"
noise_of_mean = 1.1 / 100
# %% right noise_of_mean
noise_of_mean = 0.022
# %% right noise_of_mean
noise_of_mean = np.sqrt((1.1 * 2) ** 2 / 100**2)
# %% right noise_of_mean
noise_of_mean = np.float32([22e-3])
# %% wrong clip loses clip-long says "every entry by itself"
def clip(delta, clip_norm):
    return np.clip(delta, -clip_norm, clip_norm)
# %% wrong clip loses clip-short says "must stay"
def clip(delta, clip_norm):
    return delta * clip_norm / (np.linalg.norm(delta) or 1)
# %% wrong clip loses clip-long says "squared norm"
def clip(delta, clip_norm):
    return delta * min(1, clip_norm / max(delta @ delta, 1e-12))
# %% wrong clip loses clip-long says "L1 norm"
def clip(delta, clip_norm):
    return delta * min(1, clip_norm / max(np.abs(delta).sum(), 1e-12))
# %% wrong clip loses clip-long says "throw long changes away"
def clip(delta, clip_norm):
    return delta if np.linalg.norm(delta) <= clip_norm else 0 * delta
# %% wrong clip loses clip-short says "NaN"
def clip(delta, clip_norm):
    return delta * np.minimum(1, clip_norm / np.float64(np.linalg.norm(delta)))  + 0 / np.linalg.norm(delta)
# %% right clip
def clip(delta, clip_norm):
    return delta / max(1, np.linalg.norm(delta) / clip_norm)
# %% right clip
import math

def clip(delta, clip_norm):
    norm = math.sqrt(sum(v * v for v in delta.tolist()))
    return [v * clip_norm / norm for v in delta] if norm > clip_norm else list(delta)
# %% right clip
def clip(d, S):
    d = np.float32(d)
    return d * np.float32(S) / np.maximum(np.hypot.reduce(d), np.float32(S))
# %% wrong private_mean loses private-mean says "Noise before clipping"
def private_mean(deltas, clip_norm, noise):
    noisy = np.mean(deltas, axis=0) + noise
    return noisy * min(1, clip_norm / np.linalg.norm(noisy))
# %% wrong private_mean loses private-mean says "added to each change"
def private_mean(deltas, clip_norm, noise):
    noisy = deltas + noise
    norms = np.linalg.norm(noisy, axis=1, keepdims=True)
    return (noisy * np.minimum(1, clip_norm / norms)).mean(axis=0)
# %% wrong private_mean loses private-mean says "You clip the mean"
def private_mean(deltas, clip_norm, noise):
    mean = deltas.mean(axis=0)
    return mean * min(1, clip_norm / np.linalg.norm(mean)) + noise / len(deltas)
# %% wrong private_mean loses private-mean says "divide it by K"
def private_mean(deltas, clip_norm, noise):
    norms = np.linalg.norm(deltas, axis=1, keepdims=True)
    return (deltas * np.minimum(1, clip_norm / norms)).mean(axis=0) + noise
# %% wrong private_mean loses private-mean says "noise is missing"
def private_mean(deltas, clip_norm, noise):
    norms = np.linalg.norm(deltas, axis=1, keepdims=True)
    return (deltas * np.minimum(1, clip_norm / norms)).mean(axis=0)
# %% right private_mean
def private_mean(deltas, clip_norm, noise):
    norms = np.linalg.norm(deltas, axis=1, keepdims=True)
    return (deltas * np.minimum(1, clip_norm / norms)).mean(axis=0) + noise / len(deltas)
# %% right private_mean
def shorten(delta, S):
    length = sum(v * v for v in delta) ** 0.5
    return [v * min(1, S / length) for v in delta]

def private_mean(deltas, clip_norm, noise):
    rows = [shorten(row, clip_norm) for row in deltas.tolist()]
    return [(sum(column) + z) / len(rows) for column, z in zip(zip(*rows), noise)]
# %% right private_mean
def private_mean(d, S, z):
    total = np.float32(z).copy()
    for row in np.float32(d):
        total += row / max(np.float32(1), np.linalg.norm(row) / np.float32(S))
    return total / len(d)
# %% wrong epsilon loses epsilon-rounds says "You add epsilons"
def epsilon(noise_multiplier, n_rounds, delta):
    if noise_multiplier == 0:
        return float("inf")
    rho = 1 / (2 * noise_multiplier**2)
    return n_rounds * (rho + 2 * np.sqrt(rho * np.log(1 / delta)))
# %% wrong epsilon loses epsilon-rounds says "single one's"
def epsilon(noise_multiplier, n_rounds, delta):
    if noise_multiplier == 0:
        return float("inf")
    rho = 1 / (2 * noise_multiplier**2)
    return rho + 2 * np.sqrt(rho * np.log(1 / delta))
# %% wrong epsilon loses epsilon-rounds says "squared"
def epsilon(noise_multiplier, n_rounds, delta):
    if noise_multiplier == 0:
        return float("inf")
    rho = n_rounds / (2 * noise_multiplier)
    return rho + 2 * np.sqrt(rho * np.log(1 / delta))
# %% wrong epsilon loses epsilon-rounds says "log(1/delta) is missing"
def epsilon(noise_multiplier, n_rounds, delta):
    return n_rounds / (2 * noise_multiplier**2) if noise_multiplier else np.inf
# %% wrong epsilon loses epsilon-none says "ZeroDivisionError"
def epsilon(noise_multiplier, n_rounds, delta):
    rho = n_rounds / (2 * noise_multiplier**2)
    return rho + 2 * np.sqrt(rho * np.log(1 / delta))
# %% wrong epsilon loses epsilon-none says "infinite, not 0"
def epsilon(noise_multiplier, n_rounds, delta):
    if noise_multiplier == 0:
        return 0.0
    rho = n_rounds / (2 * noise_multiplier**2)
    return rho + 2 * np.sqrt(rho * np.log(1 / delta))
# %% right epsilon
def epsilon(noise_multiplier, n_rounds, delta):
    a = 1 + np.geomspace(1e-5, 1e5, 100_000)
    with np.errstate(divide="ignore"):
        rdp = n_rounds * a / (2 * np.float64(noise_multiplier) ** 2)
    return (rdp + np.log(1 / delta) / (a - 1)).min()
# %% right epsilon
import math

def epsilon(z, T, d):
    if not z:
        return math.inf
    return T / (2 * z * z) + math.sqrt(2 * T * math.log(1 / d)) / z
# %% right epsilon
def epsilon(noise_multiplier, n_rounds, delta):
    if noise_multiplier <= 0:
        return np.float64("inf")
    best, a = np.inf, 1.0005
    while a < 1e5:
        here = n_rounds * a / (2 * noise_multiplier**2) - np.log(delta) / (a - 1)
        best, a = min(best, here), 1 + (a - 1) * 1.01
    return float(best)
# %% wrong masked loses masked-sum says "nothing cancels"
def masked(update, k, n_clients, masks):
    return update + sum(pair for key, pair in masks.items() if k in key)
# %% wrong masked loses masked-sum says "signs are swapped"
def masked(update, k, n_clients, masks):
    for (i, j), pair in masks.items():
        update = update + (pair if k == j else -pair if k == i else 0)
    return update
# %% wrong masked loses masked-sum says "pairs with smaller numbers"
def masked(update, k, n_clients, masks):
    return update + sum((masks[k, j] for j in range(k + 1, n_clients)), np.zeros(len(update)))
# %% wrong masked loses masked-sum says "nothing hides it"
def masked(update, k, n_clients, masks):
    return update
# %% right masked
def masked(update, k, n_clients, masks):
    for (i, j), pair in masks.items():
        update = update + (pair if k == i else -pair if k == j else 0)
    return update
# %% right masked
def masked(u, k, n, masks):
    plus = np.sum([masks[k, j] for j in range(k + 1, n)] or [np.zeros_like(u)], axis=0)
    minus = np.sum([masks[i, k] for i in range(k)] or [np.zeros_like(u)], axis=0)
    return (u + plus - minus).tolist()
# %% right masked
def masked(update, k, n_clients, masks):
    total = np.float64(update)
    for other in reversed(range(n_clients)):
        if other == k:
            continue
        total = total + np.sign(other - k) * masks[tuple(sorted((k, other)))]
    return total.astype(np.float32)
# %% wrong unmask loses unmask-dead says "still in it"
def unmask(total, survivors, dropped, masks):
    return total
# %% wrong unmask loses unmask-dead says "in twice"
def unmask(total, survivors, dropped, masks):
    for k in survivors:
        for g in dropped:
            total = total + np.sign(g - k) * masks[min(k, g), max(k, g)]
    return total
# %% wrong unmask loses unmask-dead says "Mind the signs"
def unmask(total, survivors, dropped, masks):
    return total - sum(masks[min(k, g), max(k, g)] for k in survivors for g in dropped)
# %% wrong unmask loses unmask-dead says "not the mean"
def unmask(total, survivors, dropped, masks):
    for k in survivors:
        for g in dropped:
            total = total - np.sign(g - k) * masks[min(k, g), max(k, g)]
    return total / len(survivors)
# %% right unmask
def unmask(total, survivors, dropped, masks):
    for k in survivors:
        for g in dropped:
            total = total - np.sign(g - k) * masks[min(k, g), max(k, g)]
    return total
# %% right unmask
def unmask(total, survivors, dropped, masks):
    alive, dead, rest = set(survivors), set(dropped), total.tolist()
    for (i, j), pair in masks.items():
        if i in alive and j in dead:
            rest = [a - b for a, b in zip(rest, pair)]
        elif j in alive and i in dead:
            rest = [a + b for a, b in zip(rest, pair)]
    return rest
# %% right unmask
def unmask(total, survivors, dropped, masks):
    sign = {(i, j): (i in survivors) * (j in dropped) - (j in survivors) * (i in dropped) for i, j in masks}
    return np.float32(total - np.sum([sign[key] * masks[key] for key in masks], axis=0))
