"""Real WebSockets through the server: they live on while the configuration changes a hundred times."""

import asyncio
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from stack import BINARY, free_port, until

CLIENTS, RELOADS = 20, 100


@pytest.fixture(scope="module")
def backend():
    """A server that gives back what it hears, on a thread of its own; its port."""
    websockets = pytest.importorskip("websockets", reason="websockets is not here: tests/run installs it")
    port, loop = free_port(), asyncio.new_event_loop()

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async def serve():
        loop.ended = loop.create_future()
        async with websockets.serve(echo, "127.0.0.1", port, max_size=None):
            await loop.ended

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    yield port
    loop.call_soon_threadsafe(loop.ended.set_result, None)
    thread.join()


def configure(place, backend, number):
    (place.folder / "nginx.conf").write_text(f"""
        user root; daemon off; pid {place.folder}/pid; events {{}}
        http {{
            map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
            upstream app {{ server 127.0.0.1:{backend}; }}
            server {{
                listen 127.0.0.1:{place.port};
                location /ws/ {{
                    proxy_pass http://app; proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
                }}
                location / {{ return 200 {number}; }}
            }}
        }}
    """)


@pytest.fixture(scope="module")
def command(place, backend):
    configure(place, backend, 0)
    command = [BINARY, "-p", f"{place.folder}/", "-c", "nginx.conf", "-e", "logs/error.log"]
    place.start(command, place.port)
    return command


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory(pid):
    """Resident, in KiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def test_a_hundred_reloads_leave_one_worker_and_every_websocket(place, backend, command):
    import websockets

    master = int((place.folder / "pid").read_text())
    worker = until(lambda: children(master), "the worker")

    async def talk(sockets, text):
        await asyncio.gather(*(socket.send(f"{text} {number}") for number, socket in enumerate(sockets)))
        answers = await asyncio.gather(*(socket.recv() for socket in sockets))
        assert answers == [f"{text} {number}" for number in range(len(sockets))]

    async def run():
        address = f"ws://127.0.0.1:{place.port}/ws/"
        sockets = [await websockets.connect(address, ping_interval=None, max_size=None) for _ in range(CLIENTS)]
        settled = 0
        for number in range(1, RELOADS + 1):
            configure(place, backend, number)
            said = await asyncio.to_thread(subprocess.run, [*command, "-s", "reload"], capture_output=True, text=True)
            assert (said.returncode, said.stderr) == (0, "")
            await talk(sockets, f"after {number}")
            if number == RELOADS // 5:
                settled = memory(worker[0])
        assert place.ask("/")[2] == str(RELOADS).encode()
        large = os.urandom(1 << 20)
        await sockets[0].send(large)
        assert await sockets[0].recv() == large
        assert memory(worker[0]) <= settled * 1.05 + 1024, (settled, memory(worker[0]))
        for socket in sockets:
            await socket.close()
            assert socket.close_code == 1000

    asyncio.run(run())
    assert children(master) == worker, "one worker, the same one"
    assert "[alert]" not in place.errors()


def test_a_new_binary_waits_for_the_websockets_of_the_old_one(place, backend, command):
    import websockets

    before = int((place.folder / "pid").read_text())

    async def run():
        socket = await websockets.connect(f"ws://127.0.0.1:{place.port}/ws/", ping_interval=None)
        os.kill(before, signal.SIGUSR2)

        def after():
            file = place.folder / "pid"
            text = file.read_text() if file.exists() else ""
            return text.strip() and int(text) != before and children(int(text)) and int(text)

        new = until(after, "the new binary")
        os.kill(before, signal.SIGQUIT)
        until(lambda: (place.folder / "pid.oldbin").exists(), "the old one")
        assert place.ask("/")[2] == str(RELOADS).encode()
        await socket.send("still there")
        assert await socket.recv() == "still there"
        assert Path(f"/proc/{before}").exists()
        await socket.close()
        until(lambda: place.running[-1].child.poll() == 0, "the end of the old binary")
        return new

    new = asyncio.run(run())
    os.kill(new, signal.SIGQUIT)
    until(lambda: not Path(f"/proc/{new}").exists(), "its end")
