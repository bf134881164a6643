"""What every test stands on does hold."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_socket import SocketConnectBlockedError

from tests.ground import MARK, running_with, settled


def test_the_network_is_out_of_reach_and_this_computer_is_not() -> None:
    with socket.socket() as outside, pytest.raises((SocketConnectBlockedError, UserWarning), match="tried to use"):
        outside.connect(("192.0.2.1", 80))
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())


def test_home_is_empty_and_nobodys(home: Path) -> None:
    assert Path.home() == home
    assert list(home.iterdir()) == []
    assert [name for name in os.environ if name.startswith("AWS_")] == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets us look into other processes")
def test_a_process_that_outlives_its_test_is_found_even_when_it_left_its_parent() -> None:
    mark = f"{MARK}={os.environ[MARK]}".encode()
    assert {} == running_with(mark)
    orphan = subprocess.run(
        ["sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True, check=True
    )
    until = time.monotonic() + 10
    while [int(orphan.stdout)] != list(running_with(mark)):  # one that is just becoming another program shows no environment
        assert time.monotonic() < until
    assert [int(orphan.stdout)] == list(settled(mark, grace=0.1))
    os.kill(int(orphan.stdout), 9)
    assert {} == settled(mark)
