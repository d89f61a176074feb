"""Work on a cluster, with a client that plays one."""

import logging
import os
import threading
import time
from dataclasses import replace

import pytest

from ndmapper.config import config
from ndmapper.errors import ConfigError, WorkerError
from ndmapper.parallel import map_parallel
from ndmapper.parallel.cluster import _carry_out
from ndmapper.parallel.cores import IN_WORKER
from ndmapper.parallel.worker import Surroundings


def in_threads(count, work):
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_of_a_worker_take_turns_with_its_surroundings():
    seen = []

    def look(number):
        time.sleep(0.05 * (number % 2))
        return config["bad_flags"]

    with config.using(bad_flags=6):
        call = Surroundings.here().pack(look)

    def work(number):
        seen.append(_carry_out(call, number)[1])

    in_threads(4, work)
    assert seen == [6] * 4
    assert config["bad_flags"] != 6


def test_worker_of_a_cluster_is_marked_while_it_works():
    call = Surroundings.here().pack(lambda _: os.environ.get(IN_WORKER))
    assert _carry_out(call, None)[1] == "1"
    assert IN_WORKER not in os.environ


def test_worker_in_this_process_leaves_the_level_of_the_log():
    logger = logging.getLogger("ndmapper")
    before = logger.level
    call = replace(Surroundings.here().pack(lambda _: logger.level), level=47)
    assert _carry_out(call, None)[1] == 47
    assert logger.level == before


class Client:
    """As much of one as the configuration looks at."""

    scheduler = None

    def submit(self): ...


def test_cluster_may_be_a_client():
    client = Client()
    with config.using(cluster=client):
        assert config["cluster"] is client
        assert Surroundings.here().settings["cluster"] is None


@pytest.mark.parametrize("value", [3, object(), ["tcp://a"]])
def test_cluster_of_another_kind_says_what_it_takes(value):
    with pytest.raises(ConfigError, match=r"an address, a distributed\.Client"):
        config["cluster"] = value


@pytest.mark.parametrize("address", [
    "somewhere", "http://127.0.0.1:1", "tcp://127.0.0.1", "tcp://127.0.0.1:port",
])  # fmt: skip
def test_address_that_is_none_is_told_before_anything_is_tried(address, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(distributed, "Client", None)
    with pytest.raises(WorkerError, match="there is no dask scheduler at"):
        map_parallel(abs, [1, 2], cluster=address)
