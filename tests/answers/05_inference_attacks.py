# Planted answers to exercise 5; read by tests/test_exercises.py, never imported.
# %% wrong pixel loses pixel-value says "Upside down"
pixel = 0.03 / 0.024
# %% wrong pixel loses pixel-value says "product"
pixel = 0.024 * 0.03
# %% wrong pixel loses pixel-value says "positive"
pixel = -0.024 / 0.03
# %% right pixel
pixel = 0.8
# %% right pixel
pixel = np.divide(np.float32(-0.024), np.float32(-0.03))
# %% right pixel
pixel = [24 / 30]
# %% wrong reconstruct loses reconstruct-image says "The image is scaled"
def reconstruct(delta_W, delta_b):
    return delta_W[:, np.argmax(np.abs(delta_b))]
# %% wrong reconstruct loses reconstruct-image says "reversed"
def reconstruct(delta_W, delta_b):
    c = np.argmax(np.abs(delta_b))
    return -delta_W[:, c] / delta_b[c]
# %% wrong reconstruct loses reconstruct-image says "infinite values or NaN"
def reconstruct(delta_W, delta_b):
    return delta_W[:, 0] / delta_b[0]
# %% wrong reconstruct loses reconstruct-image says "off by up to"
def reconstruct(delta_W, delta_b):
    return delta_W[:, 3] / delta_b[3]
# %% wrong reconstruct loses reconstruct-image says "take one column"
def reconstruct(delta_W, delta_b):
    return delta_W.sum(axis=1)
# %% right reconstruct
def reconstruct(delta_W, delta_b):
    return delta_W @ delta_b / (delta_b @ delta_b)
# %% right reconstruct
def reconstruct(delta_W, delta_b):
    best = max(range(len(delta_b)), key=lambda c: abs(delta_b[c]))
    return [row[best] / delta_b[best] for row in delta_W.tolist()]
# %% right reconstruct
def reconstruct(W, b):
    return np.linalg.lstsq(b[:, None], W.T, rcond=None)[0].ravel().astype(np.float32)
# %% wrong count_labels loses labels says "1/C of the model's guess is missing"
def count_labels(delta_b, lr, n):
    return np.rint(n * delta_b / lr)
# %% wrong count_labels loses labels says "Those are shares"
def count_labels(delta_b, lr, n):
    return delta_b / lr + 1 / len(delta_b)
# %% wrong count_labels loses labels says "sign is wrong"
def count_labels(delta_b, lr, n):
    return np.rint(n * (1 / len(delta_b) - delta_b / lr))
# %% wrong count_labels loses labels says "learning rate is missing"
def count_labels(delta_b, lr, n):
    return np.rint(n * (delta_b + 1 / len(delta_b)))
# %% right count_labels
def count_labels(delta_b, lr, n):
    return [round(n * (b / lr + 1 / len(delta_b))) for b in delta_b.tolist()]
# %% right count_labels
def count_labels(delta_b, lr, n):
    rough = n * delta_b / lr
    return rough - rough.min() + np.rint(n / len(delta_b) + rough.min())
# %% right count_labels
def count_labels(b, lr, n):
    share = np.add(np.float64(b) / lr, 1.0 / b.size)
    return np.around(n * share / share.sum()).astype(np.int8)
# %% wrong guess_members loses members says "wrong way round"
def guess_members(losses, threshold):
    return losses > threshold
# %% wrong guess_members loses members says "equal to the threshold"
def guess_members(losses, threshold):
    return losses < threshold
# %% wrong guess_members loses members says "other side"
def guess_members(losses, threshold):
    return losses >= threshold
# %% wrong guess_members loses members says "True or False for each"
def guess_members(losses, threshold):
    return losses
# %% right guess_members
def guess_members(losses, threshold):
    return ~(losses > threshold)
# %% right guess_members
def guess_members(losses, threshold):
    return [float(loss) <= threshold for loss in losses]
# %% right guess_members
def guess_members(losses, threshold):
    return np.where(losses <= threshold, 1, 0)
# %% wrong advantage loses advantage-best says "threshold is fixed"
def advantage(members, others):
    return max(0.0, (members >= 0.5).mean() - (others >= 0.5).mean())
# %% wrong advantage loses advantage-best says "difference of the means"
def advantage(members, others):
    return members.mean() - others.mean()
# %% wrong advantage loses advantage-best says "subtract whom it accuses"
def advantage(members, others):
    return max((members >= t).mean() for t in others)
# %% wrong advantage loses advantage-best says "a rate of right guesses"
def advantage(members, others):
    t = np.r_[members, others, np.inf][:, None]
    return (((members >= t).mean(1) + (others < t).mean(1)) / 2).max()
# %% right advantage
def advantage(members, others):
    best = 0
    for t in set(members.tolist()) | set(others.tolist()):
        caught = sum(v >= t for v in members) / len(members)
        best = max(best, caught - sum(v >= t for v in others) / len(others))
    return best
# %% right advantage
def advantage(members, others):
    t = np.r_[members, others, np.inf]
    return np.max((members >= t[:, None]).mean(1) - (others >= t[:, None]).mean(1))
# %% right advantage
def advantage(a, b):
    a, b = np.sort(a), np.sort(b)
    t = np.union1d(a, b)
    below = np.searchsorted(b, t) / len(b) - np.searchsorted(a, t) / len(a)
    return np.float32(max(below.max(), 0))
# %% wrong auc loses auc-pairs says "not nothing"
def auc(members, others):
    return (members[:, None] > others).mean()
# %% wrong auc loses auc-pairs says "not a whole win"
def auc(members, others):
    return (members[:, None] >= others).mean()
# %% wrong auc loses auc-pairs says "Reversed"
def auc(members, others):
    low = members[:, None] < others
    return (low + (members[:, None] == others) / 2).mean()
# %% wrong auc loses auc-pairs says "divide by all pairs"
def auc(members, others):
    return ((members[:, None] > others) + (members[:, None] == others) / 2).sum()
# %% right auc
def auc(members, others):
    wins = 0
    for u in members:
        for v in others:
            wins += 1 if u > v else 0.5 if u == v else 0
    return wins / (len(members) * len(others))
# %% right auc
def auc(members, others):
    return (np.sign(members[:, None] - others).mean() + 1) / 2
# %% right auc
def auc(a, b):
    both = np.concatenate([a, b])
    rank = [(both < v).sum() + ((both == v).sum() + 1) / 2 for v in a]
    return np.float32((sum(rank) - len(a) * (len(a) + 1) / 2) / (len(a) * len(b)))
