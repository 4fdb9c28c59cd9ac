# What intact runs in Python for DATA and metrics that are named FILE.py:NAME (data/python_process.h).
#
#   python3 -c THIS FILE NAME     frames come on descriptor 0, and go out on descriptor 1
#
# A request is one byte; so is the kind of an answer. Numbers are little-endian.
#   b"R" begin again   -> b"L" int64: how many samples there are, or -1
#   b"N" next sample   -> b"S" arrays, or b"E": there is none
#   b"M" outputs target -> b"V" float64: outputs are arrays, a target is arrays and a text
# Arrays: uint32 count, then for each a text (its name), uint64 length, bytes of a .npy file.
# Text: uint32 length, UTF-8. Whatever goes wrong is answered by b"X" and a text.
import contextlib
import importlib.util
import io
import os
import signal
import struct
import sys
import traceback

# Ctrl-C reaches the whole group of processes; the one that asked decides. What the user's code
# prints must not lie between the frames.
signal.signal(signal.SIGINT, signal.SIG_IGN)
requests = os.fdopen(os.dup(0), "rb")
answers = os.fdopen(os.dup(1), "wb")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)


class Refused(Exception):
    """A sentence for the user."""


def answer(kind, data=b""):
    answers.write(kind + data)
    answers.flush()


def take(count):
    data = requests.read(count)
    if len(data) < count:
        sys.exit(0)
    return data


def load(path, name):
    spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(path))[0], path)
    if spec is None or not os.path.isfile(path):
        raise Refused(f"there is no file {path}")
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        names = ", ".join(n for n in vars(module) if not n.startswith("_")) or "no public name"
        raise Refused(f"{path} has no '{name}'; it has {names}")
    return getattr(module, name)


def packed(sample):
    if isinstance(sample, dict):
        items = sample.items()
    elif hasattr(sample, "__array__"):
        items = [("", sample)]
    else:
        raise Refused(
            f"a sample is a {type(sample).__name__}; give a dict of input name to array, or the array "
            "of a model with one input"
        )
    parts = [struct.pack("<I", len(items))]
    for key, value in items:
        file = io.BytesIO()
        array = numpy.asarray(value, order="C")
        if array.dtype.hasobject:
            raise Refused(f"'{key}' is an array of Python objects; give numbers")
        numpy.lib.format.write_array(file, array, allow_pickle=False)
        encoded = str(key).encode()
        parts += [
            struct.pack("<I", len(encoded)),
            encoded,
            struct.pack("<Q", file.tell()),
            file.getvalue(),
        ]
    return b"".join(parts)


def take_text():
    return take(struct.unpack("<I", take(4))[0]).decode()


def take_arrays():
    out = {}
    for _ in range(struct.unpack("<I", take(4))[0]):
        name = take_text()
        file = io.BytesIO(take(struct.unpack("<Q", take(8))[0]))
        out[name] = numpy.lib.format.read_array(file, allow_pickle=False)
    return out


def sentence(error):
    if isinstance(error, Refused):
        return str(error)
    lines = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    where = f" ({os.path.basename(lines[-1].filename)}, line {lines[-1].lineno})" if lines else ""
    return f"{type(error).__name__}: {error}{where}"


def serve(path, name):
    named = load(path, name)
    iterator = iter(())
    begun = 0
    while True:
        request = take(1)
        if request == b"R":
            samples = named() if callable(named) and not hasattr(named, "__iter__") else named
            if not hasattr(samples, "__iter__"):
                raise Refused(
                    f"'{name}' is a {type(samples).__name__}, neither an iterable nor a function returning one"
                )
            iterator = iter(samples)
            if begun and iterator is samples and samples is named:
                raise Refused(
                    f"'{name}' can be read only once; make it a list, or a function that returns it"
                )
            begun += 1
            answer(b"L", struct.pack("<q", len(samples) if hasattr(samples, "__len__") else -1))
        elif request == b"N":
            try:
                sample = next(iterator)
            except StopIteration:
                answer(b"E")
                continue
            answer(b"S", packed(sample))
        elif request == b"M":
            outputs, targets, text = take_arrays(), take_arrays(), take_text()
            target = next(iter(targets.values())) if len(targets) == 1 else targets or text or None
            answer(b"V", struct.pack("<d", float(named(outputs, target))))


try:
    try:
        import numpy
    except ImportError:
        raise Refused(
            f"{sys.executable} has no numpy: install it, or set INTACT_PYTHON to a Python that has it"
        ) from None
    serve(*sys.argv[1:3])
except BrokenPipeError:
    pass
except Exception as error:  # Whatever the user's code raises becomes one sentence.
    text = sentence(error).encode()
    with contextlib.suppress(BrokenPipeError):
        answer(b"X", struct.pack("<I", len(text)) + text)
