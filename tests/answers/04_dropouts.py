# Planted answers to exercise 4; read by tests/test_exercises.py, never imported.
# %% wrong expected_reports loses expected says "differ in number"
expected_reports = 50 * (0.9 + 0.4) / 2
# %% wrong expected_reports loses expected says "don't report"
expected_reports = 30 * 0.1 + 20 * 0.6
# %% wrong expected_reports loses expected says "swapped"
expected_reports = 30 * 0.4 + 20 * 0.9
# %% right expected_reports
expected_reports = 35
# %% right expected_reports
expected_reports = np.dot([30, 20], [0.9, 0.4])
# %% right expected_reports
expected_reports = sum([0.9] * 30 + [0.4] * 20)
# %% wrong mean_of_reports loses reports-mean,reports-none says "Not renormalised"
def mean_of_reports(params, updates, weights, reported):
    return sum(n / weights.sum() * u for u, n, r in zip(updates, weights, reported) if r) + 0 * params
# %% wrong mean_of_reports loses reports-mean says "averaged as well"
def mean_of_reports(params, updates, weights, reported):
    return np.average(updates, axis=0, weights=weights) if any(reported) else params
# %% wrong mean_of_reports loses reports-mean says "count alike"
def mean_of_reports(params, updates, weights, reported):
    return updates[reported].mean(axis=0) if any(reported) else params
# %% wrong mean_of_reports loses reports-mean says "as if it had reported it"
def mean_of_reports(params, updates, weights, reported):
    filled = np.where(reported[:, None], updates, params)
    return np.average(filled, axis=0, weights=weights)
# %% wrong mean_of_reports loses reports-none says "ZeroDivisionError"
def mean_of_reports(params, updates, weights, reported):
    return np.average(updates[reported], axis=0, weights=weights[reported])
# %% wrong mean_of_reports loses reports-none says "not become zero"
def mean_of_reports(params, updates, weights, reported):
    kept = weights * reported
    return kept @ updates / max(kept.sum(), 1)
# %% right mean_of_reports
def mean_of_reports(params, updates, weights, reported):
    kept = np.where(reported, weights, 0.0)
    return fc.weighted_average(updates, kept) if kept.any() else params
# %% right mean_of_reports
def mean_of_reports(params, updates, weights, reported):
    came = [k for k in range(len(weights)) if reported[k]]
    if not came:
        return params.tolist()
    n = sum(int(weights[k]) for k in came)
    return [sum(int(weights[k]) * updates[k][p] for k in came) / n for p in range(len(params))]
# %% right mean_of_reports
def mean_of_reports(w, u, n, r):
    share = np.float32(n * r)
    if share.sum():
        w = w + (share / share.sum()) @ (u - w)
    return w
# %% wrong round_seconds loses seconds says "stops waiting"
def round_seconds(times, deadline):
    return max(times)
# %% wrong round_seconds loses seconds says "need not wait"
def round_seconds(times, deadline):
    return deadline
# %% wrong round_seconds loses seconds says "waits until the deadline"
def round_seconds(times, deadline):
    return max(t for t in times if t <= deadline)
# %% wrong round_seconds loses seconds says "not for the average"
def round_seconds(times, deadline):
    return min(np.mean(times), deadline)
# %% right round_seconds
def round_seconds(times, deadline):
    return np.minimum(times, deadline).max()
# %% right round_seconds
def round_seconds(times, deadline):
    return float(deadline) if any(t > deadline for t in times) else sorted(times)[-1]
# %% right round_seconds
def round_seconds(seconds, limit):
    closed = 0.0
    for t in seconds:
        closed = max(closed, t if t < limit else limit)
    return np.float32(closed)
# %% wrong n_to_ask loses ask says "Rounded down"
def n_to_ask(n_wanted, p_report):
    return int(n_wanted // p_report)
# %% wrong n_to_ask loses ask says "Adding the share that drops"
def n_to_ask(n_wanted, p_report):
    return int(np.ceil(n_wanted * (2 - p_report)))
# %% wrong n_to_ask loses ask says "multiplied by p"
def n_to_ask(n_wanted, p_report):
    return int(np.ceil(n_wanted * p_report))
# %% wrong n_to_ask loses ask says "whole number"
def n_to_ask(n_wanted, p_report):
    return n_wanted / p_report
# %% wrong n_to_ask loses ask says "One too many"
def n_to_ask(n_wanted, p_report):
    return int(n_wanted / p_report) + 1
# %% right n_to_ask
from fractions import Fraction
import math

def n_to_ask(n_wanted, p_report):
    return math.ceil(n_wanted / Fraction(str(p_report)))
# %% right n_to_ask
def n_to_ask(n_wanted, p_report):
    asked = 0
    while asked * p_report < n_wanted:
        asked += 1
    return asked
# %% right n_to_ask
def n_to_ask(n, p):
    m = np.floor(n / p)
    return np.float64(m if m * p >= n else m + 1)
# %% wrong debiased_mean loses ipw says "frequent reporters even more"
def debiased_mean(updates, weights, p_report):
    scaled = weights * p_report
    return scaled @ updates / weights.sum()
# %% wrong debiased_mean loses ipw says "still the wrong way round"
def debiased_mean(updates, weights, p_report):
    return np.average(updates, axis=0, weights=weights * p_report)
# %% wrong debiased_mean loses ipw says "don't add up to one"
def debiased_mean(updates, weights, p_report):
    return (weights / p_report) @ updates / weights.sum()
# %% wrong debiased_mean loses ipw says "Nothing is corrected"
def debiased_mean(updates, weights, p_report):
    return np.average(updates, axis=0, weights=weights)
# %% wrong debiased_mean loses ipw says "examples are gone"
def debiased_mean(updates, weights, p_report):
    return np.average(updates, axis=0, weights=1 / p_report)
# %% right debiased_mean
def debiased_mean(updates, weights, p_report):
    return np.average(updates, axis=0, weights=weights / p_report)
# %% right debiased_mean
def debiased_mean(updates, weights, p_report):
    top, bottom = [0.0] * len(updates[0]), 0.0
    for u, n, p in zip(updates.tolist(), weights.tolist(), p_report.tolist()):
        bottom += n / p
        top = [t + n / p * v for t, v in zip(top, u)]
    return [t / bottom for t in top]
# %% right debiased_mean
def debiased_mean(u, n, p):
    return fc.weighted_average(u.astype(np.float32), np.exp(np.log(n) - np.log(p)))
# %% wrong heard loses heard-shares says "compare shares, not amounts"
def heard(counts, reported):
    return counts[reported].sum(axis=0) / counts.sum(axis=0)
# %% wrong heard loses heard-shares says "upside down"
def heard(counts, reported):
    there, came = counts.sum(axis=0), counts[reported].sum(axis=0)
    return (there / there.sum()) / (came / came.sum())
# %% wrong heard loses heard-shares says "among the reports alone"
def heard(counts, reported):
    return counts[reported].sum(axis=0) / counts[reported].sum()
# %% wrong heard loses heard-shares says "every example counts once"
def heard(counts, reported):
    own = counts / counts.sum(axis=1, keepdims=True)
    return own[reported].mean(axis=0) / own.mean(axis=0)
# %% right heard
def heard(counts, reported):
    came = counts[reported]
    return came.sum(axis=0) * counts.sum() / (came.sum() * counts.sum(axis=0))
# %% right heard
def heard(counts, reported):
    rows = [row for row, here in zip(counts.tolist(), reported) if here]
    result = []
    for c in range(counts.shape[1]):
        mine = sum(row[c] for row in rows) / sum(map(sum, rows))
        result.append(mine / (int(counts[:, c].sum()) / int(counts.sum())))
    return result
# %% right heard
def share(table):
    return np.float32(table.sum(axis=0)) / np.float32(table.sum())

def heard(counts, reported):
    return share(counts * np.asarray(reported)[:, None]) / share(counts)
