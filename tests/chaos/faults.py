"""The faults, each by its name: what is done to a running system at a random moment. What they may not bring about is oracle.py."""
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List

import oracle
from frames import THRESHOLD
from system import FOLDER, Broken, Program, System

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


def order_of(dice: random.Random) -> List[str]:
    """Something that changes what goes on."""
    return some_rebuffer(dice) if dice.random() < 0.75 else ["model", "load", other_threshold(dice)]


def some_rebuffer(dice: random.Random) -> List[str]:
    what = ["--slots", str(dice.randint(16, 40))] if dice.random() < 0.4 else ["--depth", str(dice.randint(1, 8))]
    return ["rebuffer", *what, *(["--batch", str(dice.randint(1, 4))] if dice.random() < 0.5 else [])]


def other_threshold(dice: random.Random) -> str:
    """A model that finds the same peaks, so that every result can still be judged."""
    return f"builtin:threshold={THRESHOLD + dice.randint(0, 400)}"


def rebuffer(system: System, dice: random.Random) -> None:
    done = system.ctl("--json", *some_rebuffer(dice))
    if done.returncode == 0 and '"lost"' in done.stdout and json.loads(done.stdout).get("lost") != 0:
        raise Broken(f"rebuffer says that frames were lost: {done.stdout}")


def other_model(system: System, dice: random.Random) -> None:
    """Refused while no daemon is ready."""
    system.ctl("model", "load", other_threshold(dice))


def begin_order(system: System, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([str(system.programs / "peaknetctl"), "--config", str(system.config), *words], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def asker_killed(system: System, dice: random.Random) -> None:
    """peaknetctl, in the middle of its request: the order is carried out or it is not."""
    words = dice.choice([order_of(dice), ["stop", "--timeout", "20s"], ["start"], ["stats"], ["watch", "--every", "10ms"], ["audit", str(system.files)]])
    asker = begin_order(system, *words)
    time.sleep(dice.uniform(0.0, 0.06))
    asker.kill()
    asker.wait()
    system.begin_run()


def kill_during_an_order(system: System, dice: random.Random) -> None:
    asker = begin_order(system, *order_of(dice))
    time.sleep(dice.uniform(0.0, 0.06))
    system.end(dice.choice(system.all()), signal.SIGKILL)
    try:
        asker.wait(timeout=150)
    except subprocess.TimeoutExpired:
        asker.kill()
        raise Broken("peaknetctl waits for ever for an answer of a daemon that was killed") from None


def second_daemon(system: System, dice: random.Random) -> None:
    """Of the same instance: it is refused and touches nothing."""
    if system.ctl("status").returncode != 0:
        return
    second = system.another_daemon()
    if second.returncode != 69:
        raise Broken(f"a second daemon ended with {second.returncode}: {second.stderr}")


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
                    pass  # the daemon is away, or closed the connection


def new_run(system: System, dice: random.Random) -> None:
    """A stop drains, whatever goes on; a start begins the next run. Either may be refused while something is dead."""
    system.ctl("stop", "--timeout", "20s")
    system.ctl("start")


def read_files(system: System, dice: random.Random) -> None:
    oracle.every_finished_file_is_whole(system.files)


@contextlib.contextmanager
def full(folder: Path, but_for: int = 0) -> Iterator[None]:
    """The file system of this folder, until the end of the block; so many bytes of it are given back at once."""
    ballast = folder / "ballast"
    try:
        with open(ballast, "wb") as file:
            with contextlib.suppress(OSError):  # this is what it is for
                while True:
                    os.write(file.fileno(), bytes(1 << 16))
            os.ftruncate(file.fileno(), max(0, os.fstat(file.fileno()).st_size - but_for))
        yield
    finally:
        ballast.unlink()


def disk_full(system: System, dice: random.Random) -> None:
    with full(system.files):
        time.sleep(dice.uniform(0.1, 0.8))


def shared_memory_full(system: System, dice: random.Random) -> None:
    """But for what libfaketime needs of it for each program that starts. Who has a pool goes on with it; who wants another is refused."""
    with full(Path("/dev/shm"), but_for=128 << 10):
        dice.choice([kill(the_daemon), kill(anybody), kill_all, restart(anybody), rebuffer, kill_during_an_order, no_room_for_another])(system, dice)
        system.mend()
        time.sleep(dice.uniform(0.1, 1.0))
        system.mend()


def no_room_for_another(system: System, dice: random.Random) -> None:
    """Another instance that would begin now says why it cannot, and leaves nothing behind."""
    other = system.instance + "-other"
    done = system.another_daemon("--set", f"instance={other}", "--set", f"control.endpoint=ipc://{system.sockets}/ctl2",
                                 "--set", f"control.monitor=ipc://{system.sockets}/mon2")
    left = [path.name for path in Path("/dev/shm").glob(f"peaknet.{other}*")]
    if done.returncode != 73 or ".no-space]" not in done.stderr or left:
        raise Broken(f"a daemon without room for its pool ended with {done.returncode} and left {left}: {done.stderr}")


def syncs(system: System, dice: random.Random) -> None:
    """strace makes a running writer's fsync fail, now and then or always, or take its time; and then no more."""
    process = dice.choice(system.writers).process
    assert process is not None
    if process.poll() is not None:
        return
    how = dice.choice(["error=EIO", "error=ENOSPC", "error=EIO:when=1+2", f"delay_enter={dice.randint(10_000, 400_000)}"])
    with open(system.folder / "strace.log", "ab") as log:
        tracer = subprocess.Popen(["strace", "-qq", "-f", "-o", "/dev/null", "-p", str(process.pid), "-e", "trace=fsync,fdatasync", "-e",
                                   f"inject=fsync,fdatasync:{how}"], stdout=log, stderr=log)
    time.sleep(dice.uniform(0.2, 1.2))
    tracer.send_signal(signal.SIGINT)
    tracer.wait(timeout=30)


def hostile(*parts: str) -> Fault:
    """A member of the group writes nonsense into the shared memory of a system at work. Daemon and writers stay up, answer, and end when asked;
    what was spoiled is told (oracle.judge_after_hostility). Then all begins anew."""

    def attack(system: System, dice: random.Random) -> None:
        part, seed = dice.choice(parts), dice.getrandbits(32)
        begun = time.monotonic()
        # Who attaches to what is spoiled already refuses it, and says so; that is another promise.
        while not (oracle.finished(system.files) and system.all_attached()) and time.monotonic() - begun < 20:
            system.mend()
            time.sleep(0.05)
        before = system.gpu_findings()
        vandal = subprocess.run([sys.executable, str(FOLDER / "vandal.py"), system.instance, part, str(seed), str(dice.uniform(0.1, 0.8))],
                                capture_output=True, text=True, timeout=60)
        if vandal.returncode != 0:
            raise Broken(f"the vandal of '{part}' ended with {vandal.returncode}: {vandal.stderr}")
        told = f"after nonsense in '{part}', seed {seed}: "
        for program in (system.daemon, *system.writers):
            if program.process is not None and program.process.poll() is not None:
                raise Broken(f"{told}{program.name} ended with {program.process.poll()}:\n{system.log_of(program)}")
        for bringer in system.bringers():  # they may be told anything; a crash is not theirs to have
            end_after_nonsense(system, bringer, told)
        system.ctl("stop", "--timeout", "2s")  # refused where slots never become free
        answer = system.ctl("--json", "stats")
        if answer.returncode != 0:
            raise Broken(f"{told}peaknetctl stats: exit {answer.returncode}: {answer.stderr}\n{system.log_of(system.daemon)}")
        for program in (*system.writers, system.daemon):
            end_after_nonsense(system, program, told)
        spoiled, silent = oracle.judge_after_hostility(system, json.loads(answer.stdout)["lifetime"])
        if silent:
            raise Broken(told + "\n  ".join(silent))
        system.spoiled += spoiled
        system.gpu_findings_of_nonsense += system.gpu_findings() - before  # slots that two devices hold, for instance
        system.new_life()

    return attack


def end_after_nonsense(system: System, program: Program, told: str) -> None:
    """A second SIGTERM gives a drain up."""
    process = program.process
    assert process is not None
    # Python hears of no signal before it has begun or after it has ended.
    by_us = program in system.producers or time.monotonic() - program.since < 2.0
    for patience in (2, 20, 60):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                continue
    code = process.poll()
    if code is None or (code < 0 and not (by_us and code == -signal.SIGTERM)):
        raise Broken(f"{told}{program.name} " + ("does not end" if code is None else f"ended by signal {-code}") + f":\n{system.log_of(program)}")


def jump(system: System, dice: random.Random) -> None:
    """Of the time of day: a little, to the day before, to another year."""
    system.set_clock(dice.choice([-1, 1]) * dice.choice([dice.randint(1, 10), dice.randint(3600, 200_000), dice.randint(10**7, 10**8)]))


def gpu(trouble: str) -> Fault:
    """The daemon begins a life in which a GPU breaks down, or hangs for ever, at some operation, and the others go on."""
    def fault(system: System, dice: random.Random) -> None:
        system.end(system.daemon, signal.SIGTERM)
        system.gpu_fault = {trouble: str(dice.randint(1, 2000))}
        system.mend()
        try:
            lost = wait_for_a_lost_device(system, seconds=5.0)
        finally:  # what a hung device holds comes back when its process ends, and not before
            system.end(system.daemon, signal.SIGKILL)
        if lost and "device." not in lost:
            raise Broken(f"a lost device does not say why: {lost}")

    return fault


def wait_for_a_lost_device(system: System, seconds: float) -> str:
    """Its error; empty: the moment of the fault did not come."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and system.daemon.process is not None and system.daemon.process.poll() is None:
        answer = system.ctl("--json", "stats")
        if answer.returncode == 0:
            for device in json.loads(answer.stdout)["devices"]:
                if device["state"] == "lost":
                    return str(device["error"])
        time.sleep(0.1)  # nothing tells of it
    return ""


def one_writer(system: System, dice: random.Random) -> Program:
    return dice.choice(system.writers)


def one_producer(system: System, dice: random.Random) -> Program:
    return dice.choice(system.producers)


def the_daemon(system: System, _: random.Random) -> Program:
    return system.daemon


def the_feed(system: System, _: random.Random) -> Program:
    return system.feed


def anybody(system: System, dice: random.Random) -> Program:
    return dice.choice(system.all())


FAULTS: Dict[str, Fault] = {
    "kill -9 of the daemon": kill(the_daemon),
    "kill -9 of a writer": kill(one_writer),
    "kill -9 of a producer": kill(one_producer),
    "kill -9 of the feed": kill(the_feed),
    "kill -9 of everybody at once": kill_all,
    "kill -9 of peaknetctl in a request": asker_killed,
    "kill -9 during rebuffer, model load": kill_during_an_order,
    "restart of the daemon": restart(the_daemon),
    "restart of a writer": restart(one_writer),
    "restart of a producer": restart(one_producer),
    "restart of the feed": restart(the_feed),
    "a second daemon": second_daemon,
    "SIGSTOP of somebody": pause,
    "fork of a producer": fork,
    "rebuffer": rebuffer,
    "another model": other_model,
    "garbage on the sockets": garbage,
    "stop and start of a run": new_run,
    "readers of finished files": read_files,
    "full disk": disk_full,
    "failing or slow fsync": syncs,
    "full /dev/shm": shared_memory_full,
    "hostile: slot descriptions": hostile("descriptions"),
    "hostile: state words": hostile("words", "words, put back"),
    "hostile: header of the pool": hostile("header", "header, put back"),
    "hostile: control segment": hostile("directory", "directory, put back"),
    "jump of the clock": jump,
    "a GPU breaks down": gpu("GPUSIM_STICKY_AT"),
    "a GPU hangs": gpu("GPUSIM_HANG_AT"),
}


def missing(name: str, system: System) -> str:
    """What this fault needs and is not to be had here."""
    if name in ("full disk", "full /dev/shm") and not system.mounted:
        return "the right to mount"
    if name == "failing or slow fsync" and (shutil.which("strace") is None or os.geteuid() != 0):
        return "strace, and root"
    if name == "jump of the clock" and system.clock is None:
        return "Debian's package faketime"
    if "GPU" in name and system.gpus < 2:
        return "--gpus 2"
    return ""
