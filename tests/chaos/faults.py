"""The faults, each by its name: what is done to a running system at a random moment. What they may not bring about is oracle.py."""
import json
import os
import random
import signal
import socket
import time
from pathlib import Path
from typing import Callable, Dict

import oracle
from frames import THRESHOLD
from system import Broken, Program, System

Fault = Callable[[System, random.Random], None]


def kill(choose: Callable[[System, random.Random], Program]) -> Fault:
    return lambda system, dice: system.end(choose(system, dice), signal.SIGKILL)


def kill_all(system: System, dice: random.Random) -> None:
    programs = system.all()
    dice.shuffle(programs)
    for program in programs:
        if program.process is not None and program.process.poll() is None:
            program.expected = [-signal.SIGKILL]
            program.process.kill()
    for program in programs:
        if program.process is not None:
            program.process.wait()


def restart(choose: Callable[[System, random.Random], Program]) -> Fault:
    return lambda system, dice: system.end(choose(system, dice), signal.SIGTERM)


def pause(system: System, dice: random.Random) -> None:
    """A stopped process is alive: nothing of its may be taken, however long."""
    program = dice.choice(system.all())
    assert program.process is not None
    if program.process.poll() is None:
        program.process.send_signal(signal.SIGSTOP)
        time.sleep(dice.uniform(0.05, 0.6))
        program.process.send_signal(signal.SIGCONT)


def fork(system: System, dice: random.Random) -> None:
    program = dice.choice(system.producers)
    assert program.process is not None
    # Before it has set its handler the signal would end it; the ledger comes after the handler.
    if program.process.poll() is None and Path(program.command[-2]).exists():
        program.process.send_signal(signal.SIGUSR1)


def rebuffer(system: System, dice: random.Random) -> None:
    what = ["--depth", str(dice.randint(1, 8))] + (["--batch", str(dice.choice([1, 2, 3, 4]))] if dice.random() < 0.5 else [])
    done = system.ctl("--json", "rebuffer", *what)
    if done.returncode == 0 and '"lost"' in done.stdout and json.loads(done.stdout).get("lost") != 0:
        raise Broken(f"rebuffer says that frames were lost: {done.stdout}")


def other_model(system: System, dice: random.Random) -> None:
    """One that finds the same peaks, so that every result can still be judged; refused while no daemon is ready."""
    system.ctl("model", "load", f"builtin:threshold={THRESHOLD + dice.randint(0, 400)}")


def garbage(system: System, dice: random.Random) -> None:
    """Bytes that are no ZMTP, and a greeting that breaks off, at both sockets."""
    for name in ("ctl", "mon"):
        for _ in range(dice.randint(1, 20)):
            with socket.socket(socket.AF_UNIX) as client:
                try:
                    client.connect(str(system.sockets / name))
                    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" if dice.random() < 0.5 else b""
                    client.send(greeting + dice.randbytes(dice.randint(0, 3000)))
                except OSError:
                    pass  # the daemon is away, or closed the door


def new_run(system: System, dice: random.Random) -> None:
    """A stop drains, whatever goes on; a start begins the next run. Either may be refused while something is dead."""
    system.ctl("stop", "--timeout", "20s")
    system.ctl("start")


def read_files(system: System, dice: random.Random) -> None:
    oracle.every_finished_file_is_whole(system.files)


def disk_full(system: System, dice: random.Random) -> None:
    ballast = system.files / "ballast"
    try:
        with open(ballast, "wb") as file:
            try:
                while True:
                    os.write(file.fileno(), bytes(1 << 20))
            except OSError:
                pass  # this is what it was for
        time.sleep(dice.uniform(0.1, 0.8))
    finally:
        ballast.unlink()


def jump(system: System, dice: random.Random) -> None:
    """Of the time of day: a little, to the day before, to another year."""
    system.set_clock(dice.choice([-1, 1]) * dice.choice([dice.randint(1, 10), dice.randint(3600, 200_000), dice.randint(10**7, 10**8)]))


def one_writer(system: System, dice: random.Random) -> Program:
    return dice.choice(system.writers)


def one_producer(system: System, dice: random.Random) -> Program:
    return dice.choice(system.producers)


def the_daemon(system: System, _: random.Random) -> Program:
    return system.daemon


FAULTS: Dict[str, Fault] = {
    "kill -9 of the daemon": kill(the_daemon),
    "kill -9 of a writer": kill(one_writer),
    "kill -9 of a producer": kill(one_producer),
    "kill -9 of everybody at once": kill_all,
    "restart of the daemon": restart(the_daemon),
    "restart of a writer": restart(one_writer),
    "SIGSTOP of somebody": pause,
    "fork of a producer": fork,
    "rebuffer": rebuffer,
    "another model": other_model,
    "garbage on the sockets": garbage,
    "stop and start of a run": new_run,
    "readers of finished files": read_files,
    "full disk": disk_full,
    "jump of the clock": jump,
}


def missing(name: str, system: System) -> str:
    """What this fault needs and is not to be had here."""
    if name == "full disk" and not system.mounted:
        return "the right to mount"
    if name == "jump of the clock" and system.clock is None:
        return "Debian's package faketime"
    return ""
