"""The reader of upstream's kind, as a peer of the suite feed: a PULL socket, numpy.load of a BytesIO of each message, every array
read, and a put on a queue that another thread empties. One line of JSON as of feed_run.

    python_reader.py --messages 20 --warm 2
"""
import argparse
import io
import json
import queue
import threading
import time

import numpy as np
import zmq


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--warm", type=int, default=2)
    arguments = parser.parse_args()
    pull = zmq.Context().socket(zmq.PULL)
    pull.setsockopt(zmq.RCVHWM, 4)
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    print(f"at tcp://127.0.0.1:{port}", flush=True)
    batches: "queue.Queue[object]" = queue.Queue(maxsize=4)

    def take_all() -> None:
        while batches.get() is not None:
            pass

    taker = threading.Thread(target=take_all)
    taker.start()
    begin, cpu = 0.0, 0.0
    for i in range(arguments.warm + arguments.messages):
        if i == arguments.warm:
            begin, cpu = time.monotonic(), time.process_time()
        with np.load(io.BytesIO(pull.recv())) as data:
            batches.put({name: data[name] for name in data.files})
    seconds, cpu = time.monotonic() - begin, time.process_time() - cpu
    batches.put(None)
    taker.join()
    print(json.dumps({"messages_per_s": arguments.messages / seconds, "cpu_ms_per_message": 1e3 * cpu / arguments.messages}))


if __name__ == "__main__":
    main()
