"""Diffraction patterns with their truth: what a detector would give, and which of its pixels belong to a reflection.

    scene = draw(np.random.default_rng(7), (512, 512))      everything random: cell, beam, detector, background, faults
    pattern = simulate(scene, np.random.default_rng(8))     the counts and the truth of one exposure

Still exposures: reciprocal lattice points near the Ewald sphere, with intensities after Wilson, on a background of photons.
Needs NumPy alone; the same seeds and version of NumPy give the same bits. Lengths are in pixels, in the detector's plane;
reciprocal lengths in 1/Angstrom; intensities in photons, until the detector turns them into counts."""

import dataclasses
import math

import numpy as np

ICE = (3.90, 3.67, 3.44, 2.67, 2.25, 2.07, 1.95, 1.92)  # Angstrom, of hexagonal ice
CORE = 0.25  # of its largest pixel: what has more belongs to a reflection
RIM = 0.10  # what has more, but not so much, is neither right nor wrong
TAKEN, SEEN = 4.5, 3.0  # significance from which a reflection must be found, and below which it must not
MOST_POINTS = 400_000  # lattice points that are looked at
CROWD = 0.005  # spots for each pixel, of spots one pixel wide: more would run into one another
NOTHING, REFLECTION, EITHER = 0, 1, 2  # what a pixel of Pattern.classes is


@dataclasses.dataclass(frozen=True)
class Crystal:
    axes: np.ndarray  # (3, 3), rows a*, b*, c* in 1/Angstrom
    thickness: float  # of a lattice point along the beam, 1/Angstrom (standard deviation)
    decay: float  # B in exp(-B s^2 / 2), Angstrom^2
    significance: float  # of a reflection stronger than 9 of 10, on this background


@dataclasses.dataclass(frozen=True)
class Ring:
    radius: float
    width: float
    height: float  # photons
    lumps: float = 0.0  # standard deviation of the logarithm, along the ring


@dataclasses.dataclass(frozen=True)
class Jet:
    angle: float
    width: float
    height: float
    length: float
    one_sided: bool = False


@dataclasses.dataclass(frozen=True)
class Detector:
    panel: tuple[int, int] = (0, 0)  # of a grid of panels; 0: one panel
    gap: int = 0
    origin: tuple[int, int] = (0, 0)  # where in the grid the image begins
    wide_edges: float = 1.0  # what the outermost pixels of a panel count more
    spread: float = 0.0  # of the gains of pixels
    steps: float = 0.0  # of the gains of panels
    read_noise: float = 0.0  # photons
    row_noise: float = 0.0  # photons, the same for a row
    counts: float = 1.0  # per photon
    pedestal: float = 0.0  # counts
    whole: bool = True  # uint16; else float32
    saturation: float = 65535.0
    stop: float = 0.0  # radius of the beam stop
    hot: int = 0
    dead: int = 0
    lines: int = 0
    tracks: int = 0


@dataclasses.dataclass(frozen=True)
class Scene:
    shape: tuple[int, int]
    wavelength: float
    distance: float
    centre: tuple[float, float]  # y, x of the beam
    detector: Detector = Detector()
    crystals: tuple[Crystal, ...] = ()
    flat: float = 0.1  # photons
    air: tuple[float, float] = (0.0, 100.0)  # photons at the centre, radius of half of it
    water: float = 0.0  # photons at the water ring's height
    rings: tuple[Ring, ...] = ()
    jets: tuple[Jet, ...] = ()
    sigma: float = 0.8  # of a spot
    stretch: float = 1.0  # of a spot along the radius
    ragged: float = 0.0  # how much the widths of the spots differ

    def without_crystals(self) -> "Scene":
        return dataclasses.replace(self, crystals=())

    def without_tracks(self) -> "Scene":
        return dataclasses.replace(self, detector=dataclasses.replace(self.detector, tracks=0))

    def with_significance(self, wanted: float) -> "Scene":
        return dataclasses.replace(self, crystals=tuple(dataclasses.replace(one, significance=wanted) for one in self.crystals))


@dataclasses.dataclass(frozen=True)
class Pattern:
    image: np.ndarray  # (H, W) uint16 or float32
    classes: np.ndarray  # (H, W) uint8: NOTHING, REFLECTION, EITHER
    reflections: np.ndarray  # fields of SPOT, all that fall on the detector
    faults: np.ndarray  # (H, W) bool: hot pixels, lines and tracks


SPOT = np.dtype([("y", "f4"), ("x", "f4"), ("photons", "f4"), ("background", "f4"), ("significance", "f4"), ("pixels", "i4")])


def reciprocal(cell: tuple[float, ...]) -> np.ndarray:
    """Rows a*, b*, c* of a, b, c (Angstrom) and alpha, beta, gamma (degrees)."""
    a, b, c = cell[:3]
    alpha, beta, gamma = np.radians(cell[3:])
    x = math.cos(beta)
    y = (math.cos(alpha) - math.cos(beta) * math.cos(gamma)) / math.sin(gamma)
    direct = np.array([[a, 0, 0], [b * math.cos(gamma), b * math.sin(gamma), 0],
                       [c * x, c * y, c * math.sqrt(max(1e-6, 1 - x * x - y * y))]])
    return np.linalg.inv(direct).T


def rotation(rng: np.random.Generator) -> np.ndarray:
    """Any orientation, all alike."""
    q = rng.standard_normal(4)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                     [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                     [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def reach(scene: Scene) -> float:
    """The largest 1/d on the image."""
    far = max(math.hypot(y - scene.centre[0], x - scene.centre[1]) for y in (0, scene.shape[0]) for x in (0, scene.shape[1]))
    return 2 * math.sin(math.atan2(far, scene.distance) / 2) / scene.wavelength


def lattice(scene: Scene, crystal: Crystal, rng: np.random.Generator) -> np.ndarray:
    """(n, 3) y, x and relative intensity of the points that light up on the image."""
    limit = reach(scene)
    direct = np.linalg.inv(crystal.axes)  # columns a, b, c
    most = np.floor(limit * np.linalg.norm(direct, axis=0)).astype(int)
    if np.prod(2.0 * most + 1) > 4 * MOST_POINTS:
        return np.zeros((0, 3))
    h, k, l = (np.arange(-m, m + 1) for m in most)
    q = (h[:, None, None, None] * crystal.axes[0] + k[None, :, None, None] * crystal.axes[1] +
         l[None, None, :, None] * crystal.axes[2]).reshape(-1, 3)
    ewald = 1 / scene.wavelength
    z = q[:, 2] + ewald
    away = np.sqrt(q[:, 0] ** 2 + q[:, 1] ** 2 + z * z) - ewald
    near = (np.abs(away) < 3 * crystal.thickness) & (z > 0) & (np.abs(q).max(axis=1) > 1e-6)
    q, z, away = q[near], z[near], away[near]
    y = scene.centre[0] + scene.distance * q[:, 1] / z
    x = scene.centre[1] + scene.distance * q[:, 0] / z
    full = rng.standard_exponential(len(q)) * np.exp(-0.5 * crystal.decay * (q * q).sum(axis=1))
    light = full * np.exp(-0.5 * (away / crystal.thickness) ** 2)
    inside = (y > -0.5) & (y < scene.shape[0] - 0.5) & (x > -0.5) & (x < scene.shape[1] - 0.5)
    found = np.stack([y, x, light], axis=1)[inside]
    most = int(CROWD * scene.shape[0] * scene.shape[1] / (scene.sigma**2 * scene.stretch))
    return found[np.argsort(-found[:, 2], kind="stable")[:most]]


def radii(scene: Scene) -> np.ndarray:
    y = np.arange(scene.shape[0], dtype=np.float32)[:, None] - np.float32(scene.centre[0])
    x = np.arange(scene.shape[1], dtype=np.float32)[None, :] - np.float32(scene.centre[1])
    return np.sqrt(y * y + x * x)


def radius_of(scene: Scene, d: float) -> float:
    sine = scene.wavelength / (2 * d)
    return scene.distance * math.tan(2 * math.asin(sine)) if sine < 0.7 else math.inf


def lumps(scene: Scene, ring: Ring, rng: np.random.Generator) -> np.ndarray:
    """What a ring of few grains is multiplied by, along its way."""
    y = np.arange(scene.shape[0], dtype=np.float32)[:, None] - np.float32(scene.centre[0])
    x = np.arange(scene.shape[1], dtype=np.float32)[None, :] - np.float32(scene.centre[1])
    knots = max(8, int(2 * math.pi * ring.radius / (12 * ring.width)))
    values = np.exp(ring.lumps * rng.standard_normal(knots) - 0.5 * ring.lumps**2)
    where = (np.arctan2(y, x) + np.float32(math.pi)) * np.float32(knots / (2 * math.pi))
    return np.interp(where, np.arange(knots + 1), np.append(values, values[0]))


def expected_background(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """(H, W) photons, without the crystals."""
    r = radii(scene)
    line = np.arange(0, float(r.max()) + 2, 0.5)
    water = radius_of(scene, 3.2)
    profile = scene.flat + scene.air[0] / (1 + (line / scene.air[1]) ** 2)
    if math.isfinite(water):
        profile = profile + scene.water * np.exp(-0.5 * ((line - water) / (0.22 * water)) ** 2)
    for ring in scene.rings:
        if ring.lumps == 0:
            profile = profile + ring.height * np.exp(-0.5 * ((line - ring.radius) / ring.width) ** 2)
    photons = np.interp(r, line, profile)
    for ring in scene.rings:
        if ring.lumps > 0:
            photons += ring.height * np.exp(-0.5 * ((r - ring.radius) / ring.width) ** 2) * lumps(scene, ring, rng)
    for jet in scene.jets:
        y = np.arange(scene.shape[0])[:, None] - scene.centre[0]
        x = np.arange(scene.shape[1])[None, :] - scene.centre[1]
        along = x * math.cos(jet.angle) + y * math.sin(jet.angle)
        across = y * math.cos(jet.angle) - x * math.sin(jet.angle)
        streak = jet.height * np.exp(-0.5 * (across / jet.width) ** 2 - np.abs(along) / jet.length)
        photons += np.where(along > 0, streak, 0) if jet.one_sided else streak
    if scene.detector.stop > 0:
        photons *= 0.02 + 0.98 / (1 + np.exp(np.clip((scene.detector.stop - r) / 1.5, -30, 30)))
    return photons


def sensitivity(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(H, W): what a photon counts in each pixel, 0 in gaps; and where pixels are dead or in a gap."""
    detector = scene.detector
    gain = np.ones(scene.shape, np.float32)
    absent = np.zeros(scene.shape, bool)
    if detector.panel[0] > 0:
        sides = []
        for axis in (0, 1):
            period = detector.panel[axis] + detector.gap
            place = np.arange(scene.shape[axis]) + detector.origin[axis]
            sides.append((place // period, place % period, detector.panel[axis]))
        (row, y, height), (column, x, width) = sides
        edge = ((y == 0) | (y == height - 1))[:, None] | ((x == 0) | (x == width - 1))[None, :]
        gain[edge] *= detector.wide_edges
        steps = 1 + detector.steps * rng.standard_normal((row.max() + 1, column.max() + 1)).astype(np.float32)
        gain *= np.clip(steps, 0.5, 2)[row[:, None], column[None, :]]
        absent |= (y >= height)[:, None] | (x >= width)[None, :]
    if detector.spread > 0:
        gain *= 1 + detector.spread * rng.standard_normal(scene.shape, dtype=np.float32)
    absent.ravel()[rng.integers(0, absent.size, detector.dead)] = True
    gain[absent] = 0
    return gain, absent


def profiles(scene: Scene, spots: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of n spots: rows and columns (n, p) of their pixels, and the share (n, p) of the photons that each gets."""
    n = len(spots)
    widths = np.maximum(min(0.35, scene.sigma), scene.sigma * np.exp(scene.ragged * rng.standard_normal(n)))
    half = int(math.ceil(3.2 * float(widths.max(initial=0.5)) * max(1.0, scene.stretch))) + 1
    steps = np.arange(-half, half + 1)
    middle = np.rint(spots[:, :2]).astype(int)
    rows = np.broadcast_to(middle[:, 0, None, None] + steps[:, None], (n, len(steps), len(steps)))
    columns = np.broadcast_to(middle[:, 1, None, None] + steps[None, :], (n, len(steps), len(steps)))
    dy, dx = rows - spots[:, 0, None, None], columns - spots[:, 1, None, None]
    angle = np.arctan2(spots[:, 0] - scene.centre[0], spots[:, 1] - scene.centre[1])[:, None, None]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    blur = 1 / 12  # variance of a pixel's own width
    first = (widths * scene.stretch) ** 2 + blur
    second = widths**2 + blur
    share = np.exp(-0.5 * (along**2 / first[:, None, None] + across**2 / second[:, None, None]))
    if scene.sigma < 0.5:  # so narrow that the middles of pixels do not sum up to what falls on them
        share /= share.sum(axis=(1, 2), keepdims=True)
    else:
        share /= (2 * math.pi * np.sqrt(first * second))[:, None, None]
    return rows.reshape(n, -1), columns.reshape(n, -1), share.reshape(n, -1)


def significance(signal: np.ndarray, background: np.ndarray) -> np.ndarray:
    """In standard deviations, of that many photons above a background that is known (Li and Ma's limit, Poisson)."""
    b = np.maximum(background, 1e-3)
    s = np.maximum(signal, 0)
    return np.sqrt(2 * np.maximum((s + b) * np.log1p(s / b) - s, 0))


def photons_for(wanted: float, background: float) -> float:
    """The signal of that significance, nearly."""
    low, high = 0.0, 1e7
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if significance(np.float64(middle), np.float64(background)) < wanted else (low, middle)
    return high


def exposed(scene: Scene, background: np.ndarray, gain: np.ndarray, rng: np.random.Generator,
            classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) photons of the reflections and the table of those; writes the classes of their pixels."""
    light = np.zeros(scene.shape)
    tables = []
    noise = scene.detector.read_noise**2
    for crystal in scene.crystals:
        spots = lattice(scene, crystal, rng)
        if not len(spots):
            continue
        area = 4 * math.pi * (scene.sigma**2 * scene.stretch + 0.1)
        typical = float(np.median(background)) + noise
        scale = photons_for(crystal.significance, area * typical) / max(np.quantile(spots[:, 2], 0.9), 1e-30)
        rows, columns, share = profiles(scene, spots, rng)
        inside = (rows >= 0) & (rows < scene.shape[0]) & (columns >= 0) & (columns < scene.shape[1])
        at = np.where(inside, rows * scene.shape[1] + columns, 0)
        alive = inside & (gain.ravel()[at] > 0)
        share = np.where(inside, share, 0)
        photons = rng.poisson(np.minimum(share * (scale * spots[:, 2])[:, None], 1e8)).astype(np.float64)
        light += np.bincount(at.ravel(), photons.ravel(), light.size).reshape(scene.shape)
        top = share.max(axis=1, keepdims=True)
        core = alive & (share >= CORE * top)
        behind = ((background.ravel()[at] + noise) * core).sum(axis=1)
        signal = (photons * core).sum(axis=1)
        found = significance(signal, behind) * (core.sum(axis=1) > 0)
        rim = alive & (share >= RIM * top)
        flat = classes.ravel()
        flat[at[rim & (found >= TAKEN)[:, None]]] |= EITHER
        flat[at[core & (found >= SEEN)[:, None]]] |= EITHER
        like_hot = (core.sum(axis=1) < 2) & (scene.sigma < 0.5)  # one pixel alone: nothing tells it from a hot one
        flat[at[core & ((found >= TAKEN) & ~like_hot)[:, None]]] |= REFLECTION
        table = np.zeros(len(spots), SPOT)
        table["y"], table["x"], table["photons"] = spots[:, 0], spots[:, 1], signal
        table["background"], table["significance"], table["pixels"] = behind, found, core.sum(axis=1)
        tables.append(table)
    classes[classes > EITHER] = REFLECTION
    return light, np.concatenate(tables) if tables else np.zeros(0, SPOT)


def faults(scene: Scene, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Puts hot pixels, lines and tracks into the counts; where they are."""
    detector, (height, width) = scene.detector, scene.shape
    found = np.zeros(scene.shape, bool)
    level = 3 * detector.counts * (1 + scene.flat)
    for _ in range(detector.hot):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        counts[y, x] += level * 10 ** rng.uniform(0.5, 3.5)
        found[y, x] = True
    for _ in range(detector.lines):
        along, place = int(rng.integers(2)), rng.random(3)
        begin, end = sorted((place[1:] * scene.shape[1 - along]).astype(int))
        line = (slice(begin, end + 1), int(place[0] * width)) if along else (int(place[0] * height), slice(begin, end + 1))
        if along:
            line = (slice(begin * height // max(width, 1), end * height // max(width, 1) + 1), line[1])
        counts[line] += level * 10 ** rng.uniform(0, 2)
        found[line] = True
    for _ in range(detector.tracks):
        length, angle = rng.uniform(2, 12), rng.uniform(0, math.pi)
        steps = np.arange(0, length, 0.5)
        y = np.rint(rng.uniform(0, height - 1) + steps * math.sin(angle)).astype(int)
        x = np.rint(rng.uniform(0, width - 1) + steps * math.cos(angle)).astype(int)
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        counts[y[inside], x[inside]] += level * 10 ** rng.uniform(0.5, 2)
        found[y[inside], x[inside]] = True
    return found


def simulate(scene: Scene, rng: np.random.Generator) -> Pattern:
    detector = scene.detector
    background = expected_background(scene, rng)
    gain, absent = sensitivity(scene, rng)
    classes = np.zeros(scene.shape, np.uint8)
    light, reflections = exposed(scene, background, gain, rng, classes)
    photons = rng.poisson(background) + light
    if detector.read_noise > 0:
        photons = photons + detector.read_noise * rng.standard_normal(scene.shape, dtype=np.float32)
    if detector.row_noise > 0:
        photons = photons + detector.row_noise * rng.standard_normal((scene.shape[0], 1))
    counts = photons * gain * detector.counts + detector.pedestal
    faulty = faults(scene, counts, rng)
    classes[faulty | absent] = NOTHING
    counts = np.minimum(counts, detector.saturation)
    counts[absent] = 0
    image = np.rint(np.clip(counts, 0, 65535)).astype(np.uint16) if detector.whole else counts.astype(np.float32)
    return Pattern(image, classes, reflections, faulty)


def normalised(image: np.ndarray) -> np.ndarray:
    """What peaknetd gives the network (preprocess.normalize: instance), of an image that needs no padding."""
    counts = image.astype(np.float64)
    mean, variance = counts.mean(), counts.var()
    return (image.astype(np.float32) - np.float32(mean)) * np.float32(1 / math.sqrt(variance + 1e-5))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def draw_cell(rng: np.random.Generator, limit: float) -> tuple[float, ...]:
    """A cell that has not too many lattice points within 1/d."""
    while True:
        edges = [log_uniform(rng, 25, 250) for _ in range(3)]
        kind = rng.random()
        angles = [90.0, 90.0, 90.0] if kind < 0.5 else [90.0, float(rng.uniform(90, 125)), 90.0] if kind < 0.75 else \
            [90.0, 90.0, 120.0] if kind < 0.85 else [float(rng.uniform(70, 110)) for _ in range(3)]
        if kind > 0.75 or rng.random() < 0.3:
            edges[1] = edges[0]
        if 8 * np.prod(edges) * limit**3 < MOST_POINTS:
            return (*edges, *angles)


def draw_detector(rng: np.random.Generator, shape: tuple[int, int], level: float) -> Detector:
    area = shape[0] * shape[1] / 2**18
    counts = rng.random() < 0.4  # a counter of photons
    whole = bool(counts or rng.random() < 0.6)
    gain = 1.0 if counts else log_uniform(rng, 0.5 if not whole else 3, 40)
    panel, gap = (0, 0), 0
    if rng.random() < 0.5:
        panel, gap = (int(rng.integers(60, 400)), int(rng.integers(60, 400))), int(rng.integers(0, 30))
    few = lambda most: int(rng.integers(0, most + 1)) if rng.random() < 0.5 else 0
    return Detector(
        panel=panel, gap=gap, origin=(int(rng.integers(0, 400)), int(rng.integers(0, 400))),
        wide_edges=float(rng.choice([1.0, 1.0, 1.5, 2.0, 2.5])), spread=float(rng.choice([0, 0, 0.01, 0.03])),
        steps=float(rng.choice([0, 0, 0.03, 0.1])), read_noise=0.0 if counts else log_uniform(rng, 0.02, 1.0),
        row_noise=0.0 if counts or rng.random() < 0.7 else log_uniform(rng, 0.01, 0.2),
        counts=gain, pedestal=float(rng.choice([0, 0, 0, 0, 10, 100])) if not counts else 0.0, whole=whole,
        saturation=log_uniform(rng, 1000, 65535) * max(1.0, gain) if rng.random() < 0.3 else 65535.0 * (1 if whole else gain),
        stop=log_uniform(rng, 5, 60) if rng.random() < 0.4 else 0.0, hot=few(int(40 * area)), dead=few(int(100 * area)),
        lines=few(2), tracks=few(int(10 * area)))


def draw_rings(rng: np.random.Generator, scene: Scene, level: float) -> tuple[Ring, ...]:
    if rng.random() < 0.6:
        return ()
    width, height = log_uniform(rng, 0.8, 8), level * log_uniform(rng, 0.3, 20)
    bumpy = float(rng.uniform(0, 1.0)) if rng.random() < 0.4 else 0.0
    if rng.random() < 0.6:
        places = [radius_of(scene, d) for d in ICE]
    else:
        places = [float(rng.uniform(20, 1.2 * max(scene.shape))) for _ in range(int(rng.integers(1, 5)))]
    return tuple(Ring(place, width * rng.uniform(0.8, 1.2), height * log_uniform(rng, 0.1, 1), bumpy)
                 for place in places if math.isfinite(place))


def draw_width(rng: np.random.Generator, gentle: bool) -> float:
    return log_uniform(rng, 0.5, 2.8) if gentle or rng.random() < 0.5 else log_uniform(rng, 0.2, 0.8)


def draw(rng: np.random.Generator, shape: tuple[int, int], gentle: bool = False) -> Scene:
    """Anything that a beam line may see, and more. Gentle: without the sharpest spots and the brightest."""
    side = max(shape)
    level = log_uniform(rng, 0.01, 150)  # photons of the background
    spread = 1.0 if rng.random() < 0.7 else 2.5  # the beam beside the image, as on one panel of many
    centre = tuple(float(size * (0.5 + spread * rng.uniform(-0.5, 0.5))) for size in shape)
    scene = Scene(shape=shape, wavelength=float(rng.uniform(0.8, 2.4)), distance=1.0, centre=centre)
    edge = 1 / rng.uniform(1.5, 5)  # 1/d at a distance of 0.6 sides from the beam
    angle = 2 * math.asin(min(0.6, scene.wavelength * edge / 2))
    scene = dataclasses.replace(scene, distance=0.6 * side * spread / math.tan(angle))
    shares = rng.dirichlet(np.ones(3))
    scene = dataclasses.replace(
        scene, detector=draw_detector(rng, shape, level), flat=level * float(shares[0]) + 1e-3,
        air=(level * float(shares[1]) * log_uniform(rng, 0.5, 20), side * log_uniform(rng, 0.02, 0.5)),
        water=level * float(shares[2]) * 2, sigma=draw_width(rng, gentle), stretch=float(rng.choice([1, 1, 1.3, 1.8])),
        ragged=float(rng.choice([0, 0.1, 0.3])))
    scene = dataclasses.replace(scene, rings=draw_rings(rng, scene, level))
    if rng.random() < 0.25:
        beam = tuple(Jet(float(rng.uniform(0, 2 * math.pi)), log_uniform(rng, 0.8, 6), level * log_uniform(rng, 1, 100),
                         side * log_uniform(rng, 0.05, 0.6), bool(rng.random() < 0.5)) for _ in range(int(rng.integers(1, 4))))
        scene = dataclasses.replace(scene, jets=beam)
    crystals = 0 if rng.random() < 0.15 else 1 if rng.random() < 0.85 else 2
    limit = reach(scene)
    brightest = 200 if gentle else 60 if rng.random() < 0.5 else 2000
    return dataclasses.replace(scene, crystals=tuple(
        Crystal(axes=reciprocal(draw_cell(rng, limit)) @ rotation(rng).T, thickness=log_uniform(rng, 3e-4, 4e-3),
                decay=float(rng.uniform(5, 60)), significance=log_uniform(rng, 4, brightest)) for _ in range(crystals)))
