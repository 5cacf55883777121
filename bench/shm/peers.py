"""peers.py: the Python processes of one run of the hand-over benchmark. Its clients are as in transport.hpp: the producer
copies every byte of an image into what it hands over and stamps the first eight bytes last; the consumer reads first and
last word, and lets the frame go.

  peers.py --board FILE --name N --transport iceoryx2 --bytes 1048576 --producers 1 --consumers 1

bench/shm/handover.py starts it, and says stop. Transports:
  peaknet   peaknet_shm, attached to the instance N that handover_bench made: producers into Q1, consumers out of Q2
  peaknet-put  the same with producers that put
  iceoryx2  its PyPI wheel: shared memory, an event per frame; each consumer has a service, producers send to all in turn
  mp        multiprocessing: a SharedMemory of slots, two Queues of slot numbers (free, filled)
  pyzmq     PUSH to PULL over ipc, the frame sent from and received into Python's memory without a copy of pyzmq's own
  ray       ray.put, and the reference through a ray.util.queue.Queue: a driver process each for producer and consumer
"""
import argparse
import ctypes
import itertools
import logging
import os
import secrets
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context, shared_memory
from multiprocessing.connection import wait
from queue import Empty
from typing import Any, Callable, Iterator, List, Optional, Tuple

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from board import CONSUMER_PIDS, HELPER_PIDS, PRODUCER_PIDS, SENT, STOP, Board  # noqa: E402

SLICE = 0.02  # seconds: how long a client waits before it looks whether the run is over
ENDED_WITHIN = 1.0  # seconds after the stop
Send = Callable[[], bool]  # False: not yet
Receive = Callable[[bool], Optional[int]]  # the stamp, or None: not yet; True: look once, without sleeping

now_ns = time.monotonic_ns
write_stamp = struct.Struct("q").pack_into


IMAGE_BYTES = 64 << 20


def all_images_of(size: int, dtype: Any, shape: Any) -> List[np.ndarray]:
    image = ((np.arange(size, dtype=np.uint64) * 2654435761 >> 13).astype(np.uint8) | 1).view(dtype).reshape(shape)
    return [image.copy() for _ in range(1 if size < 1024 else max(1, IMAGE_BYTES // size))]


def images_of(size: int, dtype: Any = np.uint8, shape: Any = -1) -> Iterator[np.ndarray]:
    """The images that a producer copies from, round and round, as in transport.hpp."""
    return itertools.cycle(all_images_of(size, dtype, shape))


def images_with_stamps_of(size: int, dtype: Any = np.uint8, shape: Any = -1) -> Iterator[Tuple[np.ndarray, memoryview]]:
    """The same, each with its first eight bytes as one number: to look for them in an array, time and again, is not what a
    transport costs."""
    return itertools.cycle([(image, memoryview(image).cast("B")[:8].cast("q")) for image in all_images_of(size, dtype, shape)])


def stamp_of(frame: Any) -> int:
    """Of anything with a buffer of bytes."""
    view = memoryview(frame).cast("B")
    if len(view) > 16 and view[-8:] == bytes(8):
        raise RuntimeError("a frame arrived that nobody filled")
    return int(struct.unpack_from("q", view)[0])


class Transport:
    """What the processes share is made before they are forked."""

    def __init__(self, plan: argparse.Namespace) -> None:
        self.plan = plan

    def producer(self, index: int) -> Send:
        raise NotImplementedError

    def consumer(self, index: int) -> Receive:
        raise NotImplementedError

    def helpers(self) -> List[int]:
        """Processes that work for the run besides producers and consumers, once it goes on."""
        return []

    def close(self) -> None:
        pass


class Peaknet(Transport):
    def producer(self, index: int) -> Send:
        import peaknet_shm

        client = peaknet_shm.Producer.attach(self.plan.name, label="bench")
        geometry = client.geometry
        images = images_of(self.plan.bytes, geometry.dtype, geometry.shape)

        def send() -> bool:
            try:
                frame = client.claim(timeout=SLICE)
            except peaknet_shm.PoolFull:
                return False
            with frame:
                image = frame.image
                image[...] = next(images)
                write_stamp(image, 0, now_ns())
            return True

        return send

    def consumer(self, index: int) -> Receive:
        import peaknet_shm

        client = peaknet_shm.Consumer.attach(self.plan.name, label="bench")

        def receive(spin: bool) -> Optional[int]:
            result = client.take(timeout=0 if spin else SLICE)
            if result is None:
                return None
            stamp = stamp_of(result.image)
            result.finish("written")
            return stamp

        return receive


class PeaknetPut(Peaknet):
    """The image is in an array of the producer's own and is put: the stamp goes there first, so the latency has the copy in it."""

    def producer(self, index: int) -> Send:
        import peaknet_shm

        client = peaknet_shm.Producer.attach(self.plan.name, label="bench")
        images = images_with_stamps_of(self.plan.bytes, client.geometry.dtype, client.geometry.shape)

        def send() -> bool:
            image, stamp = next(images)
            stamp[0] = now_ns()
            try:
                client.put(image, timeout=SLICE)
            except peaknet_shm.PoolFull:
                return False
            return True

        return send


class Iceoryx2(Transport):
    def _service(self, consumer: int) -> Any:
        import iceoryx2

        iceoryx2.set_log_level(iceoryx2.LogLevel.Fatal)
        builder = iceoryx2.NodeBuilder.new().signal_handling_mode(iceoryx2.SignalHandlingMode.Disabled)
        node = builder.create(iceoryx2.ServiceType.Ipc)
        name = iceoryx2.ServiceName.new(f"{self.plan.name}/{consumer}")
        depth = max(2, self.plan.slots // (self.plan.producers * self.plan.consumers))
        frames = (
            node.service_builder(name).publish_subscribe(iceoryx2.Slice[ctypes.c_uint8])
            .max_publishers(self.plan.producers).max_subscribers(1).subscriber_max_buffer_size(depth)
            .enable_safe_overflow(False).open_or_create()
        )
        event = node.service_builder(name).event().max_notifiers(self.plan.producers).open_or_create()
        return iceoryx2, node, frames, event

    def producer(self, index: int) -> Send:
        size = self.plan.bytes
        clients = []
        for consumer in range(self.plan.consumers):
            iceoryx2, node, frames, event = self._service(consumer)
            publisher = (
                frames.publisher_builder().initial_max_slice_len(size).max_loaned_samples(2)
                .backpressure_strategy(iceoryx2.BackpressureStrategy.RetryUntilDelivered).create()
            )
            clients.append((publisher, event.notifier_builder().create(), node, frames, event))
        images = images_of(size)
        turn = 0

        def send() -> bool:
            nonlocal turn
            publisher, notifier = clients[turn][:2]
            turn = (turn + 1) % len(clients)
            sample = publisher.loan_slice_uninit(size)
            address = sample.payload_ptr
            ctypes.memmove(address, next(images).ctypes.data, size)
            ctypes.c_int64.from_address(address).value = now_ns()
            sample.assume_init().send()
            notifier.notify()
            return True

        return send

    def consumer(self, index: int) -> Receive:
        iceoryx2, *service = self._service(index)
        _, frames, event = service
        subscriber, listener = frames.subscriber_builder().create(), event.listener_builder().create()
        size, wait = self.plan.bytes, iceoryx2.Duration.from_millis(int(SLICE * 1000))

        def receive(spin: bool, _kept: Any = service) -> Optional[int]:  # the service, as long as its ports are used
            sample = subscriber.receive()
            if sample is None and not spin:
                listener.timed_wait(wait)
                sample = subscriber.receive()
            if sample is None:
                return None
            stamp = stamp_of((ctypes.c_uint8 * size).from_address(sample.payload_ptr))
            sample.delete()
            return stamp

        return receive


class MultiprocessingQueue(Transport):
    def __init__(self, plan: argparse.Namespace) -> None:
        super().__init__(plan)
        processes = get_context("fork")
        self._memory = shared_memory.SharedMemory(create=True, size=plan.slots * plan.bytes)
        self._free, self._filled = processes.Queue(), processes.Queue()
        np.frombuffer(self._memory.buf, np.uint8)[:] = 1  # its pages are there
        for slot in range(plan.slots):
            self._free.put(slot)

    def _slot(self, slot: int) -> memoryview:
        return self._memory.buf[slot * self.plan.bytes : (slot + 1) * self.plan.bytes]

    def producer(self, index: int) -> Send:
        images = images_of(self.plan.bytes)
        slots = np.frombuffer(self._memory.buf, np.uint8).reshape(self.plan.slots, self.plan.bytes)

        def send() -> bool:
            try:
                slot = self._free.get(timeout=SLICE)
            except Empty:
                return False
            image = slots[slot]
            image[...] = next(images)
            write_stamp(image, 0, now_ns())
            self._filled.put(slot)
            return True

        self._free.cancel_join_thread()
        self._filled.cancel_join_thread()
        return send

    def consumer(self, index: int) -> Receive:
        def receive(spin: bool) -> Optional[int]:
            try:
                slot = self._filled.get_nowait() if spin else self._filled.get(timeout=SLICE)
            except Empty:
                return None
            stamp = stamp_of(self._slot(slot))
            self._free.put(slot)
            return stamp

        self._free.cancel_join_thread()
        self._filled.cancel_join_thread()
        return receive

    def close(self) -> None:
        self._free.cancel_join_thread()
        self._memory.close()
        self._memory.unlink()


class PyZmq(Transport):
    def __init__(self, plan: argparse.Namespace) -> None:
        super().__init__(plan)
        self._folder = tempfile.TemporaryDirectory(prefix="peaknet-bench-")

    def _endpoint(self, consumer: int) -> str:
        return f"ipc://{self._folder.name}/{consumer}"

    def producer(self, index: int) -> Send:
        import zmq

        socket = zmq.Context().socket(zmq.PUSH)
        socket.reconnect_ivl = 1  # ms: the consumer may bind later
        socket.linger, socket.sndhwm, socket.sndtimeo = 0, self.plan.slots // 2, int(SLICE * 1000)
        for consumer in range(self.plan.consumers):
            socket.connect(self._endpoint(consumer))
        images = images_of(self.plan.bytes)

        def send() -> bool:
            frame = bytearray(next(images))  # a fresh one each: pyzmq sends from it later
            write_stamp(frame, 0, now_ns())
            try:
                socket.send(frame, copy=False)
            except zmq.Again:
                return False
            return True

        return send

    def consumer(self, index: int) -> Receive:
        import zmq

        socket = zmq.Context().socket(zmq.PULL)
        socket.linger, socket.rcvhwm, socket.rcvtimeo = 0, self.plan.slots // 2, int(SLICE * 1000)
        socket.bind(self._endpoint(index))

        def receive(spin: bool) -> Optional[int]:
            try:
                frame = socket.recv(zmq.DONTWAIT if spin else 0, copy=False)
            except zmq.Again:
                return None
            return stamp_of(frame.buffer)

        return receive

    def close(self) -> None:
        self._folder.cleanup()


class Ray(Transport):
    """A cluster of this machine alone; producers and consumers join it as drivers of one namespace."""

    def __init__(self, plan: argparse.Namespace) -> None:
        super().__init__(plan)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # A token made for this cluster alone; without one Ray leaves its own in the home folder.
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
        # Its own program: a process that has been a driver cannot be forked into further drivers.
        self._folder = tempfile.mkdtemp(prefix="pn-ray-", dir="/tmp")  # short: there are sockets in it
        code = CLUSTER.format(folder=self._folder, slots=plan.slots, memory=max(plan.bytes * plan.slots * 3, 1 << 28))
        self._cluster = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._cluster.stdout is not None
        for line in self._cluster.stdout:
            if line.startswith("address "):
                self._address = line.split()[1]
                return
        raise RuntimeError("Ray does not start")

    def _queue(self) -> Any:
        import ray

        ray.init(address=self._address, namespace="bench", logging_level=logging.ERROR, log_to_driver=False)
        return ray, ray.get_actor("frames", namespace="bench")

    def producer(self, index: int) -> Send:
        ray, queue = self._queue()
        images = images_with_stamps_of(self.plan.bytes)

        def send() -> bool:
            image, stamp = next(images)
            stamp[0] = now_ns()  # the copy into the object store is the fill
            reference = ray.put(image)
            while not self.plan.stopped():
                try:
                    ray.get(queue.put.remote([reference], SLICE * 10))
                    return True
                except Exception as failure:
                    if type(failure).__name__ not in ("Full", "RayTaskError(Full)"):
                        raise
            return False

        return send

    def consumer(self, index: int) -> Receive:
        ray, queue = self._queue()

        def receive(spin: bool) -> Optional[int]:
            try:
                [reference] = ray.get(queue.get.remote(SLICE * 10))
            except Exception as failure:
                if type(failure).__name__ not in ("Empty", "RayTaskError(Empty)"):
                    raise
                return None
            return stamp_of(ray.get(reference))

        return receive

    def helpers(self) -> List[int]:
        """Everything below the cluster's process."""
        parents = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat") as file:
                        parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
                except OSError:
                    continue  # has just ended
        found = [self._cluster.pid]
        for parent in found:
            found += [pid for pid, above in parents.items() if above == parent]
        return found

    def close(self) -> None:
        assert self._cluster.stdin is not None
        self._cluster.stdin.close()
        self._cluster.wait(timeout=30)
        shutil.rmtree(self._folder, ignore_errors=True)


CLUSTER = """
import logging, sys
import ray
from ray.util.queue import Queue
context = ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False, namespace="bench",
                   object_store_memory={memory}, _temp_dir="{folder}", _node_ip_address="127.0.0.1")
queue = Queue(maxsize={slots}, actor_options=dict(name="frames", num_cpus=0))
queue.qsize()
print("address", context.address_info["address"], flush=True)
sys.stdin.read()
ray.shutdown()
"""

TRANSPORTS = {"peaknet": Peaknet, "peaknet-put": PeaknetPut, "iceoryx2": Iceoryx2, "mp": MultiprocessingQueue, "pyzmq": PyZmq, "ray": Ray}


def produce(transport: Transport, index: int, plan: argparse.Namespace) -> None:
    bind_to(plan, index)
    board = Board(plan.board)
    plan.stopped = board.stopped
    send = transport.producer(index)
    board.wait_for_go(PRODUCER_PIDS + index)
    due = time.monotonic()
    words, paced, sent = board.words, plan.paced_us > 0, SENT + 8 * index  # what this loop costs is nobody's transport
    while not words[STOP]:
        if paced:
            due += plan.paced_us * 1e-6
            time.sleep(max(0.0, due - time.monotonic()))
        if send():
            words[sent] += 1
    board.words[PRODUCER_PIDS + index] = 0


def consume(transport: Transport, index: int, plan: argparse.Namespace) -> None:
    bind_to(plan, -1 - index)
    board = Board(plan.board)
    plan.stopped = board.stopped
    receive = transport.consumer(index)
    board.wait_for_go(CONSUMER_PIDS + index)
    # On until the last producer has ended: some cannot, while nobody takes what they send.
    while not board.stopped() or any(board.words[PRODUCER_PIDS : PRODUCER_PIDS + plan.producers].tolist()):
        stamp = receive(plan.spin)
        if stamp is not None:
            board.received(index, now_ns() - stamp)


def bind_to(plan: argparse.Namespace, place: int) -> None:
    if plan.cpus:
        os.sched_setaffinity(0, {plan.cpus[place % len(plan.cpus)]})


def run_all(plan: argparse.Namespace) -> int:
    transport = TRANSPORTS[plan.transport](plan)
    try:
        processes = get_context("fork")
        jobs = [(consume, i) for i in range(plan.consumers)] + [(produce, i) for i in range(plan.producers)]
        children = [processes.Process(target=body, args=(transport, index, plan)) for body, index in jobs]
        for child in children:
            child.start()
        board = Board(plan.board)
        for place, pid in enumerate(transport.helpers()[: SENT - HELPER_PIDS]):
            board.words[HELPER_PIDS + place] = pid
        running, failed, patience = list(children), False, float("inf")
        # Some peers leave a process waiting for ever for one that has ended: once the run is over that is not our matter.
        while running and not failed and time.monotonic() < patience:
            wait([child.sentinel for child in running], timeout=ENDED_WITHIN / 4)
            failed = any(child.exitcode not in (None, 0) for child in running)
            running = [child for child in running if child.exitcode is None]
            if board.stopped():
                patience = min(patience, time.monotonic() + ENDED_WITHIN)
        for child in children:
            if child.exitcode is None:
                child.kill()
            child.join()
        return 1 if failed else 0
    finally:
        transport.close()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--board", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--transport", choices=TRANSPORTS, required=True)
    parser.add_argument("--bytes", type=int, default=1 << 20)
    parser.add_argument("--producers", type=int, default=1)
    parser.add_argument("--consumers", type=int, default=1)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--paced-us", type=int, default=0)
    parser.add_argument("--spin", action="store_true")
    parser.add_argument("--cpus", type=lambda text: [int(cpu) for cpu in text.split(",")], default=[])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for handover.py, which then says stop
    return run_all(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
