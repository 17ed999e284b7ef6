# Planted answers to exercise 2; read by tests/test_exercises.py, never imported.
# %% wrong new_parameter loses new-parameter says "plain mean"
new_parameter = (4 + 2 + 1) / 3
# %% wrong new_parameter loses new-parameter says "add up to one"
new_parameter = 100 * 4 + 300 * 2 + 600 * 1
# %% wrong new_parameter loses new-parameter says "wrong way round"
new_parameter = 0.6 * 4 + 0.3 * 2 + 0.1 * 1
# %% right new_parameter
new_parameter = fc.weighted_average(np.array([[4.0], [2.0], [1.0]]), [100, 300, 600])
# %% right new_parameter
new_parameter = (100 * 4 + 300 * 2 + 600) / 1000
# %% right new_parameter
new_parameter = [1.6]
# %% wrong weighted_mean loses mean-weights,mean-zero says "plain mean"
def weighted_mean(updates, weights):
    return np.mean(updates, axis=0)
# %% wrong weighted_mean loses mean-weights,mean-zero says "divide by all examples"
def weighted_mean(updates, weights):
    return weights @ updates
# %% wrong weighted_mean loses mean-weights,mean-zero says "don't divide by K again"
def weighted_mean(updates, weights):
    return np.mean(weights[:, None] / weights.sum() * updates, axis=0)
# %% wrong weighted_mean loses mean-weights,mean-zero says "not by their sum"
def weighted_mean(updates, weights):
    return weights / weights.max() @ updates
# %% wrong weighted_mean loses mean-zero says "at least weight 1"
def weighted_mean(updates, weights):
    return np.average(updates, axis=0, weights=np.maximum(weights, 1))
# %% right weighted_mean
def weighted_mean(updates, weights):
    n, result = sum(weights), [0.0] * len(updates[0])
    for update, n_k in zip(updates, weights):
        for p in range(len(result)):
            result[p] += n_k / n * update[p]
    return result
# %% right weighted_mean
def weighted_mean(w, n):
    return np.average(np.float32(w), axis=0, weights=n).astype(np.float32)
# %% right weighted_mean
def weighted_mean(updates, weights):
    total, seen = np.zeros(len(updates[0])), 0
    for update, weight in zip(updates, weights):
        if weight:
            seen += weight
            total += weight / seen * (np.asarray(update) - total)
    return total
# %% right weighted_mean
def share(n_k, n):
    return n_k / n

def weighted_mean(updates, weights):
    return sum(share(n_k, sum(weights)) * w_k for w_k, n_k in zip(updates, weights))
# %% wrong local_steps loses steps says "round up"
def local_steps(n, epochs, batch_size):
    return epochs * (n // (batch_size or n))
# %% wrong local_steps loses steps says "epochs are missing"
def local_steps(n, epochs, batch_size):
    return -(-n // (batch_size or n))
# %% wrong local_steps loses steps says "run on from one epoch"
def local_steps(n, epochs, batch_size):
    return -(-n * epochs // (batch_size or n))
# %% wrong local_steps loses steps says "TypeError"
def local_steps(n, epochs, batch_size):
    return epochs * -(-n // batch_size)
# %% right local_steps
import math

def local_steps(n, epochs, batch_size):
    return epochs * math.ceil(n / (batch_size or n))
# %% right local_steps
def local_steps(n, E, B):
    return sum(1 for _ in range(E) for _ in range(0, n, n if B is None else B))
# %% right local_steps
def local_steps(n, epochs, batch_size):
    size = n if batch_size is None else batch_size
    return float(epochs) * len(np.array_split(np.arange(n), range(size, n, size)))
# %% wrong fedavg_round loses round says "without their weights"
def fedavg_round(params, clients, sizes, train_client):
    return np.mean([train_client(k, params) for k in clients], axis=0)
# %% wrong fedavg_round loses round says "the one before it"
def fedavg_round(params, clients, sizes, train_client):
    for k in clients:
        params = train_client(k, params)
    return params
# %% wrong fedavg_round loses round says "shares of all clients"
def fedavg_round(params, clients, sizes, train_client):
    return sum(sizes[k] / sizes.sum() * train_client(k, params) for k in clients)
# %% wrong fedavg_round loses round says "sizes of the first clients"
def fedavg_round(params, clients, sizes, train_client):
    updates = [train_client(k, params) for k in clients]
    return np.average(updates, axis=0, weights=sizes[: len(clients)])
# %% wrong fedavg_round loses round says "don't add them"
def fedavg_round(params, clients, sizes, train_client):
    updates = [train_client(k, params) for k in clients]
    return params + np.average(updates, axis=0, weights=sizes[clients])
# %% wrong fedavg_round loses round says "not asked"
def fedavg_round(params, clients, sizes, train_client):
    updates = [train_client(k, params) for k in range(len(sizes))]
    return np.average(updates, axis=0, weights=sizes)
# %% right fedavg_round
def fedavg_round(params, clients, sizes, train_client):
    updates = [train_client(k, params) for k in clients]
    return np.average(updates, axis=0, weights=sizes[clients]).tolist()
# %% right fedavg_round
def fedavg_round(w, asked, n, train):
    n_asked = sum(int(n[k]) for k in asked)
    return sum(int(n[k]) / n_asked * train(k, w) for k in reversed(asked))
# %% right fedavg_round
def fedavg_round(params, clients, sizes, train_client):
    average = fc.RunningAverage(len(params))
    for k in clients:
        average.add(train_client(k, params).astype(np.float32), float(sizes[k]))
    return average.result()
# %% wrong server_step loses server-step says "number of parameters"
def server_step(params, deltas, weights):
    return params + np.sum(deltas, axis=0) / len(params)
# %% wrong server_step loses server-step says "without weights"
def server_step(params, deltas, weights):
    return params + np.mean(deltas, axis=0)
# %% wrong server_step loses server-step says "Add it to the model"
def server_step(params, deltas, weights):
    return weights @ deltas / weights.sum()
# %% wrong server_step loses server-step says "number of clients"
def server_step(params, deltas, weights):
    return params + weights @ deltas / len(weights)
# %% right server_step
def server_step(params, deltas, weights):
    return fc.weighted_average([params + d for d in deltas], weights)
# %% right server_step
def server_step(params, deltas, weights):
    for delta, weight in zip(deltas, weights):
        params = params + weight / sum(weights) * delta
    return list(params)
# %% right server_step
def server_step(w, d, n):
    return np.float32(w) + np.einsum("k,kp->p", np.float32(n / n.sum()), np.float32(d))
# %% wrong rounds_to loses rounds-to says "counted from 1"
def rounds_to(accuracies, target):
    return next((t for t, a in enumerate(accuracies) if a >= target), None)
# %% wrong rounds_to loses rounds-to says "falls again later"
def rounds_to(accuracies, target):
    last = 0
    for t, a in enumerate(accuracies, start=1):
        if a < target:
            last = t
    return last + 1 if last < len(accuracies) else None
# %% wrong rounds_to loses rounds-to says "return None"
def rounds_to(accuracies, target):
    return int(np.argmax(accuracies >= target)) + 1
# %% wrong rounds_to loses rounds-to says "is None"
def rounds_to(accuracies, target):
    return next((t for t, a in enumerate(accuracies, 1) if a > target), None)
# %% right rounds_to
def rounds_to(accuracies, target):
    good = np.flatnonzero(np.asarray(accuracies) >= target)
    return good[0] + 1 if good.size else None
# %% right rounds_to
def rounds_to(accuracies, target):
    t = 0
    while t < len(accuracies):
        if not accuracies[t] < target:
            return float(t + 1)
        t += 1
# %% right rounds_to
def rounds_to(curve, goal):
    best = np.maximum.accumulate(curve)
    return None if best[-1] < goal else int((best < goal).sum()) + 1
# %% wrong settings loses target says "that is FedSGD"
settings = {"epochs": 1, "batch_size": None, "lr": 0.3}
# %% wrong settings loses target says "raise lr"
settings = {"epochs": 2, "batch_size": 10, "lr": 0.05}
# %% wrong settings loses target says "its battery allows 20"
settings = {"epochs": 20, "batch_size": 10, "lr": 0.5}
# %% wrong settings loses target says "at most 1"
settings = {"epochs": 2, "batch_size": 10, "lr": 100}
# %% right settings
settings = {"epochs": 1, "batch_size": 5, "lr": 0.3}
# %% right settings
settings = {"epochs": 20, "batch_size": None, "lr": 0.5}
# %% right settings
settings = dict(lr=np.float64(0.4), epochs=np.int64(4), batch_size=20)
