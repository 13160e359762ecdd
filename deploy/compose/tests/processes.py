"""Processes of the tests: on free ports of this machine, ended by their ids."""

import contextlib
import os
import pathlib
import select
import socket
import subprocess
import time

import project

# Of a wait for something that always happens.
PATIENCE_SECONDS = 60


def free_ports(count):
    """All at once, so that none is handed out twice."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def on_loopback(listen, port):
    """An address that a container listens on, as one of this machine."""
    host, _ = listen.rsplit(":", 1)
    assert host == "0.0.0.0", listen
    return f"127.0.0.1:{port}"


def environment(**variables):
    """As in a container: the binaries are in the PATH."""
    return project.clean_environment(**{"PATH": f"{project.BIN}:{os.environ['PATH']}", **variables})


def run(command, variables):
    """Runs a command to its end, which has to be good. Its output."""
    return subprocess.run(command, env=environment(**variables), check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


@contextlib.contextmanager
def started(command, variables, log, **more):
    """A process that is stopped at the end, and killed if it does not."""
    with open(log, "w") as output:
        running = subprocess.Popen(command, env=environment(**variables), stdout=output, stderr=output, **more)
    running.log = log
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def wait_for(running, attempt):
    """Repeats an attempt until it works, as long as the process lives."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return attempt()
        except (subprocess.CalledProcessError, OSError) as failed:
            if running.poll() is not None or time.monotonic() > end:
                raise AssertionError(pathlib.Path(running.log).read_text()[-3000:]) from failed
            select.select([], [], [], 0.05)


def executable(running):
    """What the process runs."""
    return os.path.basename(os.readlink(f"/proc/{running.pid}/exe"))


def children(running):
    """The processes that it started."""
    return pathlib.Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
