"""What a frame of the chaos test holds: everything follows from its event id, so that whoever finds it can check it."""
import numpy as np

SHAPE = (1, 64, 64)
THRESHOLD = 500  # counts; the model of the system under test
SPOTS = 5
_PLACES = [(8 + 12 * row, 8 + 12 * column) for row in range(5) for column in range(5)]  # apart, so that none join


def is_hit(event_id: int) -> bool:
    return event_id % 3 == 0


def image(event_id: int) -> np.ndarray:
    random = np.random.default_rng(event_id)
    pixels = random.integers(0, 100, SHAPE, dtype=np.uint16)
    if is_hit(event_id):
        for index in random.choice(len(_PLACES), SPOTS, replace=False):
            y, x = _PLACES[index]
            pixels[0, y : y + 2, x : x + 2] = 1000 + index
    return pixels
