"""Beyond one machine: the same clients, strategies and records on Flower, in separate processes.

A node runs ``client_app``, which trains with ``local_sgd`` and never sends an example; the server
runs ``server_app``, whose mean is our strategies'. With the same seed, partition and selection the
parameters equal those of ``run_federation``. Flower does the scheduling, the transport, retries,
TLS and authentication; nothing here opens a connection.

Needs Python 3.11 and Flower: ``pip install -e ".[flower]"`` in the course's folder; ``make
federation`` and ``make test-flower`` do that. Written for the Message API of Flower 1.42.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from flwr.app import Context, Message
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
except ImportError as error:
    raise ImportError(
        "fedcore.flower needs Flower (flwr 1.42; Python 3.11 or newer), which is not installed: in "
        "the course's folder run  pip install -e '.[flower]'  or  make federation"
    ) from error

from fedcore.flower_messages import LoadClient, answer, introduction
from fedcore.flower_secure import ACTION, respond
from fedcore.flower_server import FlowerRun
from fedcore.models import MLP
from fedcore.secagg import SecureFedAvg

__all__ = ["FlowerRun", "client_app", "server_app"]


def client_app(
    model: MLP,
    load: LoadClient,
    mods: list[Any] | None = None,
    *,
    secure: SecureFedAvg | None = None,
) -> ClientApp:
    """What a SuperNode runs: it says who it is when asked, and trains when ordered.

    load: gets the node's Context and returns (client, x, y): which client the node is, from 0 to
    K - 1, and its own examples, x (n_k, features) and y (n_k,). It is called for each message,
    because Flower starts a process for each. mods: functions that Flower puts around training,
    the first outermost. secure: the node takes part in secure aggregation on these terms, which the
    server's strategy must have too, and in nothing else: it never sends an update unmasked.
    """
    app = ClientApp()

    @app.query()
    def introduce(message: Message, context: Context) -> Message:
        client, x, _ = load(context)  # n_k, so that the server knows the weights of the mean
        return Message(introduction(client, len(x)), reply_to=message)

    if secure is None:

        @app.train(mods=mods)
        def train(message: Message, context: Context) -> Message:
            return Message(answer(model, message, *load(context)), reply_to=message)

    else:

        @app.train(ACTION, mods=mods)
        def train_masked(message: Message, context: Context) -> Message:
            content = respond(model, secure, message, context, *load(context))
            return Message(content, reply_to=message)

    return app


def server_app(configure: Callable[[Context], FlowerRun]) -> ServerApp:
    """What the SuperLink runs for ``flwr run``: all rounds of the federation.

    configure: gets the run's Context, with ``run_config``, and returns the FlowerRun.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> Any:
        configure(context).run(grid)

    return app
