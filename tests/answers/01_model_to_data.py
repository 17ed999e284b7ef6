# Planted answers to exercise 1; read by tests/test_exercises.py, never imported.
# %% wrong bytes_up loses bytes-up says "takes 4 bytes"
bytes_up = 5 * 10 * 199_210
# %% wrong bytes_up loses bytes-up says "goes down as well"
bytes_up = 2 * 5 * 10 * 199_210 * 4
# %% wrong bytes_up loses bytes-up says "one client's share"
bytes_up = 5 * 199_210 * 4
# %% wrong bytes_up loses bytes-up says "single round"
bytes_up = 10 * 199_210 * 4
# %% wrong bytes_up loses bytes-up says "bits"
bytes_up = 5 * 10 * 199_210 * 32
# %% right bytes_up
bytes_up = 39_842_000
# %% right bytes_up
bytes_up = np.float64(3.9842e7)
# %% right bytes_up
P = fc.models.MLP(784, 200, 200, 10).n_params
per_client = np.zeros(P, np.float32).nbytes
bytes_up = sum(per_client for _round in range(5) for _client in range(10))
# %% wrong client_message loses message-step says "uphill"
def client_message(model, params, x, y, lr):
    return {"params": params + lr * model.gradient(params, x, y), "n_examples": len(x)}
# %% wrong client_message loses message-step says "You sent the gradient"
def client_message(model, params, x, y, lr):
    return {"params": model.gradient(params, x, y), "n_examples": len(x)}
# %% wrong client_message loses message-step says "learning rate is missing"
def client_message(model, params, x, y, lr):
    return {"params": params - model.gradient(params, x, y), "n_examples": len(x)}
# %% wrong client_message loses message-step says "change only"
def client_message(model, params, x, y, lr):
    return {"params": -lr * model.gradient(params, x, y), "n_examples": len(x)}
# %% wrong client_message loses message-minimal says "['labels']"
def client_message(model, params, x, y, lr):
    step = lr * model.gradient(params, x, y)
    return {"params": params - step, "n_examples": len(x), "labels": y}
# %% wrong client_message loses message-minimal says "features, not of examples"
def client_message(model, params, x, y, lr):
    return {"params": params - lr * model.gradient(params, x, y), "n_examples": x.shape[1]}
# %% wrong client_message loses message-step,message-minimal says "Return a dict"
def client_message(model, params, x, y, lr):
    return params - lr * model.gradient(params, x, y), len(x)
# %% right client_message
def client_message(model, params, x, y, lr):
    w = params.astype(np.float64)
    g = model.gradient(w, np.asarray(x, float), y)
    return dict(n_examples=y.size, params=(w - lr * g).tolist())
# %% right client_message
def client_message(m, w, features, labels, step):
    answer = {}
    answer["n_examples"] = np.int64(labels.shape[0])
    answer["params"] = np.array([a - step * b for a, b in zip(w, m.gradient(w, features, labels))])
    return answer
# %% right client_message
def client_message(model, params, x, y, lr):
    new = fc.local_sgd(model, params.astype(np.float32), x, y, epochs=1, batch_size=None, lr=lr)
    return {"params": new, "n_examples": float(len(y))}
# %% wrong ledger loses ledger-bytes,ledger-one says "every client"
def ledger(n_params, n_clients, fraction, n_rounds, bytes_per_number=4):
    total = n_clients * n_params * bytes_per_number * n_rounds
    return {"down": total, "up": total}
# %% wrong ledger loses ledger-bytes says "own copy of the model"
def ledger(n_params, n_clients, fraction, n_rounds, bytes_per_number=4):
    asked = max(round(fraction * n_clients), 1)
    size = n_params * bytes_per_number * n_rounds
    return {"down": size, "up": asked * size}
# %% wrong ledger loses ledger-one says "still one client"
def ledger(n_params, n_clients, fraction, n_rounds, bytes_per_number=4):
    total = int(fraction * n_clients) * n_params * bytes_per_number * n_rounds
    return {"down": total, "up": total}
# %% wrong ledger loses ledger-bytes,ledger-one says "rounds are missing"
def ledger(n_params, n_clients, fraction, n_rounds, bytes_per_number=4):
    total = max(round(fraction * n_clients), 1) * n_params * bytes_per_number
    return {"down": total, "up": total}
# %% wrong ledger loses ledger-bytes says "You used 4 bytes"
def ledger(n_params, n_clients, fraction, n_rounds, bytes_per_number=4):
    total = max(round(fraction * n_clients), 1) * n_params * 4 * n_rounds
    return {"down": total, "up": total}
# %% right ledger
def ledger(n_params, n_clients, fraction, n_rounds, bytes_per_number=4):
    up = 0
    for _ in range(n_rounds):
        for _ in range(max(int(round(fraction * n_clients)), 1)):
            up += bytes_per_number * n_params
    return {"up": up, "down": up}
# %% right ledger
def ledger(P, K, C, T, size=4):
    m = np.maximum(np.rint(C * K), 1.0)
    return dict.fromkeys(("up", "down"), np.float64(m * P * T * size))
# %% right ledger
def ledger(n_params, n_clients, fraction, n_rounds, bytes_per_number=4):
    asked = len(fc.federation.sample_clients(n_clients, fraction, 0, 1))
    both = np.array([1, 1]) * asked * n_params * bytes_per_number * n_rounds
    return {"down": both[0], "up": both[1]}
# %% wrong hold_out loses hold-out says "tested on what it was taught"
def hold_out(n, n_test, seed):
    rng = np.random.default_rng(seed)
    test_rows = rng.permutation(n)[:n_test]
    train_rows = rng.permutation(n)[n_test:]
    return train_rows, test_rows
# %% wrong hold_out loses hold-out says "tested on what it was taught"
def hold_out(n, n_test, seed):
    return np.arange(n), np.random.default_rng(seed).permutation(n)[:n_test]
# %% wrong hold_out loses hold-out says "Not drawn at random"
def hold_out(n, n_test, seed):
    return np.arange(n)[n_test:], np.arange(n)[:n_test]
# %% wrong hold_out loses hold-out says "swapped"
def hold_out(n, n_test, seed):
    order = np.random.default_rng(seed).permutation(n)
    return order[:n_test], order[n_test:]
# %% wrong hold_out loses hold-out says "Another seed"
def hold_out(n, n_test, seed):
    order = np.random.default_rng(0).permutation(n)
    return order[n_test:], order[:n_test]
# %% right hold_out
def hold_out(n, n_test, seed):
    test = np.random.default_rng(seed).choice(n, n_test, replace=False)
    return np.setdiff1d(np.arange(n), test), test
# %% right hold_out
import random

def hold_out(n, n_test, seed):
    rows = list(range(n))
    random.Random(seed).shuffle(rows)
    return [rows[n_test:], rows[:n_test]]
# %% right hold_out
def hold_out(n, n_test, seed):
    scores = np.random.default_rng(seed + 99).random(n)
    order = np.argsort(scores).astype(np.int32)
    return order[: n - n_test], order[n - n_test :]
# %% wrong rounds_until_dearer loses break-even says "not dearer yet"
def rounds_until_dearer(data_bytes, n_params, n_asked):
    return data_bytes // (n_asked * n_params * 4)
# %% wrong rounds_until_dearer loses break-even says "4 bytes for each number"
def rounds_until_dearer(data_bytes, n_params, n_asked):
    return data_bytes // (n_asked * n_params) + 1
# %% wrong rounds_until_dearer loses break-even says "whole number of rounds"
def rounds_until_dearer(data_bytes, n_params, n_asked):
    return data_bytes / (n_asked * n_params * 4)
# %% wrong rounds_until_dearer loses break-even says "Several clients upload"
def rounds_until_dearer(data_bytes, n_params, n_asked):
    return data_bytes // (n_params * 4) + 1
# %% wrong rounds_until_dearer loses break-even says "both are equal"
def rounds_until_dearer(data_bytes, n_params, n_asked):
    return -(-data_bytes // (n_asked * n_params * 4))
# %% right rounds_until_dearer
def rounds_until_dearer(data_bytes, n_params, n_asked):
    rounds = sent = 0
    while sent <= data_bytes:
        rounds, sent = rounds + 1, sent + 4 * n_params * n_asked
    return rounds
# %% right rounds_until_dearer
import math

def rounds_until_dearer(data_bytes, n_params, n_asked):
    return math.floor(data_bytes / (4 * n_params * n_asked)) + 1.0
# %% right rounds_until_dearer
rounds_until_dearer = lambda data, P, m: np.int64(np.floor_divide(data, 4 * P * m) + 1)
