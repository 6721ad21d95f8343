"""What the tests of several rooms need."""

import os
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("millpond", deadline=None)  # a busy machine is no failure
settings.load_profile("millpond")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Networks as small as the tests' are faster so, and the number of threads decides the order of sums."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def without_waiting_for_the_disk():
    """Thousands of small files are written; what a loss of power would leave of them is not tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def excerpts() -> Path:
    """The folder of small excerpts of real data, there without a data root too."""
    return Path(__file__).parent / "data"


@pytest.fixture
def serve():
    """Serve with a class of request handlers until the test ends; gives the server's address."""
    with ExitStack() as stack:

        def start(handler: type[BaseHTTPRequestHandler]) -> str:
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            thread.start()
            return f"http://127.0.0.1:{server.server_port}"

        yield start
