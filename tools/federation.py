"""A server and four clients, each a process of its own: ``make federation``.

Flower's SuperLink and four SuperNodes on loopback learn MNIST, of which each node holds a quarter.
Prints the server's log, and ends all processes, also after Ctrl-C. Exit code 1 below 95 %.
With ``--tls`` (``make federation ARGS=--tls``) everything that crosses is encrypted, and only nodes
whose key the SuperLink knows take part.
"""

import argparse
import signal
import sys
from pathlib import Path

import fedcore.flower  # noqa: F401  says what to do where Flower is missing
from fedcore.flower_processes import APP, Loopback
from fedcore.history import History

N_CLIENTS, N_ROUNDS, TARGET = 4, 3, 0.95


def main() -> int:
    parser = argparse.ArgumentParser(description="A federation in separate processes, on Flower")
    parser.add_argument("--tls", action="store_true", help="encryption, and keys for the nodes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the processes
    with Loopback(N_CLIENTS, tls=options.tls) as loopback:
        print(f"SuperLink: process {loopback.superlink.pid}, {loopback.address}")
        for number, node in loopback.nodes.items():
            print(f"client {number}: process {node.pid}")
        checkpoint = loopback.folder / "history.npz"
        config = {"n-clients": N_CLIENTS, "n-rounds": N_ROUNDS, "checkpoint": checkpoint}
        loopback.run(APP, config, stream=sys.stdout)
        return verdict(checkpoint, loopback)


def verdict(checkpoint: Path, loopback: Loopback) -> int:
    """Say what the rounds that were kept have reached; 0 if that is the target."""
    if not checkpoint.exists():
        print(f"No round was finished. The SuperLink says:\n{loopback.log('superlink')}")
        return 1
    history = History.load(checkpoint)
    accuracy, up = history.accuracy[-1], history.bytes_up.sum() / 1e6
    print(f"{len(history)} rounds, test accuracy {accuracy:.2%}; clients sent {up:.2f} MB.")
    return 0 if len(history) == N_ROUNDS and accuracy >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
