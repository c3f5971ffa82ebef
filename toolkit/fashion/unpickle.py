"""Pickles as data: what they say is put together; nothing that they name is imported, called or run.

A pickle is a program for a small machine with a stack. This is that machine with its teeth pulled: a class or a
function is a name (`Global`), calling one makes a note of it (`Thing`), and one table says which names may stand beside
weights. Each instruction takes a bounded time, and their number is bounded.
"""

import pickletools
import re
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from toolkit.errors import CheckpointError, UnsafeCheckpointError
from toolkit.formats.archives import WEIGHTS_GLOBAL
from toolkit.system.strangers import shown

# A checkpoint with a million losses in a list has half as many; each may take some hundred bytes of memory.
_MOST_INSTRUCTIONS: Final = 2_000_000
_LONGEST_INTEGER_BITS: Final = 64
_MOST_TOLD: Final = 8
_COMPILED: Final = "torch._dynamo.eval_frame.OptimizedModule"

# What people have beside their weights. None of it is imported: a name here is data, any other refuses the file.
_HARMLESS: Final = re.compile(
    r"""^(
      collections\.(OrderedDict|defaultdict|Counter|deque)
    | builtins\.(set|frozenset|list|dict|tuple|int|float|complex|bool|str|bytes|bytearray|slice|x?range|object)
    | _codecs\.encode | copyreg\._reconstructor
    | argparse\.Namespace | types\.SimpleNamespace | decimal\.Decimal | fractions\.Fraction | uuid\.UUID
    | datetime\.(date|time|datetime|timedelta|timezone) | zoneinfo\.ZoneInfo(\._unpickle)?
    | pathlib\.(_local\.)?(Pure)?(Posix|Windows)?Path
    | numpy\.(ndarray|dtype|bool_?|str_|bytes_|u?int\d+|float\d+|complex\d+|datetime64|timedelta64)
    | numpy\.(_core|core)\.(multiarray\.(scalar|_reconstruct)|numeric\._frombuffer)
    | numpy\.dtypes\.\w+DType | numpy\.random\.(_\w+|bit_generator)\.\w+
    | torch\.(Size|Tensor|device|strided|sparse_\w+|contiguous_format|(u?int|bool|complex|long|short|qu?int)\w*)
    | torch\.(cuda|storage)\.\w*Storage | torch\._utils\._rebuild_\w+ | torch\._tensor\._rebuild_from_type_v2
    | torch\.(serialization\._get_layout|_C\._nn\.\w+|nn\.functional\.\w+|relu\w*|tanh|sigmoid)
    | torch\.nn\.(parameter|modules|parallel|utils)\.[\w.]+ | torch\.(optim|amp|cuda\.amp)\.[\w.]+
    )$""",
    re.VERBOSE,
)
_CLASS: Final = re.compile(r"^(?P<top>\w+)(\.\w+)*\.[A-Z]\w*$")
_NO_PACKAGES_OF_USERS: Final = (sys.stdlib_module_names | {"torch", "numpy"}) - {"__main__"}
_PYTHON_2: Final = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_MAPPINGS: Final = ("collections.OrderedDict", "collections.defaultdict", "collections.Counter")

#: What a broken pickle can make of the machine.
PICKLE_ERRORS: Final = (
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RuntimeError,
    struct.error,
)


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """The name of a class or function."""

    name: str


@dataclass(slots=True, eq=False)
class Thing:
    """What would have been an object: the name of what makes it, with which arguments, and its state."""

    name: str
    args: tuple[Any, ...] = ()
    state: object = None


class Machine:
    """Reads the pickles of one file."""

    def __init__(
        self,
        path: Path,
        persistent: Callable[[Any], Any],
        tensors: dict[str, Callable[..., Any]],
    ) -> None:
        """Say what stands outside of the pickle.

        Args:
            path: The file, for errors.
            persistent: Makes something of an identifier, such as that of a storage.
            tensors: What to make, in place of a `Thing`, of the functions that make tensors.
        """
        self.asked: dict[str, None] = {}
        self.path, self.persistent, self.tensors = path, persistent, tensors
        self.left = _MOST_INSTRUCTIONS
        self.memo: dict[int, Any] = {}
        self.marks: list[list[Any]] = []
        self.stack: list[Any] = []

    def read(self, file: BinaryIO) -> object:
        """Return what the next pickle of ``file`` holds: plain values, dicts, lists, `Global` and `Thing`.

        Raises:
            UnsafeCheckpointError: If it names what is not harmless; so does a broken one.
            CheckpointError: If it is too long.
            One of `PICKLE_ERRORS`: If it is broken.
        """
        self.memo, self.marks, self.stack = {}, [], []
        try:
            value = self._run(file)
        finally:
            self._check_names()
        return value

    def _run(self, file: BinaryIO) -> object:
        for opcode, argument, _ in pickletools.genops(file):
            self.left -= 1
            if not self.left:
                raise CheckpointError(
                    self.path,
                    f"its pickle has more than {_MOST_INSTRUCTIONS:,} instructions",
                    "save the model alone: torch.save(model, path)",
                )
            if opcode.name == "STOP":
                return self.stack.pop()
            if opcode.name in _PLAIN:
                self.stack.append(argument)
            else:
                _INSTRUCTIONS[opcode.name](self, argument)
        raise ValueError("it has no end")

    def _check_names(self) -> None:
        foreign = [name for name in self.asked if not _harmless(name)]
        if foreign and _COMPILED in self.asked:
            raise CheckpointError(
                self.path, "is a model of torch.compile", "save what was compiled: torch.save(model._orig_mod, path)"
            )
        if foreign:
            others = [name for name in self.asked if _harmless(name) and not name.startswith(("torch.", "numpy."))]
            raise UnsafeCheckpointError(self.path, map(shown, [*foreign, *others][:_MOST_TOLD]))

    def top(self) -> list[Any]:
        """Return what was put on the stack since the last mark, and forget the mark."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def mark(self) -> None:
        """Begin a new stretch of the stack."""
        self.marks.append(self.stack)
        self.stack = []

    def name(self, module: str, name: str) -> None:
        """Put the name of a class or function on the stack."""
        full = f"{_PYTHON_2.get(module, module)}.{name}"
        self.asked[full] = None
        self.stack.append(Global(full))

    def call(self, function: Any, args: Any) -> None:
        """Put on the stack what stands for the result of a call."""
        name = str(function.name)
        if not isinstance(args, tuple):
            raise TypeError("arguments are no tuple")
        if name == "copyreg._reconstructor":
            name, args = args[0].name, ()
        if name in self.tensors:
            self.stack.append(self.tensors[name](*args))
        elif name in _MAPPINGS and not any(isinstance(each, list) for each in args):
            self.stack.append(args[0] if args and isinstance(args[0], dict) else {})
        else:
            self.stack.append(Thing(name, args))

    def build(self) -> None:
        """Give a thing its state; what else has one, such as the version of an OrderedDict, does without."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Thing):
            self.stack[-1].state = state

    def extend(self, items: list[Any]) -> None:
        """Append to the list on the stack; a thing that is a list of its own kind stays a thing."""
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)
        elif not isinstance(self.stack[-1], Thing):
            raise TypeError("appends to no list")

    def update(self, items: list[Any]) -> None:
        """Set keys and values in the dict on the stack."""
        if isinstance(self.stack[-1], dict):
            for place in range(0, len(items), 2):
                self.stack[-1][_key(items[place])] = items[place + 1]
        elif not isinstance(self.stack[-1], Thing):
            raise TypeError("sets items of no dict")

    def pop(self, count: int) -> list[Any]:
        """Take the last ``count`` values off the stack."""
        return [self.stack.pop() for _ in range(count)][::-1]


def kind_of(value: object) -> str:
    """Return what a value is, by the name of its class, or of the function that would have made it."""
    return shown(value.name) if isinstance(value, Thing | Global) else type(value).__name__


def _harmless(name: str) -> bool:
    """Say whether a name may stand in a checkpoint: data, layers of torch, and whatever class the user has written."""
    found = _CLASS.match(name)
    own = found is not None and found["top"] not in _NO_PACKAGES_OF_USERS
    return own or bool(WEIGHTS_GLOBAL.match(name) or _HARMLESS.match(name))


def _key(key: Any) -> Any:
    """Return the key of a dict; for one whose hash could take long, something that stands for it."""
    if isinstance(key, int):
        return key if key.bit_length() <= _LONGEST_INTEGER_BITS else Thing("builtins.int")
    return key if key is None or isinstance(key, str | bytes | float) else Thing(type(key).__name__)


# Instructions whose argument is the value.
_PLAIN: Final = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)


def _remember(machine: Machine, place: Any) -> None:
    machine.memo[len(machine.memo) if place is None else place] = machine.stack[-1]


def _recall(machine: Machine, place: Any) -> None:
    machine.stack.append(machine.memo[place])


def _put(make: Callable[[Machine], Any]) -> Callable[[Machine, Any], None]:
    """Return the instruction that puts on the stack what ``make`` makes."""

    def instruction(machine: Machine, _: Any) -> None:
        value = make(machine)  # which may exchange the stack
        machine.stack.append(value)

    return instruction


def _pairs(machine: Machine) -> dict[Any, Any]:
    items = machine.top()
    return {_key(items[place]): items[place + 1] for place in range(0, len(items), 2)}


def _make_instance(machine: Machine, both: str) -> None:
    args = tuple(machine.top())
    machine.name(*both.split(" ", 1))
    machine.call(machine.stack.pop(), args)


_INSTRUCTIONS: Final[dict[str, Callable[[Machine, Any], Any]]] = {
    "PROTO": lambda *_: None,
    "FRAME": lambda *_: None,
    "MARK": lambda m, _: m.mark(),
    "POP": lambda m, _: m.stack.pop() if m.stack else m.top(),
    "POP_MARK": lambda m, _: m.top(),
    "DUP": _put(lambda m: m.stack[-1]),
    "NONE": _put(lambda _: None),
    "NEWTRUE": _put(lambda _: True),
    "NEWFALSE": _put(lambda _: False),
    "EMPTY_TUPLE": _put(lambda _: ()),
    "TUPLE": _put(lambda m: tuple(m.top())),
    "TUPLE1": _put(lambda m: tuple(m.pop(1))),
    "TUPLE2": _put(lambda m: tuple(m.pop(2))),
    "TUPLE3": _put(lambda m: tuple(m.pop(3))),
    "EMPTY_LIST": _put(lambda _: []),
    "LIST": _put(lambda m: m.top()),
    "APPEND": lambda m, _: m.extend(m.pop(1)),
    "APPENDS": lambda m, _: m.extend(m.top()),
    "EMPTY_DICT": _put(lambda _: {}),
    "DICT": _put(_pairs),
    "SETITEM": lambda m, _: m.update(m.pop(2)),
    "SETITEMS": lambda m, _: m.update(m.top()),
    "EMPTY_SET": _put(lambda _: Thing("builtins.set")),
    "ADDITEMS": lambda m, _: m.top(),
    "FROZENSET": _put(lambda m: Thing("builtins.frozenset", tuple(m.top()))),
    "GLOBAL": lambda m, both: m.name(*both.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.name(*m.pop(2)),
    "INST": _make_instance,
    "REDUCE": lambda m, _: m.call(*m.pop(2)),
    "NEWOBJ": lambda m, _: m.call(*m.pop(2)),
    "NEWOBJ_EX": lambda m, _: m.call(*m.pop(3)[:2]),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": _put(lambda m: m.persistent(m.stack.pop())),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _recall),
}
