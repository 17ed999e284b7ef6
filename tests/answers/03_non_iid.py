# Planted answers to exercise 3; read by tests/test_exercises.py, never imported.
# %% wrong most_skewed loses alpha-direction says "other way round"
most_skewed = 100
# %% wrong most_skewed loses alpha-direction says "In between"
most_skewed = 1
# %% wrong most_skewed loses alpha-direction says "must hold numbers"
most_skewed = "the smallest"
# %% right most_skewed
most_skewed = min([0.01, 1, 100])
# %% right most_skewed
most_skewed = np.float32(0.01)
# %% right most_skewed
most_skewed = [1e-2]
# %% wrong dirichlet_shares loses shares-alpha says "inverted"
def dirichlet_shares(n_classes, n_clients, alpha, seed):
    return np.random.default_rng(seed).dirichlet([1 / alpha] * n_clients, size=n_classes)
# %% wrong dirichlet_shares loses shares-sum,shares-alpha says "each class's should"
def dirichlet_shares(n_classes, n_clients, alpha, seed):
    return np.random.default_rng(seed).dirichlet([alpha] * n_classes, size=n_clients).T
# %% wrong dirichlet_shares loses shares-sum says "transposed"
def dirichlet_shares(n_classes, n_clients, alpha, seed):
    return np.random.default_rng(seed).dirichlet([alpha] * n_clients, size=n_classes).T
# %% wrong dirichlet_shares loses shares-alpha says "is it used"
def dirichlet_shares(n_classes, n_clients, alpha, seed):
    rng = np.random.default_rng(seed)
    return rng.dirichlet([1 + 1e-9 / alpha] * n_clients, size=n_classes)
# %% wrong dirichlet_shares loses shares-alpha says "not those of a Dirichlet"
def dirichlet_shares(n_classes, n_clients, alpha, seed):
    x = np.random.default_rng(seed).random((n_classes, n_clients)) ** (1 / alpha)
    return x / x.sum(axis=1, keepdims=True)
# %% right dirichlet_shares
def dirichlet_shares(n_classes, n_clients, alpha, seed):
    x = np.random.default_rng(seed).gamma(alpha, size=(n_classes, n_clients))
    return x / x.sum(axis=1, keepdims=True)
# %% right dirichlet_shares
def dirichlet_shares(n_classes, n_clients, alpha, seed):
    rng = np.random.RandomState(seed)
    return [rng.dirichlet(np.full(n_clients, alpha)).tolist() for _ in range(n_classes)]
# %% right dirichlet_shares
def dirichlet_shares(C, K, a, s):
    generators = np.random.default_rng(s).spawn(C)
    return np.stack([g.dirichlet(a * np.ones(K)) for g in generators]).astype(np.float32)
# %% wrong label_skew loses skew says "one half is missing"
def label_skew(counts):
    own = counts / counts.sum(axis=1, keepdims=True)
    return np.abs(own - counts.sum(axis=0) / counts.sum()).sum(axis=1).mean()
# %% wrong label_skew loses skew says "equal shares of all classes"
def label_skew(counts):
    own = counts / counts.sum(axis=1, keepdims=True)
    return np.abs(own - 1 / counts.shape[1]).sum(axis=1).mean() / 2
# %% wrong label_skew loses skew says "mean of the clients' shares"
def label_skew(counts):
    own = counts / counts.sum(axis=1, keepdims=True)
    return np.abs(own - own.mean(axis=0)).sum(axis=1).mean() / 2
# %% wrong label_skew loses skew says "not by its size"
def label_skew(counts):
    own = counts / counts.sum(axis=1, keepdims=True)
    tv = np.abs(own - counts.sum(axis=0) / counts.sum()).sum(axis=1) / 2
    return np.average(tv, weights=counts.sum(axis=1))
# %% right label_skew
def label_skew(counts):
    everyone = [sum(column) / counts.sum() for column in counts.T]
    total = 0
    for row in counts.tolist():
        for c in range(len(row)):
            total += abs(row[c] / sum(row) - everyone[c])
    return total / (2 * len(counts))
# %% right label_skew
def label_skew(counts):
    own = (counts.T / counts.sum(axis=1)).T
    p = counts.sum(axis=0) / counts.sum()
    return np.maximum(own - p, 0).sum(axis=1).mean()  # the positive part is half of all
# %% right label_skew
def label_skew(n):
    own = np.float32(n) / np.float32(n.sum(1))[:, None]
    return float(np.mean(1 - np.minimum(own, np.float32(n.sum(0) / n.sum())).sum(1)))
# %% wrong prox_gradient loses prox says "sign is wrong"
def prox_gradient(gradient, params, global_params, prox_mu):
    return gradient + prox_mu * (global_params - params)
# %% wrong prox_gradient loses prox says "no half is left"
def prox_gradient(gradient, params, global_params, prox_mu):
    return gradient + prox_mu / 2 * (params - global_params)
# %% wrong prox_gradient loses prox says "its gradient is a vector"
def prox_gradient(gradient, params, global_params, prox_mu):
    return gradient + prox_mu / 2 * np.sum((params - global_params) ** 2)
# %% wrong prox_gradient loses prox says "cancels the 2"
def prox_gradient(gradient, params, global_params, prox_mu):
    return gradient + 2 * prox_mu * (params - global_params)
# %% right prox_gradient
def prox_gradient(gradient, params, global_params, prox_mu):
    return [g + prox_mu * (w - v) for g, w, v in zip(gradient, params, global_params)]
# %% right prox_gradient
def prox_gradient(g, w, w_t, mu):
    return np.float32(g) - np.float32(mu) * (np.float32(w_t) - np.float32(w))
# %% right prox_gradient
def prox_gradient(gradient, params, global_params, prox_mu):
    total = gradient.copy()
    total += prox_mu * params
    total -= prox_mu * global_params
    return total
# %% wrong deal_shards loses shards-once,shards-sorted says "without putting shards back"
def deal_shards(y, n_clients, per_client, seed):
    rng = np.random.default_rng(seed)
    pieces = np.array_split(np.arange(len(y)), n_clients * per_client)
    hands = rng.integers(0, len(pieces), (n_clients, per_client))
    return [np.concatenate([pieces[s] for s in hand]) for hand in hands]
# %% wrong deal_shards loses shards-sorted says "Sort the rows by label"
def deal_shards(y, n_clients, per_client, seed):
    rng = np.random.default_rng(seed)
    pieces = np.array_split(np.arange(len(y)), n_clients * per_client)
    hands = rng.permutation(len(pieces)).reshape(n_clients, per_client)
    return [np.concatenate([pieces[s] for s in hand]) for hand in hands]
# %% wrong deal_shards loses shards-once says "on two clients"
def deal_shards(y, n_clients, per_client, seed):
    rng = np.random.default_rng(seed)
    pieces = np.array_split(np.argsort(y, kind="stable"), n_clients * per_client)
    hands = rng.integers(0, len(pieces), (n_clients, per_client))
    return [np.concatenate([pieces[s] for s in hand]) for hand in hands]
# %% wrong deal_shards loses shards-sorted says "Another seed"
def deal_shards(y, n_clients, per_client, seed):
    return list(np.argsort(y, kind="stable").reshape(n_clients, -1))
# %% wrong deal_shards loses shards-once says "on no client"
def deal_shards(y, n_clients, per_client, seed):
    rng = np.random.default_rng(seed)
    pieces = np.array_split(np.argsort(y, kind="stable"), n_clients * per_client)
    order = rng.permutation(len(pieces))
    return [pieces[order[k]] for k in range(n_clients)]
# %% right deal_shards
def deal_shards(y, n_clients, per_client, seed):
    return fc.partition.shards(y, n_clients, shards_per_client=per_client, seed=seed)
# %% right deal_shards
import random

def deal_shards(y, n_clients, per_client, seed):
    order = sorted(range(len(y)), key=lambda row: y[row])
    size = len(y) // (n_clients * per_client)
    shards = [order[i : i + size] for i in range(0, len(y), size)]
    random.Random(seed).shuffle(shards)
    return [sum(shards[k::n_clients], []) for k in range(n_clients)]
# %% right deal_shards
def deal_shards(y, K, s, seed):
    table = np.lexsort((np.random.default_rng(seed).random(len(y)), y)).reshape(K * s, -1)
    hands = np.random.default_rng(seed + 1).choice(K * s, (K, s), replace=False)
    return [table[hand].ravel().astype(np.int32) for hand in hands]
# %% wrong who_is_served loses served-mean says "every example should count once"
def who_is_served(correct, client):
    own = np.bincount(client, weights=correct) / np.bincount(client)
    return {"mean": own.mean(), "worst": own.min()}
# %% wrong who_is_served loses served-worst says "most mistakes"
def who_is_served(correct, client):
    own = np.bincount(client, weights=correct) / np.bincount(client)
    return {"mean": correct.mean(), "worst": own[np.bincount(client, weights=~correct).argmax()]}
# %% wrong who_is_served loses served-worst says "number of the client"
def who_is_served(correct, client):
    own = np.bincount(client, weights=correct) / np.bincount(client)
    return {"mean": correct.mean(), "worst": own.argmin()}
# %% wrong who_is_served loses served-worst says "divide by what the client holds"
def who_is_served(correct, client):
    return {"mean": correct.mean(), "worst": np.bincount(client, weights=correct).min() / len(client)}
# %% right who_is_served
def who_is_served(correct, client):
    own = {k: [ok for ok, owner in zip(correct, client) if owner == k] for k in set(client)}
    return {
        "worst": min(sum(mine) / len(mine) for mine in own.values()),
        "mean": sum(correct) / len(correct),
    }
# %% right who_is_served
def who_is_served(correct, client):
    own = [np.mean(correct[client == k]) for k in np.unique(client)]
    n = np.bincount(client)
    return dict(mean=np.average(own, weights=n), worst=np.float32(min(own)))
# %% right who_is_served
def who_is_served(correct, client):
    table = np.eye(client.max() + 1)[client]
    hit = correct @ table / table.sum(axis=0)
    return {"mean": 1 - np.mean(~correct), "worst": np.sort(hit)[0]}
