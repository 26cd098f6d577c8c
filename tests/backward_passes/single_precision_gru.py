"""A GRU in float32, row-major, its parameters and gradients in dictionaries."""

import numpy as np


def init_params(D, H, seed=0):
    rs = np.random.RandomState(seed)
    p = {}
    for gate in ("z", "r", "n"):
        p["W" + gate] = (rs.randn(D, H) / np.sqrt(D)).astype(np.float32)
        p["U" + gate] = (rs.randn(H, H) / np.sqrt(H)).astype(np.float32)
        p["b" + gate] = np.zeros(H, dtype=np.float32)
    return p


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru_forward(p, X, h0):
    """X (T, N, D), h0 (N, H)."""
    h = h0
    cache = []
    for x in X:
        z = sigmoid(x @ p["Wz"] + h @ p["Uz"] + p["bz"])
        r = sigmoid(x @ p["Wr"] + h @ p["Ur"] + p["br"])
        n = np.tanh(x @ p["Wn"] + (r * h) @ p["Un"] + p["bn"])
        h_new = (1 - z) * n + z * h
        cache.append((x, h, z, r, n))
        h = h_new
    return h, cache


def gru_loss(p, X, h0, y):
    h, _ = gru_forward(p, X, h0)
    return np.mean((h - y) ** 2)


def gru_backward(p, X, h0, y):
    hT, cache = gru_forward(p, X, h0)
    grads = {k: np.zeros_like(v) for k, v in p.items()}
    dh = (2 * (hT - y) / hT.size).astype(np.float32)
    for x, h, z, r, n in reversed(cache):
        dz = dh * (h - n) * z * (1 - z)
        dn = dh * (1 - z) * (1 - n**2)
        drh = dn @ p["Un"].T
        dr = drh * h * r * (1 - r)
        for gate, da, prev in (("z", dz, h), ("r", dr, h), ("n", dn, r * h)):
            grads["W" + gate] += x.T @ da
            grads["U" + gate] += prev.T @ da
            grads["b" + gate] += da.sum(0)
        dh = dh * z + drh * r + dz @ p["Uz"].T + dr @ p["Ur"].T
    return grads
