"""A recurrent layer as a class: row-major batches (N, D), gradients left as attributes."""

import numpy as np


class RNN:
    def __init__(self, input_dim, hidden_dim, output_dim, rng):
        self.W_xh = rng.normal(0, 0.4, (input_dim, hidden_dim))
        self.W_hh = rng.normal(0, 0.4, (hidden_dim, hidden_dim))
        self.b_h = np.zeros(hidden_dim)
        self.W_hy = rng.normal(0, 0.4, (hidden_dim, output_dim))
        self.b_y = np.zeros(output_dim)

    def forward(self, X):
        """X is a list of (N, D) batches, one for each step."""
        self.X = X
        self.h = [np.zeros((X[0].shape[0], self.W_hh.shape[0]))]
        self.y = []
        for x in X:
            h = np.tanh(np.dot(x, self.W_xh) + np.dot(self.h[-1], self.W_hh) + self.b_h)
            self.h.append(h)
            self.y.append(np.dot(h, self.W_hy) + self.b_y)
        return self.y

    def loss(self, X, targets):
        y = self.forward(X)
        return sum(((p - t) ** 2).sum() for p, t in zip(y, targets)) / X[0].shape[0]

    def backward(self, targets):
        N = self.X[0].shape[0]
        self.dW_xh = np.zeros_like(self.W_xh)
        self.dW_hh = np.zeros_like(self.W_hh)
        self.db_h = np.zeros_like(self.b_h)
        self.dW_hy = np.zeros_like(self.W_hy)
        self.db_y = np.zeros_like(self.b_y)
        dh_next = np.zeros_like(self.h[0])
        for t in reversed(range(len(self.X))):
            dy = 2 * (self.y[t] - targets[t]) / N
            self.dW_hy += np.dot(self.h[t + 1].T, dy)
            self.db_y += dy.sum(axis=0)
            dh = np.dot(dy, self.W_hy.T) + dh_next
            dz = dh * (1 - self.h[t + 1] ** 2)
            self.dW_xh += np.dot(self.X[t].T, dz)
            self.dW_hh += np.dot(self.h[t].T, dz)
            self.db_h += dz.sum(axis=0)
            dh_next = np.dot(dz, self.W_hh.T)
