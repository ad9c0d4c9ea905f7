"""Jobs on this machine as forks of one process in which the libraries are loaded already.

To load torch and transformers takes longer than most jobs of a small study. `fork_jobs` starts a server that loads
them once, and puts this file, as a program, in the interpreter's place. The program hands a job's script to the server,
which forks, and ends as the fork ends; where no server answers it becomes the interpreter that it stands for. Forks
import the project's own modules afresh. Standard library only: the program must start at once.
"""

import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

FEW = 8
"""Jobs that do not pay for a server."""
LIBRARIES = (
    *("snakemake.script", "numpy", "pyarrow.parquet", "scipy.stats", "torch", "transformers.modeling_utils"),
    *("accelerate", "safetensors.torch", "seaborn", "transformers.modeling_gguf_pytorch_utils", "infini_gram.engine"),
)
RENAMINGS = "transformers.conversion_mapping"
"""Module that makes a table of a thousand patterns when the first model is loaded or saved, and keeps it."""
STREAMS = (0, 1, 2)
"""Standard input, output and errors: a fork has those of the program that asked for it."""
LENGTH = 8
"""Bytes that say how long a request is."""
ADDRESS = "server"

_server: subprocess.Popen[bytes] | None = None


def fork_jobs(jobs: int, models: Sequence[str] = ()) -> None:
    """Start a server for a run of `jobs` jobs, if that pays; it ends with this process.

    `models` are the modules of model classes, which it loads too. Torch is told to ask a GPU's driver for nothing that
    would keep a fork from using the GPU.
    """
    global _server
    if sys.platform != "linux" or jobs <= FEW:
        return
    folder = tempfile.mkdtemp(prefix="recite-")
    command = [*shlex.split(sys.executable), "-m", "recite.jobs.forks", "--serve", folder, *LIBRARIES, *models]
    environment = os.environ | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
    _server = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    sys.executable = f"{sys.executable} -I -S {shlex.quote(__file__)} {shlex.quote(folder)}"


def serve(folder: Path, libraries: list[str]) -> None:
    """Load the libraries, then fork on request, until standard input ends: the starting process holds it open."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.disable()
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            for library in libraries:
                with suppress(ModuleNotFoundError):  # one without a build for this machine is missed by who needs it
                    importlib.import_module(library)
                if select.select([sys.stdin], [], [], 0)[0]:
                    return
            if RENAMINGS in sys.modules:
                sys.modules[RENAMINGS].get_checkpoint_conversion_mapping("")
            gc.freeze()
            gc.enable()
            listener.bind(str(folder / ADDRESS))
            listener.listen(128)
            while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
                client = listener.accept()[0]
                if os.fork() == 0:
                    listener.close()
                    _run(client)
                client.close()
        finally:
            shutil.rmtree(folder)


def _run(client: socket.socket) -> NoReturn:
    """Be the job that a program asks for, and tell it the exit status; end when the program does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        length, streams, *_ = socket.recv_fds(client, LENGTH, len(STREAMS))
        with client.makefile("rb") as payload:
            request = json.loads(payload.read(int.from_bytes(length)))
        for stream, given in zip(STREAMS, streams, strict=True):
            os.dup2(given, stream)
            os.close(given)
        # The program sends no more: a signal now says that it is gone, and ends this process.
        fcntl.fcntl(client, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(client, fcntl.F_SETFL, fcntl.fcntl(client, fcntl.F_GETFL) | os.O_ASYNC)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        status = _status_of(request["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
        client.sendall(bytes([status]))
    finally:
        os._exit(status)


def _status_of(arguments: list[str]) -> int:
    """Run a script as the interpreter would, and return its exit status."""
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).parent)
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def ask(folder: str, arguments: list[str]) -> NoReturn:
    """Have a script run by a fork of the server, or run it in this process if there is none."""
    try:
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{folder}/{ADDRESS}")
    except OSError:
        os.execv(sys.executable, [sys.executable, *arguments])
    request = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    payload = json.dumps(request).encode()
    socket.send_fds(server, [len(payload).to_bytes(LENGTH)], STREAMS)
    server.sendall(payload)
    status = server.recv(1)
    sys.exit(status[0] if status else f"recite: the process of {arguments[0]} was killed.")


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(Path(sys.argv[2]), sys.argv[3:])
    else:
        ask(sys.argv[1], sys.argv[2:])
