"""The engines of intact.engines, and LiteRT, which has files of its own format only."""

from __future__ import annotations

from collections.abc import Callable

from intact.engines import ENGINES as INSTALLED
from intact.engines import Engine, Feeds, Outputs, PathLike


class LiteRt(Engine):
    """XNNPACK with its threads; images go in as the file wants them (channels last)."""

    def __init__(self, path: PathLike, threads: int, feeds: Feeds | None) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(path), num_threads=threads)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]["index"]
        self.outputs = [d["index"] for d in self.interpreter.get_output_details()]

    def bind(self, feeds: Feeds) -> Callable[[], object]:
        (image,) = feeds.values()
        self.interpreter.tensor(self.input)()[...] = image.transpose(0, 2, 3, 1)
        return self.interpreter.invoke

    def run(self, feeds: Feeds) -> Outputs:
        self.bind(feeds)()
        return [self.interpreter.get_tensor(i) for i in self.outputs]


ENGINES: dict[str, type[Engine]] = {**INSTALLED, "litert": LiteRt}
PEERS = [name for name in ENGINES if name != "intact"]
