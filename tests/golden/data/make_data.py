"""Writes the golden files of the data room: what Pillow, NumPy, SciPy and scikit-learn say.

    python tests/golden/data/make_data.py

Everything is generated from a seed; manifest.json holds versions, seed and hashes. The tests are
src/intact/data/*_test.cc.
"""

import hashlib
import io
import json
import pathlib
import struct
import zlib

import numpy as np
import PIL
import scipy
import scipy.stats
import sklearn
import sklearn.metrics
from PIL import Image

HERE = pathlib.Path(__file__).parent
SEED = 7
rng = np.random.default_rng(SEED)


def picture(width, height, channels):
    """Smooth colours, a hard edge and some noise: what resizing gets wrong shows."""
    y, x = np.mgrid[:height, :width]
    planes = []
    for c in range(channels):
        p = (
            127
            + 90 * np.sin(x / (3.0 + c) + c) * np.cos(y / (4.0 - c / 2))
            + rng.normal(0, 12, x.shape)
        )
        p[(x > width * 0.6) & (y > height * 0.3)] = 255 if c % 2 == 0 else 0
        planes.append(p)
    return np.clip(np.rint(np.stack(planes, -1)), 0, 255).astype(np.uint8)


def png16(path, array):
    """A 16-bit PNG, which Pillow does not write: array is [h, w, 3] or [h, w] uint16."""
    colour = 2 if array.ndim == 3 else 0
    height, width = array.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def images():
    """Files, and their pixels as Pillow reads them."""
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    rgb, rgba = picture(37, 23, 3), picture(21, 18, 4)
    Image.fromarray(rgb).save(folder / "rgb.png")
    Image.fromarray(rgba).save(folder / "rgba.png")
    Image.fromarray(rgba[..., 0]).save(folder / "gray.png")
    Image.fromarray(rgba[..., :2], "LA").save(folder / "gray_alpha.png")
    Image.fromarray(rgb).quantize(16).save(folder / "palette.png")
    Image.fromarray(rgb).quantize(11).save(folder / "palette_alpha.png", transparency=3)
    Image.fromarray(rgb[..., 0] > 127).save(folder / "bits.png")
    wide = rng.integers(0, 65536, (9, 7, 3)).astype(np.uint16)
    png16(folder / "rgb16.png", wide)
    png16(folder / "gray16.png", wide[..., 0])
    photo = Image.fromarray(picture(53, 41, 3))
    photo.save(folder / "photo420.jpg", quality=90, subsampling=2)
    photo.save(folder / "photo444.jpg", quality=95, subsampling=0)
    photo.save(folder / "progressive.jpg", quality=85, progressive=True)
    photo.convert("L").save(folder / "gray.jpg", quality=90)
    photo.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6  # "Rotate by 90 degrees": not applied.
    photo.save(folder / "rotated.jpg", quality=90, exif=exif)

    expected = {}
    for path in sorted(folder.iterdir()):
        image = Image.open(path)
        if path.name == "gray16.png":  # Pillow keeps 16 bits; ours is the high byte.
            high = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
            expected[path.name] = np.repeat(high[..., None], 3, -1)
            expected[path.name + ":gray"] = high[..., None]
            continue
        expected[path.name] = np.asarray(image.convert("RGB"))
        expected[path.name + ":gray"] = np.asarray(image.convert("RGB").convert("L"))[..., None]
    np.savez_compressed(HERE / "decoded.npz", **expected)
    (HERE / "corrupt.jpg").write_bytes((folder / "photo444.jpg").read_bytes()[:1500])
    (HERE / "corrupt.png").write_bytes((folder / "rgb.png").read_bytes()[:900])


def cubic(x, a):
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def taps_matrix(n_in, n_out, kernel, radius):
    """The definition without antialiasing: taps around the centre, edges repeated."""
    m = np.zeros((n_out, n_in))
    for i in range(n_out):
        centre = (i + 0.5) * n_in / n_out - 0.5
        first = int(np.floor(centre)) - radius + 1
        for j in range(first, first + 2 * radius):
            m[i, min(max(j, 0), n_in - 1)] += kernel(j - centre)
    return m


def resized():
    """Pillow's resize, and the plain definition for antialias=0 (float64, rounded once)."""
    source = np.asarray(Image.open(HERE / "images" / "rgb.png"))
    image = Image.fromarray(source)
    expected = {}
    names = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
    for size in [(16, 9), (8, 23), (37, 11), (64, 48), (5, 3), (36, 22), (120, 7), (1, 1)]:
        for name, filter_ in names.items():
            key = f"{size[0]}x{size[1]} {name}"
            expected[key] = np.asarray(image.resize(size, filter_))
            expected[key + " gray"] = np.asarray(
                Image.fromarray(source[..., 1]).resize(size, filter_)
            )[..., None]
            if name == "nearest":
                continue
            kernel, radius = (
                ((lambda x: np.maximum(0, 1 - np.abs(x))), 1)
                if name == "bilinear"
                else ((lambda x: cubic(x, -0.75)), 2)
            )
            mx, my = (
                taps_matrix(37, size[0], kernel, radius),
                taps_matrix(23, size[1], kernel, radius),
            )
            exact = np.einsum("ay,bx,yxc->abc", my, mx, source.astype(np.float64))
            expected[key + " antialias=0"] = np.clip(np.rint(exact), 0, 255).astype(np.uint8)
    np.savez_compressed(HERE / "resized.npz", **expected)


def prepared():
    """Whole preparations with Pillow and NumPy; the key is the text of --images."""
    photo = Image.open(HERE / "images" / "photo444.jpg").convert("RGB")
    w, h = photo.size
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

    def chw(a):
        return np.asarray(a, np.float64).transpose(2, 0, 1)

    expected = {}

    small = photo.resize((32 * w // h, 32), Image.BILINEAR)
    sw, sh = small.size
    left, top = (sw - 28) // 2, (sh - 28) // 2
    crop = small.crop((left, top, left + 28, top + 28))
    expected[
        "resize=32 crop=28 mean=0.485/0.456/0.406 std=0.229/0.224/0.225 scale=1/255 color=rgb"
    ] = (chw(crop) / 255 - mean[:, None, None]) / std[:, None, None]
    expected["resize=32x20 layout=nhwc color=bgr"] = np.asarray(
        photo.resize((32, 20), Image.BILINEAR), np.float64
    )[..., ::-1]

    ratio = min(48 / w, 48 / h)
    nw, nh = round(w * ratio), round(h * ratio)
    for centre in (0, 1):
        canvas = np.full((48, 48, 3), 114.0)
        left, t = ((48 - nw) // 2, (48 - nh) // 2) if centre else (0, 0)
        canvas[t : t + nh, left : left + nw] = np.asarray(photo.resize((nw, nh), Image.BICUBIC))
        expected[
            f"letterbox=48 filter=bicubic pad=114 round=nearest center={centre} scale=1/255"
        ] = chw(canvas) / 255

    wide = photo.resize((int(np.ceil(24 * w / h)), 24), Image.BILINEAR)
    canvas = np.full((24, 64, 3), 127.5)
    canvas[:, : wide.size[0]] = np.asarray(wide)
    expected["height=24 round=ceil max-width=64 pad-to=64x24 pad=127.5 mean=127.5 std=127.5"] = (
        chw(canvas) - 127.5
    ) / 127.5

    canvas = np.zeros((64, 64, 3))
    canvas[:h, :w] = np.asarray(photo)
    expected["multiple=32"] = chw(canvas)
    expected["resize=20x20 filter=nearest color=gray mean=128"] = (
        np.asarray(photo.convert("L").resize((20, 20), Image.NEAREST), np.float64)[None] - 128
    )
    np.savez_compressed(
        HERE / "prepared.npz", **{k: v[None].astype(np.float32) for k, v in expected.items()}
    )


def archives():
    """Archives of every type that NumPy writes and we read, and of those we refuse."""
    kinds = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
    arrays = {k: (np.arange(5 * 6) % 100).reshape(5, 2, 3).astype(k) for k in kinds}
    arrays["b1"] = (np.arange(30) % 3 == 0).reshape(5, 2, 3)
    np.savez(HERE / "stored.npz", **arrays)
    np.savez_compressed(HERE / "deflated.npz", **arrays)
    text = np.array(["mot", "été", "", "日本", "a b"])
    np.savez(
        HERE / "labelled.npz",
        x=arrays["f4"],
        labels=np.arange(5) * 2,
        text=text,
        other=np.float32(3),
    )

    def npy(name, array, **kw):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, array, **kw)
        (HERE / f"{name}.npy").write_bytes(stream.getvalue())

    npy("plain", arrays["f4"])
    npy("version2", arrays["f4"], version=(2, 0))
    npy("version3", arrays["f4"], version=(3, 0))
    npy("big_endian", arrays["f4"].astype(">f4"))
    npy("fortran", np.asfortranarray(arrays["f4"][0]))
    npy("structured", np.zeros(3, [("a", "<f4"), ("b", "<i4")]))
    npy("complex", np.zeros(3, "c8"))
    npy("object", np.array([1, "a"], object), allow_pickle=True)


def metrics():
    """Inputs of the metrics, and what NumPy, SciPy and scikit-learn make of them."""
    n, classes = 60, 7
    ref = rng.normal(0, 2, (n, classes)).astype(np.float32)
    out = (ref + rng.normal(0, 1.0, ref.shape)).astype(np.float32)
    labels = np.where(rng.random(n) < 0.7, ref.argmax(1), rng.integers(0, classes, n))
    decided, decided_ref = out.argmax(1), ref.argmax(1)
    top5 = [labels[i] in np.argsort(-out[i], kind="stable")[:5] for i in range(n)]
    binary, p = rng.integers(0, 2, n), rng.random((n, 1)).astype(np.float32)
    x = np.round(rng.normal(0, 1, n), 1).astype(np.float32)
    y = (x + rng.normal(0, 0.6, n)).round(1).astype(np.float32)
    o64, r64 = out.astype(np.float64), ref.astype(np.float64)
    cos = (o64 * r64).sum(1) / np.sqrt((o64**2).sum(1) * (r64**2).sum(1))

    # The generator of statistics.cc, and a bootstrap with it.
    def indices(seed, count, resamples):
        state, rows = seed, []
        for _ in range(resamples):
            row = []
            for _ in range(count):
                state = (state + 0x9E3779B97F4A7C15) % 2**64
                z = state
                z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
                z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
                row.append(((z ^ (z >> 31)) >> 32) * count >> 32)
            rows.append(row)
        return np.array(rows)

    picks = indices(5, n, 300)
    noisy = (ref + rng.normal(0, 1.4, ref.shape)).astype(np.float32)

    def db(o, i):
        return 10 * np.log10((r64[i] ** 2).sum() / ((o.astype(np.float64)[i] - r64[i]) ** 2).sum())

    differences = [db(noisy, i) - db(out, i) for i in picks]
    ok_a, ok_b = decided == labels, noisy.argmax(1) == labels
    lost, won = int((ok_a & ~ok_b).sum()), int((~ok_a & ok_b).sum())
    z = scipy.stats.norm.ppf(0.975)
    pl, pw = (lost + 1) / (n + 2), (won + 1) / (n + 2)
    half = z * np.sqrt((pl + pw - (pw - pl) ** 2) / (n + 2))
    wilson = scipy.stats.binomtest(int(ok_a.sum()), n).proportion_ci(0.95, "wilson")
    np.savez(
        HERE / "metrics.npz",
        out=out,
        ref=ref,
        noisy=noisy,
        labels=labels,
        binary=binary,
        p=p,
        x=x,
        y=y,
        top1=100 * ok_a.mean(),
        top5=100 * np.mean(top5),
        f1=100 * sklearn.metrics.f1_score(labels, decided, average="macro"),
        f1_binary=100 * sklearn.metrics.f1_score(binary, p[:, 0] >= 0.5),
        accuracy_binary=100 * sklearn.metrics.accuracy_score(binary, p[:, 0] >= 0.5),
        agreement=100 * (decided == decided_ref).mean(),
        sqnr=db(out, np.arange(n)),
        cosine=cos.mean(),
        mse=((o64 - r64) ** 2).mean(1).mean(),
        pearson=100 * scipy.stats.pearsonr(x.astype(np.float64), y.astype(np.float64)).statistic,
        spearman=100 * scipy.stats.spearmanr(x, y).statistic,
        wilson=100 * np.array([wilson.low, wilson.high]),
        bonett_price=100 * np.array([pw - pl - half, pw - pl + half]),
        mcnemar=scipy.stats.binomtest(min(lost, won), lost + won, 0.5).pvalue,
        changed=np.array([lost, won]),
        bootstrap=np.percentile(differences, [2.5, 97.5]),
    )


def detection():
    """Boxes, and COCO's mean average precision written plainly (one class and threshold at a time)."""
    dets, truths = [], []
    for image in range(12):
        for _ in range(rng.integers(0, 6)):
            x0, y0 = rng.random(2) * 80
            w, h = 5 + rng.random(2) * 30
            label = int(rng.integers(0, 4))
            truths.append([image, x0, y0, x0 + w, y0 + h, label])
            for _ in range(rng.integers(0, 3)):
                j = rng.normal(0, 2.5, 4)
                dets.append(
                    [
                        image,
                        x0 + j[0],
                        y0 + j[1],
                        x0 + w + j[2],
                        y0 + h + j[3],
                        rng.random(),
                        label if rng.random() < 0.85 else int(rng.integers(0, 5)),
                    ]
                )
    dets, truths = np.array(dets, np.float32), np.array(truths, np.float32)

    def iou(a, b):
        w = min(a[2], b[2]) - max(a[0], b[0])
        h = min(a[3], b[3]) - max(a[1], b[1])
        if w <= 0 or h <= 0:
            return 0.0
        return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)

    def ap(label, threshold):
        mine = sorted((d for d in dets.astype(np.float64) if d[6] == label), key=lambda d: -d[5])
        there = [t for t in truths.astype(np.float64) if t[5] == label]
        used, hits = set(), []
        for d in mine:
            best = max(
                (
                    (iou(d[1:5], t[1:5]), -i)
                    for i, t in enumerate(there)
                    if t[0] == d[0] and i not in used
                ),
                default=(0, 0),
            )
            hits.append(best[0] >= threshold)
            if hits[-1]:
                used.add(-best[1])
        if not hits:
            return 0.0
        found = np.cumsum(hits)
        recall, precision = found / len(there), found / np.arange(1, len(hits) + 1)
        return np.mean(
            [
                max(
                    (p for p, r in zip(precision, recall, strict=False) if r >= k / 100),
                    default=0.0,
                )
                for k in range(101)
            ]
        )

    labels = sorted(set(truths[:, 5]))
    table = np.array([[ap(label, (50 + 5 * t) / 100) for t in range(10)] for label in labels])
    np.savez(
        HERE / "detection.npz",
        detections=dets,
        truths=truths,
        map=100 * table.mean(),
        ap50=100 * table[:, 0].mean(),
    )


def main():
    images()
    resized()
    prepared()
    archives()
    metrics()
    detection()
    files = sorted(
        p for p in HERE.rglob("*") if p.is_file() and p.suffix not in (".py", ".json", ".pyc")
    )
    manifest = {
        "script": "tests/golden/data/make_data.py",
        "seed": SEED,
        "versions": {
            "numpy": np.__version__,
            "pillow": PIL.__version__,
            "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__,
        },
        "sha256": {
            str(p.relative_to(HERE)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
        },
    }
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
