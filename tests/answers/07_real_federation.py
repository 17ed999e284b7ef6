# Planted answers to exercise 7; read by tests/test_exercises.py, never imported.
# %% wrong wire_bytes loses wire says "4 bytes"
def wire_bytes(n_params, n_asked, n_reported, n_rounds, head):
    return n_rounds * (n_asked + n_reported) * (n_params + head)
# %% wrong wire_bytes loses wire says "sent none"
def wire_bytes(n_params, n_asked, n_reported, n_rounds, head):
    return 2 * n_rounds * n_asked * (4 * n_params + head)
# %% wrong wire_bytes loses wire says "down to all"
def wire_bytes(n_params, n_asked, n_reported, n_rounds, head):
    return 2 * n_rounds * n_reported * (4 * n_params + head)
# %% wrong wire_bytes loses wire says "both ways"
def wire_bytes(n_params, n_asked, n_reported, n_rounds, head):
    return n_rounds * n_asked * (4 * n_params + head)
# %% wrong wire_bytes loses wire says "its own head"
def wire_bytes(n_params, n_asked, n_reported, n_rounds, head):
    return n_rounds * ((n_asked + n_reported) * 4 * n_params + head)
# %% right wire_bytes
def wire_bytes(n_params, n_asked, n_reported, n_rounds, head):
    model = np.zeros(n_params, np.float32).nbytes + head
    down, up = n_asked * model, n_reported * model
    return n_rounds * (down + up)
# %% right wire_bytes
def wire_bytes(P, asked, reported, T, head):
    total = 0
    for _ in range(T):
        for _ in range(asked + reported):
            total += P * 4 + head
    return float(total)
# %% right wire_bytes
def wire_bytes(*numbers):
    P, a, r, T, h = np.int64(numbers)
    return T * np.sum([a, r]) * np.dot([4, 1], [P, h])
# %% wrong pack loses pack-bytes says "float64"
def pack(params):
    return np.asarray(params, dtype=np.float64).view(np.uint8)
# %% wrong pack loses pack-bytes says "not their bytes"
def pack(params):
    return np.asarray(params).astype(np.uint8)
# %% wrong pack loses pack-bytes says "other order"
def pack(params):
    return np.asarray(params, dtype=">f4").view(np.uint8)
# %% right pack
def pack(params):
    return np.frombuffer(np.float32(params).astype("<f4").tobytes(), dtype=np.uint8)
# %% right pack
import struct

def pack(params):
    return list(struct.pack(f"<{len(params)}f", *params))
# %% right pack
def pack(params):
    words = np.asarray(params, np.float32).view(np.uint32)
    return np.stack([words >> (8 * k) & 255 for k in range(4)], axis=1).ravel()
# %% wrong unpack loses unpack-length says "too many bytes was accepted"
def unpack(data, n_params):
    params = np.frombuffer(data.tobytes(), "<f4")
    return params if len(params) >= n_params and np.isfinite(params).all() else None
# %% wrong unpack loses unpack-finite says "NaN in it was accepted"
def unpack(data, n_params):
    return data.view("<f4") if len(data) == 4 * n_params else None
# %% wrong unpack loses unpack-finite says "infinity in it was accepted"
def unpack(data, n_params):
    if len(data) != 4 * n_params:
        return None
    params = data.view("<f4")
    return None if np.isnan(params).any() else params
# %% wrong unpack loses unpack-numbers says "A good message was refused"
def unpack(data, n_params):
    return None
# %% wrong unpack loses unpack-numbers says "Big-endian"
def unpack(data, n_params):
    if len(data) != 4 * n_params or not np.isfinite(data.view("<f4")).all():
        return None
    return data.view(">f4")
# %% wrong unpack loses unpack-numbers says "as integers"
def unpack(data, n_params):
    if len(data) != 4 * n_params or not np.isfinite(data.view("<f4")).all():
        return None
    return data.view("<i4")
# %% right unpack
def unpack(data, n_params):
    if len(data) != n_params * 4:
        return None
    params = np.frombuffer(data.tobytes(), dtype="<f4")
    return None if np.isnan(params.sum() * 0) else params
# %% right unpack
import math
import struct

def unpack(data, n_params):
    try:
        numbers = struct.unpack(f"<{n_params}f", bytes(data))
    except struct.error:
        return None
    return list(numbers) if all(map(math.isfinite, numbers)) else None
# %% right unpack
def unpack(data, n_params):
    whole = data.size / 4 == n_params
    params = data.copy().view(np.float32) if whole else np.array([np.nan])
    return params if np.abs(params).max() < np.inf else None
# %% wrong server_step loses step-late says "The late one is in"
def server_step(params, replies, asked, n_examples, closes):
    taken = {}
    for client, _, update in replies:
        if client in asked:
            taken.setdefault(client, update)
    if not any(s <= closes and k in asked for k, s, _ in replies):
        return params
    return np.average(list(taken.values()), axis=0, weights=[n_examples[k] for k in taken])
# %% wrong server_step loses step-late,step-double says "Not renormalised"
def server_step(params, replies, asked, n_examples, closes):
    taken = {}
    for client, seconds, update in replies:
        if client in asked and seconds <= closes and client not in taken:
            taken[client] = np.array(update)
    n = sum(n_examples[k] for k in asked) + (len(replies) > len(set(k for k, *_ in replies)))
    return sum(n_examples[k] * u for k, u in taken.items()) / n if taken else params
# %% wrong server_step loses step-late says "exactly when the round closes"
def server_step(params, replies, asked, n_examples, closes):
    taken = {}
    for client, seconds, update in replies:
        if client in asked and seconds < closes and client not in taken:
            taken[client] = update
    if not taken:
        return params
    return np.average(list(taken.values()), axis=0, weights=[n_examples[k] for k in taken])
# %% wrong server_step loses step-double says "Both replies of the same client"
def server_step(params, replies, asked, n_examples, closes):
    good = [(k, u) for k, s, u in replies if k in asked and s <= closes]
    if not good:
        return params
    return np.average([u for _, u in good], axis=0, weights=[n_examples[k] for k, _ in good])
# %% wrong server_step loses step-double says "not the last"
def server_step(params, replies, asked, n_examples, closes):
    taken = {k: u for k, s, u in replies if k in asked and s <= closes}
    if not taken:
        return params
    return np.average(list(taken.values()), axis=0, weights=[n_examples[k] for k in taken])
# %% wrong server_step loses step-unknown says "nobody asked"
def server_step(params, replies, asked, n_examples, closes):
    taken = {}
    for client, seconds, update in replies:
        if seconds <= closes and client not in taken:
            taken[client] = update
    if not set(taken) & set(asked):
        return params
    return np.average(list(taken.values()), axis=0, weights=[n_examples[k] for k in taken])
# %% wrong server_step loses step-none says "infinite values or NaN"
def server_step(params, replies, asked, n_examples, closes):
    taken = {}
    for client, seconds, update in replies:
        if client in asked and seconds <= closes and client not in taken:
            taken[client] = np.array(update)
    n = sum(int(n_examples[k]) for k in taken)
    return sum(int(n_examples[k]) / n * taken[k] for k in taken) if replies else params / n
# %% wrong server_step loses step-none says "not become zero"
def server_step(params, replies, asked, n_examples, closes):
    total, n, seen = np.zeros(len(params)), 0, set()
    for client, seconds, update in replies:
        if client in asked and seconds <= closes and client not in seen:
            seen.add(client)
            n += n_examples[client]
            total = total + n_examples[client] * np.array(update)
    return total / max(n, 1)
# %% right server_step
def server_step(params, replies, asked, n_examples, closes):
    taken = {k: u for k, s, u in reversed(replies) if k in set(asked) and s <= closes}
    if not taken:
        return params
    return fc.weighted_average(np.array(list(taken.values())), [n_examples[k] for k in taken])
# %% right server_step
def server_step(params, replies, asked, n_examples, closes):
    waiting, total, n = list(asked), 0 * params, 0
    for client, seconds, update in replies:
        if seconds > closes or client not in waiting:
            continue
        waiting.remove(client)
        total += n_examples[client] * np.array(update)
        n += n_examples[client]
    return total / n if n else params
# %% right server_step
def server_step(w, replies, asked, n, closes):
    rows, weights = [], []
    for k in asked:
        mine = [u for c, s, u in replies if c == k and s <= closes]
        if mine:
            rows.append(mine[0])
            weights.append(int(n[k]))
    if not rows:
        return w.tolist()
    return [sum(a * r[p] for a, r in zip(weights, rows)) / sum(weights) for p in range(len(w))]
# %% wrong rounds_left loses left says "counts as done"
def rounds_left(whole, n_rounds):
    return list(range(len(whole) + 1, n_rounds + 1))
# %% wrong rounds_left loses left says "holds all rounds before it"
def rounds_left(whole, n_rounds):
    first = whole.index(False) if False in whole else len(whole)
    return list(range(first + 1, n_rounds + 1))
# %% wrong rounds_left loses left says "counted from 1"
def rounds_left(whole, n_rounds):
    last = max((t + 1 for t, good in enumerate(whole) if good), default=0)
    return list(range(last, n_rounds))
# %% wrong rounds_left loses left says "all rounds again"
def rounds_left(whole, n_rounds):
    return list(range(1, n_rounds + 1))
# %% right rounds_left
def rounds_left(whole, n_rounds):
    done = len(whole)
    while done and not whole[done - 1]:
        done -= 1
    return np.arange(done, n_rounds) + 1
# %% right rounds_left
def rounds_left(whole, n_rounds):
    good = np.flatnonzero(whole)
    return list(range(good[-1] + 2 if len(good) else 1, n_rounds + 1))
# %% right rounds_left
def rounds_left(whole, n_rounds):
    return [t for t in range(1, n_rounds + 1) if not any(whole[t - 1 :])]
# %% wrong most_devices loses most says "slower than the line"
def most_devices(n_params, seconds, bandwidth, rate):
    return int(seconds * bandwidth // (4 * n_params))
# %% wrong most_devices loses most says "slower than the averaging"
def most_devices(n_params, seconds, bandwidth, rate):
    return int(seconds * rate // (4 * n_params))
# %% wrong most_devices loses most says "4 bytes"
def most_devices(n_params, seconds, bandwidth, rate):
    return int(seconds * min(bandwidth, rate) // n_params)
# %% wrong most_devices loses most says "don't share it"
def most_devices(n_params, seconds, bandwidth, rate):
    return int(seconds * min(bandwidth / 2, rate) // (4 * n_params))
# %% wrong most_devices loses most says "don't add up"
def most_devices(n_params, seconds, bandwidth, rate):
    return int(seconds / (4 * n_params / bandwidth + 4 * n_params / rate))
# %% right most_devices
def most_devices(n_params, seconds, bandwidth, rate):
    return min(int(seconds * each // (4 * n_params)) for each in (bandwidth, rate))
# %% right most_devices
def most_devices(n_params, seconds, bandwidth, rate):
    model = np.zeros(n_params, np.float32).nbytes
    return np.floor(np.minimum(seconds * bandwidth / model, seconds * rate / model))
# %% right most_devices
def most_devices(P, seconds, bandwidth, rate):
    slowest = bandwidth if bandwidth < rate else rate
    return (int(seconds * slowest) - int(seconds * slowest) % (4 * P)) / (4 * P)
