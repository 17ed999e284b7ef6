"""Draw the pictures of the README from real runs: ``make figures``.

notebooks/figures/federation.gif: 20 rounds of FedAvg on MNIST, 100 clients, 10 a round, softmax
regression. Each dot that lights up is a client that trained in that round; the curve is the test
accuracy that was measured after it.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.animation import FuncAnimation, PillowWriter

import fedcore as fc

matplotlib.use("Agg")
FOLDER = Path(__file__).resolve().parent.parent / "notebooks" / "figures"
N_CLIENTS, N_ROUNDS = 100, 20
INK, FAINT, BLUE, ORANGE = "#222222", "#c8ccd0", "#0072B2", "#D55E00"


def run():
    """The federation of the picture: (model, history)."""
    train, test = fc.datasets.load_mnist()
    model = fc.models.Softmax(784, 10)
    parts = fc.partition.iid(train.y, n_clients=N_CLIENTS, seed=0)
    local = fc.LocalSGD(epochs=5, batch_size=10, lr=0.02)
    return model, fc.run_federation(
        model, train, parts, test, n_rounds=N_ROUNDS, fraction=0.1, local=local, seed=0
    )


def ring(n):
    """Places (n, 2) on two circles around the server, outer and inner in turn."""
    angle = 2 * np.pi * np.arange(n) / n
    radius = np.where(np.arange(n) % 2, 1.0, 0.82)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def draw_network(ax, places, record):
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.set_xlim(-1.12, 1.12)
    ax.set_ylim(-1.12, 1.12)
    ax.scatter(*places.T, s=16, color=FAINT, zorder=2)
    ax.text(0, 0, "server", ha="center", va="center", color="white", fontsize=10, zorder=5)
    ax.scatter([0], [0], s=1900, color=INK, zorder=4)
    if record is not None:
        chosen = places[list(record.clients)]
        for x, y in chosen:
            ax.plot([0, x], [0, y], color=ORANGE, lw=1.2, zorder=1)
        ax.scatter(*chosen.T, s=70, color=ORANGE, edgecolor=INK, lw=0.8, zorder=3)


def draw_curve(ax, history, done):
    accuracy = np.concatenate([[history.initial_accuracy], history.accuracy])[: done + 1]
    ax.plot(np.arange(done + 1), 100 * accuracy, color=BLUE, lw=2, marker="o", ms=3.5)
    ax.set_xlim(-0.4, N_ROUNDS + 0.4)
    ax.set_ylim(0, 100)
    ax.set_xticks(range(0, N_ROUNDS + 1, 5))
    ax.set_xlabel("round")
    ax.set_ylabel("accuracy on 10,000 test digits (%)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e5e7ea")
    ax.annotate(
        f"{100 * accuracy[-1]:.1f} %",
        (done, 100 * accuracy[-1]),
        xytext=(4, 9),
        textcoords="offset points",
        ha="right" if done > N_ROUNDS - 3 else "center",
        color=BLUE,
        fontweight="bold",
    )


def caption(model, record):
    if record is None:
        return "before training: every client holds 600 handwritten digits, the server none"
    kilobytes = model.nbytes / 1000
    return (
        f"round {record.round}: the server sends {kilobytes:.1f} kB to {len(record.clients)} "
        f"clients, each trains on its own digits and sends {kilobytes:.1f} kB back"
    )


def animate(model, history, path):
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.3), width_ratios=[1, 1.25])
    figure.subplots_adjust(left=0.01, right=0.98, top=0.88, bottom=0.14, wspace=0.12)
    places = ring(N_CLIENTS)
    # The first and the last frame stand still for a while.
    frames = [0] * 2 + list(range(1, N_ROUNDS + 1)) + [N_ROUNDS] * 5

    def draw(done):
        record = history.rounds[done - 1] if done else None
        left.clear()
        right.clear()
        draw_network(left, places, record)
        draw_curve(right, history, done)
        figure.suptitle(caption(model, record), fontsize=10.5, color=INK)

    movie = FuncAnimation(figure, draw, frames=frames, init_func=lambda: None)
    movie.save(path, writer=PillowWriter(fps=2), dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    animate(*run(), FOLDER / "federation.gif")
    print(FOLDER / "federation.gif")
