"""The Flower side without processes: a Grid in memory runs the real apps, and nodes that misbehave.

Runs where Flower is installed (``make test-flower``); the oracle is ``run_federation``.
"""

import io
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flwr", reason="Flower is missing; make test installs it (Python 3.11)")

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

import fedcore as fc
from fedcore import strategies as st
from fedcore.flower import FlowerRun, client_app, server_app
from fedcore.flower_messages import introduction

MODEL = fc.models.MLP(64, 8, 5)
K = 4
LOCAL = fc.LocalSGD(epochs=2, batch_size=7, lr=0.1)


@pytest.fixture(autouse=True)
def task(monkeypatch):
    """Flower's processes know which run they belong to; this one must be told."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@pytest.fixture
def data(digits):
    """(everybody's examples, who holds which): the shares are unequal."""
    return fc.datasets.Dataset(*digits, 5), np.split(np.arange(120), [20, 45, 80])


class MemoryGrid(Grid):
    """Nodes in this process. ``tamper(node_id, message, reply)`` returns what arrives instead."""

    def __init__(self, apps, tamper=None):
        self.apps, self.tamper = apps, tamper or (lambda node_id, message, reply: [reply])
        self.asked, self.sent, self.replies = [], 0, []

    def push_messages(self, messages):
        ids = []
        for message in messages:
            self.sent += 1
            ids.append(f"m{self.sent}")
            message.metadata.__dict__["_message_id"] = ids[-1]
            node_id = message.metadata.dst_node_id
            self.asked.append((message.metadata.message_type, node_id))
            try:
                reply = self.apps[node_id](message, self.context(node_id))
            except Exception as error:
                reply = Message(Error(2, f"Traceback\n{error}"), reply_to=message)
            self.replies += self.tamper(node_id, message, reply)
        return ids

    def context(self, node_id):
        return Context(1, node_id, {"partition-id": node_id - 100}, RecordDict(), {})

    def pull_messages(self, message_ids):
        replies, self.replies = self.replies, []
        return replies

    def get_node_ids(self):
        return list(self.apps)

    def set_run(self, run):
        raise NotImplementedError

    run = property(lambda self: None)
    create_message = send_and_receive = None


def nodes(data, model=MODEL, secure=None):
    everything, parts = data

    def load(context):
        k = context.node_config["partition-id"]
        return k, everything.x[parts[k]], everything.y[parts[k]]

    return {100 + k: client_app(model, load, secure=secure) for k in range(len(parts))}


def flower_run(data, **more):
    settings = {"n_rounds": 3, "local": LOCAL, "seed": 3, "wait": 0.01, **more}
    settings.setdefault("round_timeout", 0.1)  # every answer is there at once, or never
    return FlowerRun(MODEL, data[0], K, **settings)


def in_this_process(data, n_rounds=3, **more):
    settings = {"fraction": 1.0, "local": LOCAL, "seed": 3, **more}
    return fc.run_federation(MODEL, data[0], data[1], data[0], n_rounds=n_rounds, **settings)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"fraction": 0.5},
        {"local": fc.LocalSGD(1, None, 0.2)},
        {"strategy": st.FedProx(0.5)},
        {"strategy": st.FedAdam(), "fraction": 0.75},
        {"strategy": st.SCAFFOLD(), "fraction": 0.5},
        {"strategy": st.FedNova()},
        {"strategy": st.Median()},
        {"strategy": fc.privacy.DPFedAvg(1.0, 0.5), "sampling": "poisson", "fraction": 0.4},
    ],
    ids=str,
)
def test_same_records_and_parameters_as_run_federation(data, more):
    history = flower_run(data, **more).run(MemoryGrid(nodes(data)))
    expected = in_this_process(data, **more)
    np.testing.assert_array_equal(history.params, expected.params)
    assert history.rounds == expected.rounds
    for ours, theirs in zip(history.strategy_state, expected.strategy_state, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def array_bytes(array, **claims):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    about = {"dtype": "float32", "shape": (MODEL.n_params,), "stype": "numpy.ndarray"}
    return Array(**{**about, **claims, "data": file.getvalue()})


def changed(update, index, value):
    update = update.copy()
    update[index] = value
    return update


GOOD = np.ones(MODEL.n_params, dtype=np.float32)
BAD = {
    "NaN": Array(changed(GOOD, 3, np.nan)),
    "infinite": Array(changed(GOOD, 3, -np.inf)),
    "expected float32 of shape": Array(GOOD[:-1]),
    "got float32 of shape (1, ": Array(GOOD[None]),
    "got float64": Array(GOOD.astype(np.float64)),
    "got int32": Array(GOOD.astype(np.int32)),
    "got <f8": array_bytes(GOOD.astype(np.float64)[: len(GOOD) // 2 + 1]),
    "got <f4 of shape": array_bytes(GOOD[:-1]),
    "bytes and a header": array_bytes(np.ones(100_000, np.float32)),
    "Object arrays cannot be loaded": array_bytes(np.array([print] * 3, dtype=object)),
    "its bytes are no array": Array("float32", GOOD.shape, "numpy.ndarray", b"nonsense"),
    "Unsupported serialization type": array_bytes(GOOD, stype="pickle"),
}


def replacing(content, node=102, kind="train"):
    def tamper(node_id, message, reply):
        if node_id != node or message.metadata.message_type != kind:
            return [reply]
        return [Message(content, reply_to=message)]

    return tamper


def only(data, clients, **more):
    """The run of those ``clients`` alone, put together by hand from local_sgd and the mean."""
    params = MODEL.init(3)
    for t in range(1, 4):
        seed = fc.federation.round_seed(3, t)
        xy = [(data[0].x[data[1][k]], data[0].y[data[1][k]]) for k in clients]
        about = {"epochs": 2, "batch_size": 7, "lr": 0.1, "seed": seed}
        sent = [
            fc.local_sgd(MODEL, params, *z, client=k, **about)
            for k, z in zip(clients, xy, strict=True)
        ]
        params = fc.weighted_average(sent, [len(data[1][k]) for k in clients])
    return params


@pytest.mark.parametrize("reason", BAD)
def test_bad_update_is_left_out_with_a_reason(data, caplog, reason):
    content = RecordDict({"arrays": ArrayRecord({"update": BAD[reason]})})
    history = flower_run(data).run(MemoryGrid(nodes(data), replacing(content)))
    assert [record.clients for record in history.rounds] == [(0, 1, 3)] * 3
    np.testing.assert_array_equal(history.params, only(data, [0, 1, 3]))
    assert "client 2 is left out" in caplog.text
    assert reason in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"arrays": ConfigRecord({"update": 1.0})}),
        RecordDict({"arrays": ArrayRecord({"update": Array(GOOD), "more": Array(GOOD)})}),
        Error(2, "Traceback\nValueError: no battery"),
    ],
    ids=["empty", "no arrays", "two arrays", "error"],
)
def test_reply_without_an_update_is_left_out(data, caplog, content):
    history = flower_run(data).run(MemoryGrid(nodes(data), replacing(content)))
    np.testing.assert_array_equal(history.params, only(data, [0, 1, 3]))
    assert ("ValueError: no battery" in caplog.text) == isinstance(content, Error)


def test_second_and_unasked_replies_are_left_out(data, caplog):
    poison = RecordDict({"arrays": ArrayRecord({"update": Array(GOOD * 1e6)})})

    def tamper(node_id, message, reply):
        if message.metadata.message_type != "train":
            return [reply]
        unasked = Message(poison, reply_to=message)
        unasked.metadata.__dict__["_reply_to_message_id"] = "m999"
        stranger = Message(poison, reply_to=message)
        stranger.metadata.__dict__["_src_node_id"] = 555
        return [unasked, stranger, reply, Message(poison, reply_to=message)]

    history = flower_run(data).run(MemoryGrid(nodes(data), tamper))
    np.testing.assert_array_equal(history.params, in_this_process(data).params)
    assert caplog.text.count("a reply to nothing that is open") == 2 * K * 3
    assert caplog.text.count("node 555 answered for node") == K * 3


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (introduction(1, 10), "client 1 is node 101 already"),
        (introduction(K, 10), "client must be at most 3, got 4"),
        (introduction(-1, 10), "client must be at least 0"),
        (introduction(2, 0), "n_examples must be at least 1"),
        (introduction(2, 2**40), "n_examples must be at most"),
        (RecordDict({"who": ConfigRecord({"client": "2"})}), "client must be an integer"),
        (RecordDict(), "expected a ConfigRecord named who"),
    ],
)
def test_node_that_is_not_who_it_says_is_never_asked_to_train(data, caplog, who, reason):
    grid = MemoryGrid(nodes(data), replacing(who, kind="query"))
    history = flower_run(data).run(grid)
    np.testing.assert_array_equal(history.params, only(data, [0, 1, 3]))
    assert reason in caplog.text
    assert ("train", 102) not in grid.asked
    assert grid.asked.count(("query", 102)) == 1
    assert all(record.n_selected == K for record in history.rounds)


def test_silent_node_is_left_out_and_asked_again(data, caplog):
    rounds = iter(["silent", "here", "here"])

    def tamper(node_id, message, reply):
        if node_id == 102 and message.metadata.message_type == "train":
            return [] if next(rounds) == "silent" else [reply]
        return [reply]

    history = flower_run(data).run(MemoryGrid(nodes(data), tamper))
    assert [len(record.clients) for record in history.rounds] == [3, 4, 4]
    assert "node 102 has not answered" in caplog.text


def test_node_that_comes_back_under_another_id_is_the_same_client(data):
    grid = MemoryGrid(nodes(data))

    def tamper(node_id, message, reply):
        if (message.metadata.message_type, message.metadata.group_id) == ("train", "1"):
            app = grid.apps.pop(100 + K - 1, None)
            if app:
                grid.apps[200] = lambda message, context: app(
                    message, Context(1, 200, {"partition-id": K - 1}, RecordDict(), {})
                )
        return [reply]

    grid.tamper = tamper
    history = flower_run(data).run(grid)
    # In round 1 the node is asked for its report and is gone before it can be.
    assert [len(record.clients) for record in history.rounds] == [3, 4, 4]


def test_silent_node_is_replaced_by_the_one_that_waits(data, caplog):
    """The SuperLink takes a killed node for connected for a while: two claim to be client 2."""

    def tamper(node_id, message, reply):
        silent = node_id == 102 and message.metadata.message_type == "train"
        if silent:  # killed and started again under another id
            grid.apps[300] = lambda message, context: grid.apps[102](
                message, Context(1, 300, {"partition-id": 2}, RecordDict(), {})
            )
        return [] if silent else [reply]

    grid = MemoryGrid(nodes(data), tamper)
    history = flower_run(data, n_rounds=4).run(grid)
    # Before round 2 the newcomer takes over; the old one is asked nothing more.
    assert [len(record.clients) for record in history.rounds] == [3, 4, 4, 4]
    assert "client 2 is node 300, with 35 examples" in caplog.text
    assert grid.asked.count(("train", 102)) == 1


def test_second_claim_waits_while_the_first_answers(data, caplog):
    """Two nodes say that they are client 2; the second one's turn comes when the first is gone."""

    def tamper(node_id, message, reply):
        if node_id == 102 and message.metadata.group_id == "2":
            del grid.apps[102]
        return [reply]

    grid = MemoryGrid(nodes(data), tamper)
    grid.apps[300] = lambda message, context: nodes(data)[102](
        message, Context(1, 300, {"partition-id": 2}, RecordDict(), {})
    )
    history = flower_run(data).run(grid)
    assert history.rounds == in_this_process(data).rounds
    assert "node 300 is left out: client 2 is node 102 already" in caplog.text
    assert [node for kind, node in grid.asked if kind == "train" and node in (102, 300)] == [
        *(102, 102, 300)
    ]


def test_goes_on_from_its_checkpoint_bit_for_bit(data, tmp_path):
    path = tmp_path / "history.npz"
    more = {"checkpoint": path, "strategy": st.FedAdam(), "fraction": 0.5}
    flower_run(data, n_rounds=1, **more).run(MemoryGrid(nodes(data)))
    history = flower_run(data, **more).run(MemoryGrid(nodes(data)))
    expected = in_this_process(data, fraction=0.5, strategy=st.FedAdam())
    np.testing.assert_array_equal(history.params, expected.params)
    assert history.rounds == fc.History.load(path).rounds == expected.rounds
    idle = MemoryGrid({})
    assert flower_run(data, **more).run(idle).rounds == expected.rounds  # nothing is left to do
    with pytest.raises(ValueError, match="checkpoint must be of a run with"):
        flower_run(data, **more | {"seed": 4}).run(idle)


def test_ends_after_abandoned_rounds_and_keeps_the_model(data, tmp_path):
    path = tmp_path / "history.npz"
    run = flower_run(data, n_rounds=9, min_reports=4, patience=2, checkpoint=path)
    grid = MemoryGrid(nodes(data), replacing(Error(2, "no battery")))
    with pytest.raises(RuntimeError, match=r"2 rounds in a row .* min_reports=4 .*history\.npz"):
        run.run(grid)
    history = fc.History.load(path)
    assert [record.abandoned for record in history.rounds] == [True, True]
    np.testing.assert_array_equal(history.params, MODEL.init(3))


def test_update_that_breaks_the_model_ends_the_run_and_keeps_the_rounds(data, tmp_path):
    path = tmp_path / "history.npz"
    huge = RecordDict({"arrays": ArrayRecord({"update": Array(GOOD * np.float32(3e38))})})

    def tamper(node_id, message, reply):
        late = message.metadata.group_id == "2"
        return replacing(huge)(node_id, message, reply) if late else [reply]

    with pytest.raises(fc.FederationDiverged, match="diverged in round 2") as caught:
        flower_run(data, checkpoint=path).run(MemoryGrid(nodes(data), tamper))
    assert caught.value.history.rounds == fc.History.load(path).rounds
    assert len(caught.value.history) == 1


def fleet_of_four():
    """Devices that are often offline, slow, or crash: over eight rounds all of it happens."""
    settings = {"speed": [100.0, 100.0, 30.0, 3.0], "dropout": 0.2, "jitter": 0.3, "seed": 1}
    return fc.devices.Fleet.simple([0.9, 0.8, 0.9, 0.9], **settings)


PLAN = fc.round_plan.RoundPlan(target=2, over_selection=1.5, window=8.0, stragglers="partial")


@pytest.mark.parametrize("plan", [PLAN, replace(PLAN, weighting="inverse_propensity")])
def test_fleet_has_the_same_rounds_and_events_as_in_simulation(data, tmp_path, plan):
    more = {"fleet": fleet_of_four(), "plan": plan, "strategy": st.FedAdam()}
    expected = in_this_process(data, 8, **more)
    happened = {event.kind for event in expected.events}
    assert {"ineligible", "died", "late", "used", "uploaded"} <= happened
    assert len({epochs for e in expected.events if (epochs := e.epochs)}) > 1  # some did fewer
    path = tmp_path / "history.npz"
    grid = MemoryGrid(nodes(data))
    flower_run(data, n_rounds=3, checkpoint=path, **more).run(grid)
    history = flower_run(data, n_rounds=8, checkpoint=path, **more).run(grid)
    np.testing.assert_array_equal(history.params, expected.params)
    assert history.rounds == expected.rounds
    for ours, theirs in zip(history.fleet_state, expected.fleet_state, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Nobody trains for nothing: only those whose report counts were asked.
    trained = sum(kind == "train" for kind, _ in grid.asked)
    assert trained == sum(len(record.clients) for record in expected.rounds)


def test_report_that_the_fleet_counts_and_the_node_never_sends(data):
    fleet = fc.devices.Fleet.simple(np.ones(K))
    plan = fc.round_plan.RoundPlan(target=4, over_selection=1.0)
    grid = MemoryGrid(nodes(data), replacing(Error(2, "no battery")))
    history = flower_run(data, fleet=fleet, plan=plan).run(grid)
    np.testing.assert_array_equal(history.params, only(data, [0, 1, 3]))
    for record in history.rounds:
        assert fc.events.disagreements(record) == []
        assert fc.events.ends(record.events)[2] == "unused"
        assert [e.reason for e in record.events if e.kind == "unused"] == ["lost"]
    assert history.fleet_state[-1].tolist() == [3, 3, 0, 3]
    told = " ".join(sentence for _, sentence in fleet.sentences(history.events, 2))
    assert "the process behind the device did not send it" in told


def test_round_of_a_fleet_with_too_few_real_reports_is_abandoned(data):
    more = {
        "fleet": fc.devices.Fleet.simple(np.ones(K)),
        "plan": fc.round_plan.RoundPlan(4, 1.0),
        "min_reports": 4,
    }
    grid = MemoryGrid(nodes(data), replacing(Error(2, "no battery")))
    with pytest.raises(RuntimeError, match="3 rounds in a row"):
        flower_run(data, n_rounds=4, **more).run(grid)
    path_free = flower_run(data, n_rounds=2, **more).run(grid)
    for record in path_free.rounds:
        assert record.abandoned
        assert record.clients == ()
        assert fc.events.disagreements(record) == []
    np.testing.assert_array_equal(path_free.params, MODEL.init(3))


def test_nobody_connects(data):
    with pytest.raises(TimeoutError, match="start the SuperNodes"):
        flower_run(data).run(MemoryGrid({}))


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"n_rounds": 0}, "n_rounds must be at least 1"),
        ({"fraction": 0.0}, "fraction"),
        ({"round_timeout": -1}, "round_timeout"),
        ({"checkpoint": "here.npz"}, "checkpoint must be an absolute path"),
        ({"strategy": fc.privacy.DPFedAvg()}, "sampling must be 'poisson'"),
        ({"fleet": fc.devices.Fleet.simple([1.0] * 3)}, "one device for each of the 4 clients"),
        ({"plan": fc.round_plan.RoundPlan()}, "plan needs a fleet"),
    ],
)
def test_bad_settings_are_named(data, more, match):
    with pytest.raises(ValueError, match=match):
        flower_run(data, **more)


def test_server_app_runs_what_configure_returns(data, tmp_path):
    path = tmp_path / "history.npz"
    app = server_app(lambda context: flower_run(data, **context.run_config, checkpoint=path))
    app(MemoryGrid(nodes(data)), Context(1, 1, {}, RecordDict(), {"n_rounds": 2}))
    assert fc.History.load(path).rounds == in_this_process(data, 2).rounds


def test_client_refuses_orders_for_another(data):
    grid = MemoryGrid(nodes(data))
    grid.apps[101], grid.apps[103] = grid.apps[103], grid.apps[101]
    history = flower_run(data).run(grid)
    assert history.rounds == in_this_process(data).rounds  # who is who follows from the context
    content = fc.flower_messages.orders(MODEL.init(0), LOCAL, t=1, client=1, seed=5)
    message = Message(content, dst_node_id=100, message_type="train")
    context = Context(1, 100, {"partition-id": 0}, RecordDict(), {})
    with pytest.raises(ValueError, match="for client 1, this is client 0"):
        grid.apps[100](message, context)


SECURE = fc.secagg.SecureFedAvg(bound=2.0, max_examples=100)


class SecureGrid(MemoryGrid):
    """Nodes that keep their Context from message to message; ``dead``: {(stage, node id)}."""

    def __init__(self, data, secure=SECURE, dead=(), tamper=None):
        super().__init__(nodes(data, secure=secure), tamper)
        self.contexts, self.dead, self.seen = {}, set(dead), []

    def context(self, node_id):
        return self.contexts.setdefault(node_id, super().context(node_id))

    def push_messages(self, messages):
        ids = super().push_messages(messages)
        stages = [m.content["stage"]["stage"] if "stage" in m.content else "" for m in messages]
        silent = {
            message_id
            for message_id, stage, m in zip(ids, stages, messages, strict=True)
            if (stage, m.metadata.dst_node_id) in self.dead
        }
        self.replies = [r for r in self.replies if r.metadata.reply_to_message_id not in silent]
        self.seen += self.replies
        return ids


def without_norms(history):
    return [replace(record, update_norms=()) for record in history.rounds]


def test_secure_rounds_equal_the_simulation_and_show_no_update(data):
    grid = SecureGrid(data)
    more = {"strategy": SECURE, "fraction": 0.75}
    history = flower_run(data, **more).run(grid)
    expected = in_this_process(data, **more)
    np.testing.assert_array_equal(history.params, expected.params)
    assert without_norms(history) == without_norms(expected)
    np.testing.assert_array_equal(history.strategy_state[0], expected.strategy_state[0])
    assert np.isnan(history.rounds[0].update_norms).all()
    arrays = [r.content["arrays"] for r in grid.seen if "arrays" in r.content]
    assert [list(record) for record in arrays] == [["masked"]] * 9
    for record in arrays:  # what the server was sent is noise: its bits are even
        bits = np.unpackbits(record["masked"].numpy().view(np.uint8)).mean()
        assert abs(bits - 0.5) < 5 * 0.5 / np.sqrt(32 * (MODEL.n_params + 1))
    assert not any("secret" in context.state["secagg"] for context in grid.contexts.values())


@pytest.mark.parametrize(
    ("stage", "in_the_mean"),
    [("advertise", (0, 1, 3)), ("share", (0, 1, 3)), ("mask", (0, 1, 3)), ("reveal", (0, 1, 2, 3))],
)
def test_node_that_dies_in_a_secure_round_costs_only_its_own_update(data, stage, in_the_mean):
    grid = SecureGrid(data, dead={(stage, 102)})
    history = flower_run(data, n_rounds=1, strategy=SECURE).run(grid)
    assert history.rounds[0].clients == in_the_mean
    params, seed = MODEL.init(3), fc.federation.round_seed(3, 1)
    n_k = [len(data[1][k]) for k in in_the_mean]
    sent = [
        fc.local_sgd(
            MODEL,
            params,
            data[0].x[data[1][k]],
            data[0].y[data[1][k]],
            **{"epochs": 2, "batch_size": 7, "lr": 0.1, "seed": seed, "client": k},
        )
        for k in in_the_mean
    ]
    resolution = 2.0 * 100 * 4 / 2**30  # of n_k (w_k - w): the ring's 32 bits, one for the sign
    expected = fc.weighted_average(sent, n_k)
    np.testing.assert_allclose(history.params, expected, rtol=0, atol=4 * resolution)


def test_secure_round_with_too_few_left_is_abandoned(data, caplog):
    grid = SecureGrid(data, dead={("mask", 101), ("mask", 102)})
    history = flower_run(data, n_rounds=1, strategy=SECURE).run(grid)
    assert history.rounds[0].abandoned
    np.testing.assert_array_equal(history.params, MODEL.init(3))
    assert "2 of 4 clients left, the threshold is 3" in caplog.text


def test_secure_node_refuses_other_terms_plain_training_and_a_second_answer(data, caplog):
    history = flower_run(data, n_rounds=1, strategy=replace(SECURE, bound=9.0)).run(
        SecureGrid(data)
    )
    assert history.rounds[0].abandoned
    assert "this node's are (2.0, 100" in caplog.text
    plain = flower_run(data, n_rounds=1).run(SecureGrid(data))
    assert plain.rounds[0].clients == ()
    asked = []
    grid = SecureGrid(data, tamper=lambda node, message, reply: asked.append(message) or [reply])
    flower_run(data, n_rounds=1, strategy=SECURE).run(grid)
    for message in asked:
        if message.metadata.message_type == "query":
            continue
        node_id = message.metadata.dst_node_id
        with pytest.raises((ValueError, KeyError), match=r"is not due: 4 of 4|out of turn"):
            grid.apps[node_id](message, grid.contexts[node_id])


def test_false_share_of_a_secure_round_is_noticed(data, caplog):
    def tamper(node_id, message, reply):
        if node_id == 102 and "seeds" in (reply.content if reply.has_content() else {}):
            owner = next(iter(reply.content["seeds"]))
            share = bytes(reply.content["seeds"][owner])
            reply.content["seeds"][owner] = share[:-1] + bytes([share[-1] ^ 1])
        return [reply]

    history = flower_run(data, n_rounds=1, strategy=SECURE).run(SecureGrid(data, tamper=tamper))
    assert history.rounds[0].abandoned
    np.testing.assert_array_equal(history.params, MODEL.init(3))
    assert "one is false" in caplog.text
