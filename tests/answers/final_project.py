# Planted answers to the final project; read by tests/test_exercises.py, never imported.
# %% wrong private_round loses final-clip says "Nothing is clipped"
def private_round(params, deltas, reported, clip_norm, noise):
    kept = deltas[reported]
    return params + (kept.sum(axis=0) + noise) / len(kept) if len(kept) else params
# %% wrong private_round loses final-clip says "You clip the mean"
def private_round(params, deltas, reported, clip_norm, noise):
    kept = deltas[reported]
    if not len(kept):
        return params
    mean = kept.mean(axis=0)
    return params + mean * min(1, clip_norm / np.linalg.norm(mean)) + noise / len(kept)
# %% wrong private_round loses final-reported,final-noise says "divide by all devices"
def private_round(params, deltas, reported, clip_norm, noise):
    kept = deltas[reported]
    if not len(kept):
        return params
    norms = np.linalg.norm(kept, axis=1, keepdims=True)
    cut = kept * np.minimum(1, clip_norm / norms)
    return params + (cut.sum(axis=0) + noise) / len(deltas)
# %% wrong private_round loses final-none says "noise alone"
def private_round(params, deltas, reported, clip_norm, noise):
    kept = deltas[reported]
    norms = np.linalg.norm(kept, axis=1, keepdims=True)
    cut = kept * np.minimum(1, clip_norm / norms)
    return params + (cut.sum(axis=0) + noise) / max(len(kept), 1)
# %% wrong private_round loses final-noise says "divide it together"
def private_round(params, deltas, reported, clip_norm, noise):
    kept = deltas[reported]
    if not len(kept):
        return params
    norms = np.linalg.norm(kept, axis=1, keepdims=True)
    return params + (kept * np.minimum(1, clip_norm / norms)).mean(axis=0) + noise
# %% wrong private_round loses final-noise says "noise comes after clipping"
def private_round(params, deltas, reported, clip_norm, noise):
    kept = deltas[reported] + noise
    if not len(kept):
        return params
    norms = np.linalg.norm(kept, axis=1, keepdims=True)
    return params + (kept * np.minimum(1, clip_norm / norms)).mean(axis=0)
# %% right private_round
def private_round(params, deltas, reported, clip_norm, noise):
    total, n = np.array(noise, dtype=float), 0
    for delta, came in zip(deltas, reported):
        if came:
            total += delta / max(1.0, np.linalg.norm(delta) / clip_norm)
            n += 1
    return params + total / n if n else params
# %% right private_round
def shorten(v, S):
    return v * min(1, S / max(np.sqrt(v @ v), 1e-12))

def private_round(params, deltas, reported, clip_norm, noise):
    came = [shorten(d, clip_norm) for d, here in zip(deltas, reported) if here]
    if came == []:
        return params.tolist()
    return [w + (sum(column) + z) / len(came) for w, z, column in zip(params, noise, zip(*came))]
# %% right private_round
def private_round(w, d, r, S, z):
    m = np.count_nonzero(r)
    scale = r * np.minimum(1, S / np.maximum(np.linalg.norm(np.float32(d), axis=1), 1e-9))
    return w if m == 0 else np.float32(w + (np.float32(scale) @ d + z) / m)
# %% wrong aggregate loses final-target says "heard too little"
def aggregate(params, updates, weights, p_report):
    return weights @ updates / weights.sum()
# %% wrong aggregate loses final-target says "is p multiplied"
def aggregate(params, updates, weights, p_report):
    return np.average(updates, axis=0, weights=weights * p_report)
# %% wrong aggregate loses final-target says "too much correction"
def aggregate(params, updates, weights, p_report):
    return np.average(updates, axis=0, weights=weights / p_report**3)
# %% wrong aggregate loses final-target says "expected (7850,)"
def aggregate(params, updates, weights, p_report):
    return updates
# %% right aggregate
def aggregate(params, updates, weights, p_report):
    return fc.weighted_average(updates, weights / p_report)
# %% right aggregate
def aggregate(params, updates, weights, p_report):
    change = np.zeros(len(params))
    for update, n, p in zip(updates, weights, p_report):
        change += n / p * (update - params)
    return params + change / 4000  # what all clients hold together
# %% right aggregate
def aggregate(params, updates, weights, p_report):
    rare = p_report < 0.5
    halves = [updates[kind].mean(axis=0) for kind in (rare, ~rare) if kind.any()]
    return np.mean(halves, axis=0).astype(np.float64)
# %% wrong smallest_noise loses final-budget says "one round only"
def smallest_noise(max_epsilon, n_rounds, delta):
    root = np.sqrt(np.log(1 / delta) + max_epsilon) - np.sqrt(np.log(1 / delta))
    return np.sqrt(1 / 2) / root
# %% wrong smallest_noise loses final-budget says "add epsilons"
def smallest_noise(max_epsilon, n_rounds, delta):
    root = np.sqrt(np.log(1 / delta) + max_epsilon / n_rounds) - np.sqrt(np.log(1 / delta))
    return np.sqrt(1 / 2) / root
# %% wrong smallest_noise loses final-budget says "term with the root is missing"
def smallest_noise(max_epsilon, n_rounds, delta):
    return np.sqrt(n_rounds / (2 * max_epsilon))
# %% wrong smallest_noise loses final-budget says "take the root"
def smallest_noise(max_epsilon, n_rounds, delta):
    root = np.sqrt(np.log(1 / delta) + max_epsilon) - np.sqrt(np.log(1 / delta))
    return n_rounds / 2 / root**2
# %% right smallest_noise
def smallest_noise(max_epsilon, n_rounds, delta):
    low, high = 1e-3, 1e5
    while high / low > 1.0001:
        z = (low * high) ** 0.5
        rho = n_rounds / (2 * z**2)
        if rho + 2 * np.sqrt(rho * np.log(1 / delta)) <= max_epsilon:
            high = z
        else:
            low = z
    return high
# %% right smallest_noise
def smallest_noise(max_epsilon, n_rounds, delta):
    z = np.geomspace(0.01, 1e4, 200_000)
    rho = n_rounds / (2 * z**2)
    return z[rho + 2 * np.sqrt(rho * np.log(1 / delta)) <= max_epsilon].min()
# %% right smallest_noise
import math

def smallest_noise(eps, T, d):
    b = math.sqrt(2 * T * math.log(1 / d))  # eps z^2 - b z - T/2 = 0
    return [(b + math.sqrt(b * b + 2 * eps * T)) / (2 * eps)]
# %% wrong choose_run loses final-choose says "epsilon is beyond"
def choose_run(runs, max_epsilon, max_megabytes, min_worst):
    return int(np.argmax([run["accuracy"] for run in runs]))
# %% wrong choose_run loses final-choose says "worst client too badly"
def choose_run(runs, max_epsilon, max_megabytes, min_worst):
    good = [i for i, r in enumerate(runs) if r["epsilon"] <= max_epsilon and r["megabytes"] <= max_megabytes]
    return max(good, key=lambda i: runs[i]["accuracy"], default=None)
# %% wrong choose_run loses final-choose says "equal to its limit"
def choose_run(runs, max_epsilon, max_megabytes, min_worst):
    good = [
        i
        for i, r in enumerate(runs)
        if r["epsilon"] < max_epsilon and r["megabytes"] < max_megabytes and r["worst"] > min_worst
    ]
    return max(good, key=lambda i: runs[i]["accuracy"], default=None)
# %% wrong choose_run loses final-choose says "return None"
def choose_run(runs, max_epsilon, max_megabytes, min_worst):
    def worth(run):
        good = run["epsilon"] <= max_epsilon and run["megabytes"] <= max_megabytes
        return run["accuracy"] if good and run["worst"] >= min_worst else -1
    return int(np.argmax([worth(run) for run in runs]))
# %% right choose_run
def choose_run(runs, max_epsilon, max_megabytes, min_worst):
    order = sorted(range(len(runs)), key=lambda i: -runs[i]["accuracy"])
    for i in order:
        run = runs[i]
        if run["epsilon"] > max_epsilon or run["megabytes"] > max_megabytes:
            continue
        if run["worst"] >= min_worst:
            return i
# %% right choose_run
def choose_run(runs, max_epsilon, max_megabytes, min_worst):
    e, m, w, a = (np.array([r[k] for r in runs]) for k in ("epsilon", "megabytes", "worst", "accuracy"))
    good = (e <= max_epsilon) & (m <= max_megabytes) & (w >= min_worst)
    return np.where(good, a, -1).argmax() if good.any() else None
# %% right choose_run
def choose_run(runs, eps, mb, worst):
    best = None
    for i, r in enumerate(runs):
        if r["epsilon"] <= eps and r["megabytes"] <= mb and r["worst"] >= worst:
            if best is None or r["accuracy"] > runs[best]["accuracy"]:
                best = i
    return None if best is None else float(best)
