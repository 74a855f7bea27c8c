"""Many at once: thirty visitors of one server for five minutes, five of them training again and again; no browsers.

Each visitor speaks Streamlit's own protocol over a websocket, as its page in a browser would: asks for a page, remembers
the controls that come, changes one about every five seconds, and asks for the parts of the page that renew themselves as
often as it is told to. What is timed is a change: from sending it until the server says that the page has run. The
visitors take time from the same processors, though less than browsers would.
"""

import asyncio
import contextlib
import importlib.util
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from bench import browser
from bench.tables import Report, markdown

if TYPE_CHECKING:
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from streamlit.proto.WidgetStates_pb2 import WidgetState
    from websockets.asyncio.client import ClientConnection

VISITORS, SECONDS, PACE = 30, 300, 5.0  # pace: seconds between two changes of one visitor
TRAINING = 1 / 6  # the share of visitors who train
PATIENCE = 20.0  # seconds; who waits longer for an answer counts as left without one
P95_LIMIT, GROWTH_LIMIT = 1.5, 1.2
MEMORY_FROM = 60.0  # seconds: by then everything is imported, and every page was seen
OTHER_PAGE = 0.2  # how often a visitor goes to another page instead of changing a control
SETTINGS = "hide=question&epochs=20&seeds=3"  # quick enough to be trained on arrival
SECONDS_TO_PREPARE = 120
CONTROLS = {  # page: what a visitor changes there, by its key
    "": ("arm", "example_*"),
    "distil": ("t", "lam", "epochs", "seeds", "examples", "scenario"),
    "surface": ("cell_T", "cell_lam"),
}
NAMES = {"": "Soft targets", "distil": "Distil", "surface": "Surface"}
OPENS, TRAINS, GOES = "opening the app", "pressing *Train*", "going to another page"
LOST = "the server ended the connection"
CHANGEABLE = ("slider", "selectbox", "button_group", "number_input")


# ---- What a browser would know of its page -------------------------------------------------------------------


@dataclass
class Control:
    """A control that is on the page, and in which run of the page, or of its part, it came."""

    kind: str
    widget: Any
    run: str
    part: str


class Shown:
    """What a page in a browser knows: its controls and their values, its address, what renews itself, what it kept."""

    def __init__(self, path: str, query: str):
        self.path, self.query = path, query
        self.controls: dict[str, Control] = {}  # by id
        self.values: dict[str, list[Any]] = {}  # by id
        self.page = ""
        self.pages: dict[str, str] = {}  # path → what the server calls the page
        self.renewals: dict[str, float] = {}  # part of the page → seconds
        self.problems: list[str] = []
        self.run, self.parts_run = "", frozenset[str]()
        self._kept: dict[str, tuple[ForwardMsg, int]] = {}  # by hash, with the number of the run that needed it last
        self._runs, self._kept_for = 0, 0

    @property
    def hashes(self) -> list[str]:
        """Large messages that the server need not send again."""
        return list(self._kept)

    def read(self, message: "ForwardMsg") -> str:
        """Take in a message of the server; gives its kind, and "ended" where a run has come to its end."""
        kind = str(message.WhichOneof("type"))
        if kind == "new_session":
            self._begin(message)
        elif kind == "delta":
            self._see(message)
        elif kind == "ref_hash":
            self._see_again(message)
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "navigation":
            pages = message.navigation.app_pages
            self.pages = {"" if page.is_default else page.url_pathname: page.page_script_hash for page in pages}
            self.page = message.navigation.page_script_hash
            self.path = {name: path for path, name in self.pages.items()}.get(self.page, self.path)
        elif kind == "auto_rerun":
            self.renewals[message.auto_rerun.fragment_id] = message.auto_rerun.interval
        elif kind == "stop_auto_rerun":
            for part in message.stop_auto_rerun.fragment_ids:
                self.renewals.pop(part, None)
        elif kind == "script_finished":
            return self._end(message)
        elif kind == "session_event" and message.session_event.WhichOneof("type") == "script_compilation_exception":
            self.problems.append(message.session_event.script_compilation_exception.message)
        return kind

    def _begin(self, message: "ForwardMsg") -> None:
        self.run, self.parts_run = message.metadata.run.script_run_id, frozenset(message.metadata.run.fragment_ids)
        self._kept_for = message.new_session.config.max_cached_message_age
        if not self.parts_run:
            self.page = message.new_session.page_script_hash
            self.renewals.clear()

    def _see(self, message: "ForwardMsg") -> None:
        if message.metadata.cacheable:
            self._kept[message.hash] = (message, self._runs)
        if message.delta.WhichOneof("type") != "new_element":
            return
        element = message.delta.new_element
        kind = str(element.WhichOneof("type"))
        widget = getattr(element, kind)
        if kind == "exception":
            self.problems.append(f"{widget.type}: {widget.message}")
        elif kind == "alert" and widget.format == widget.ERROR:
            self.problems.append(widget.body)
        elif kind == "button" or kind in CHANGEABLE:
            self.controls[widget.id] = Control(kind, widget, self.run, message.delta.fragment_id)
            if kind != "button" and (widget.set_value or widget.id not in self.values):
                self.values[widget.id] = values_told(kind, widget)

    def _see_again(self, message: "ForwardMsg") -> None:
        """Take a message that the server did not send again from those that were kept."""
        if message.ref_hash not in self._kept:
            self.problems.append("the server counts on a message that the page does not have")
            return
        self._see(self._kept[message.ref_hash][0])

    def _end(self, message: "ForwardMsg") -> str:
        if message.script_finished == message.FINISHED_EARLY_FOR_RERUN:
            return "interrupted"
        self._runs += not self.parts_run
        self._kept = {name: kept for name, kept in self._kept.items() if self._runs - kept[1] <= self._kept_for}
        for name, control in list(self.controls.items()):
            if control.run != self.run and (not self.parts_run or control.part in self.parts_run):
                del self.controls[name]  # this run did not show it any more
                self.values.pop(name, None)
        return "ended"

    def was_run(self, part: str) -> bool:
        """Whether the last run was of the whole page, or of this part of it."""
        return not self.parts_run or part in self.parts_run

    def usable(self, *keys: str) -> list[Control]:
        """The controls with such keys that can be used now."""
        return [
            control
            for name, control in self.controls.items()
            if not control.widget.disabled and any(fnmatchcase(key_of(name), key) for key in keys)
        ]

    def states(self) -> "list[WidgetState]":
        """What all controls stand at, as a browser sends it with every change."""
        known = ((name, self.controls.get(name), values) for name, values in self.values.items())
        return [wire(control, values) for name, control, values in known if control is not None]


def key_of(name: str) -> str:
    """Give the key that the app's code has for a control: the end of its id, ``$$ID-<hash>-<key>``."""
    return name.split("-", 2)[-1]


def values_told(kind: str, widget: Any) -> list[Any]:
    """Give what a control stands at when it comes: a list of numbers or of texts."""
    if kind == "slider" and widget.type != widget.SELECT_SLIDER:
        return list(widget.value if widget.set_value else widget.default)
    if kind == "number_input":
        return [widget.value if widget.set_value else widget.default]
    if kind == "selectbox":
        if widget.set_value:
            return [widget.raw_value]
        return [widget.options[widget.default]] if widget.HasField("default") else []
    told = widget.raw_value if kind == "slider" else widget.raw_values
    return list(told) if widget.set_value else [texts(kind, widget)[int(place)] for place in widget.default]


def texts(kind: str, widget: Any) -> list[str]:
    """Give the options of a control as it shows them."""
    if kind == "button_group":
        return [f"{option.content_icon} {option.content}".strip() for option in widget.options]
    return list(widget.options)


def another(control: Control, now: list[Any], dice: random.Random) -> list[Any]:
    """Choose something else than a control stands at; the same where there is nothing else."""
    kind, widget = control.kind, control.widget
    if kind == "number_input" or (kind == "slider" and widget.type != widget.SELECT_SLIDER):
        value = widget.min + widget.step * dice.randint(0, round((widget.max - widget.min) / widget.step))
        return [min(value, widget.max)]
    others = [text for text in texts(kind, widget) if [text] != now]
    return [dice.choice(others)] if others else now


def wire(control: Control, values: list[Any]) -> "WidgetState":
    """Write what a control stands at as the protocol has it."""
    from streamlit.proto.WidgetStates_pb2 import WidgetState

    state = WidgetState(id=control.widget.id)
    if control.kind == "button":
        state.trigger_value = True
    elif control.kind == "number_input":
        state.double_value = values[0]
    elif control.kind == "selectbox":
        if values:
            state.string_value = values[0]
    elif control.kind == "slider" and control.widget.type != control.widget.SELECT_SLIDER:
        state.double_array_value.data[:] = values
    else:
        state.string_array_value.data[:] = values
    return state


# ---- A visitor -----------------------------------------------------------------------------------------------


@dataclass
class Findings:
    """What all visitors met with."""

    waits: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # kind → seconds
    problems: Counter[str] = field(default_factory=Counter)  # what went wrong → how often
    renewed: int = 0  # parts of pages asked for
    lost: int = 0  # visitors whose connection broke
    silent: int = 0  # changes without an answer in time
    megabytes: list[float] = field(default_factory=list)  # after the first minute, and at the end


class Visitor:
    """One connection to the server, and what its visitor does there."""

    def __init__(self, socket: "ClientConnection", shown: Shown, findings: Findings, dice: random.Random):
        self.socket, self.shown, self.findings, self.dice = socket, shown, findings, dice
        self._answered, self.over = asyncio.Event(), False  # over: the connection has ended
        self._sent, self._part = 0.0, ""  # the change that waits for its answer: when, and where
        self._run_began, self._run_ended = 0.0, 0.0
        self._renewing: dict[str, asyncio.Task[None]] = {}

    async def listen(self) -> None:
        """Take in what the server sends, until the connection ends; then nobody need wait for an answer."""
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        try:
            async for data in self.socket:
                self._hear(ForwardMsg.FromString(bytes(data)))  # type: ignore[arg-type]
        finally:
            self.over = True
            self._answered.set()

    def _hear(self, message: "ForwardMsg") -> None:
        kind = self.shown.read(message)
        if kind == "new_session":
            self._run_began = time.perf_counter()
        elif kind == "ended" and self._run_began >= self._sent and self.shown.was_run(self._part):
            self._run_ended = time.perf_counter()
            self._answered.set()
        self._renew()
        self.findings.problems.update(self.shown.problems)
        self.shown.problems.clear()

    def _renew(self) -> None:
        """Start to ask for parts that are to renew themselves, and cease for those that are not."""
        for part in self._renewing.keys() - self.shown.renewals.keys():
            self._renewing.pop(part).cancel()
        for part in self.shown.renewals.keys() - self._renewing.keys():
            self._renewing[part] = asyncio.create_task(self._keep_asking(part, self.shown.renewals[part]))

    async def _keep_asking(self, part: str, seconds: float) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):  # whoever sends the next change says so
            while True:
                await asyncio.sleep(seconds)
                self.findings.renewed += 1
                await self._send(fragment_id=part, is_auto_rerun=True)

    async def _send(self, pressed: Control | None = None, **more: Any) -> None:
        from streamlit.proto.BackMsg_pb2 import BackMsg

        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash = self.shown.query, self.shown.page
        state.cached_message_hashes[:] = self.shown.hashes
        state.widget_states.widgets.extend(self.shown.states())
        if pressed is not None:
            state.widget_states.widgets.append(wire(pressed, []))
        for name, value in more.items():
            setattr(state, name, value)
        await self.socket.send(message.SerializeToString())

    async def change(self, what: str, part: str = "", pressed: Control | None = None, **more: Any) -> None:
        """Send a change, and wait until a run that began after it has ended: of the page, or of the part concerned."""
        self._answered.clear()
        self._sent, self._part = time.perf_counter(), part
        await self._send(pressed, fragment_id=part, **more)
        try:
            await asyncio.wait_for(self._answered.wait(), PATIENCE)
        except TimeoutError:
            self.findings.silent += 1
            return
        if self.over:
            raise ConnectionError(LOST)
        self.findings.waits[what].append(self._run_ended - self._sent)

    async def go(self, path: str) -> None:
        """Go to another page; a browser takes along no controls and nothing of the address."""
        self.shown.controls.clear()
        self.shown.values.clear()
        self.shown.renewals.clear()
        self._renew()
        self.shown.query, self.shown.page = "", self.shown.pages[path]
        await self.change(GOES)

    async def change_something(self, *keys: str) -> bool:
        """Change one of some controls; False where none of them is there."""
        controls = self.shown.usable(*keys)
        if not controls:
            return False
        control = self.dice.choice(controls)
        name = control.widget.id
        self.shown.values[name] = another(control, self.shown.values.get(name, []), self.dice)
        await self.change(f"a control of *{NAMES[self.shown.path]}*", control.part)
        return True

    async def train(self) -> None:
        """Change a setting, and press Train unless it is busy still."""
        await self.change_something("t", "lam", "seed")
        for button in self.shown.usable("train"):
            await self.change(TRAINS, button.part, button)

    async def look_around(self) -> None:
        """Change something on this page, or go to another."""
        stays = self.dice.random() >= OTHER_PAGE and await self.change_something(*CONTROLS[self.shown.path])
        if not stays:
            others = [path for path in CONTROLS if path in self.shown.pages and path != self.shown.path]
            if others:  # none are known where the first answer is missing still
                await self.go(self.dice.choice(others))

    def leave(self) -> None:
        """Ask for nothing any more."""
        self.shown.renewals.clear()
        self._renew()


def where_to(number: int, visitors: int) -> tuple[str, str, bool]:
    """Give the page and the query with which a visitor comes, and whether it is one that trains."""
    if number < max(1, round(visitors * TRAINING)):
        return "distil", f"hide=question&epochs=60&seeds=3&examples={100 + number}", True
    return list(CONTROLS)[number % len(CONTROLS)], SETTINGS, False


@asynccontextmanager
async def visitor(
    address: str, path: str, query: str, findings: Findings, dice: random.Random
) -> AsyncIterator[Visitor]:
    """Connect to the server as the page of a new visitor does, and open the app."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed
    from websockets.typing import Origin, Subprotocol

    url = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
    origin, protocols = Origin(address), [Subprotocol("streamlit")]
    async with connect(
        url, origin=origin, subprotocols=protocols, compression=None, max_size=None, ping_interval=None
    ) as socket:
        one = Visitor(socket, Shown(path, query), findings, dice)
        listening = asyncio.create_task(one.listen())
        try:
            await one.change(OPENS, page_name=path)
            yield one
            if one.over:
                raise ConnectionError(LOST)
        finally:
            one.leave()
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await listening


async def visit(address: str, number: int, visitors: int, seconds: float, findings: Findings) -> None:
    """Come within the first seconds, and change something at every pace until the time is over."""
    from websockets.exceptions import ConnectionClosed

    dice = random.Random(number)
    end = time.monotonic() + seconds
    await asyncio.sleep(dice.random() * PACE)
    path, query, trains = where_to(number, visitors)
    try:
        async with visitor(address, path, query, findings, dice) as one:
            while (wait := PACE * dice.uniform(0.5, 1.5)) < end - time.monotonic():
                await asyncio.sleep(wait)
                await (one.train() if trains else one.look_around())
            await asyncio.sleep(max(0.0, end - time.monotonic()))
    except (ConnectionClosed, OSError) as problem:
        findings.lost += 1
        findings.problems[f"{type(problem).__name__}: {problem}"] += 1


async def prepare(address: str) -> None:
    """Open every page once, and wait until all its controls are there: teacher and first pictures are made by then."""
    for path, names in CONTROLS.items():
        async with visitor(address, path, SETTINGS, Findings(), random.Random(0)) as one:
            async with asyncio.timeout(SECONDS_TO_PREPARE):
                while not all(one.shown.usable(name) for name in names):
                    await asyncio.sleep(0.1)


def megabytes(address: str) -> float:
    """Give the memory of the server and of all that it started, by its port."""
    import psutil

    port = f"--server.port={address.rsplit(':', 1)[1]}"
    of_server = [child for child in psutil.Process().children() if port in child.cmdline()]
    processes = [process for server in of_server for process in [server, *server.children(recursive=True)]]
    return sum(process.memory_info().rss for process in processes) / 1e6


async def many(address: str, visitors: int, seconds: float) -> Findings:
    """Let all visitors come, and look at the memory after the first minute and at the end."""
    findings = Findings()

    async def look_at_memory() -> None:
        early = min(MEMORY_FROM, seconds / 2)
        await asyncio.sleep(early)
        findings.megabytes.append(megabytes(address))
        await asyncio.sleep(seconds - early - 0.5)
        findings.megabytes.append(megabytes(address))

    async def tell_the_time_left() -> None:
        for _ in tqdm(range(round(seconds)), f"{visitors} visitors", unit="s"):
            await asyncio.sleep(1)

    await asyncio.gather(
        look_at_memory(),
        tell_the_time_left(),
        *(visit(address, number, visitors, seconds, findings) for number in range(visitors)),
    )
    return findings


# ---- The report ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """How long one kind of change took."""

    change: str
    times: int
    median: str
    p95: str
    max: str


@dataclass(frozen=True)
class Claim:
    """What must hold, and what was found."""

    claim: str
    found: str
    holds: bool


def row(change: str, seconds: list[float]) -> Row:
    """Make one row of the table."""
    median, p95 = np.percentile(seconds, [50, 95])
    return Row(change, len(seconds), *(f"{1000 * value:.0f} ms" for value in (median, p95, max(seconds))))


def changes(findings: Findings) -> list[float]:
    """All changes together; to open the app is none."""
    return [second for what, seconds in findings.waits.items() if what != OPENS for second in seconds]


def claims(findings: Findings, expected: str) -> list[Claim]:
    """Compare what was found with what is claimed."""
    problems = findings.problems.total()
    early, late = findings.megabytes
    seconds = changes(findings)
    p95 = float(np.percentile(seconds, 95)) if seconds else float("inf")
    return [
        Claim("no error on any page, or in the server's log", f"{problems} errors", problems == 0),
        Claim("no connection lost", f"{findings.lost} lost", findings.lost == 0),
        Claim(f"every change is answered within {PATIENCE:.0f} s", f"{findings.silent} were not", findings.silent == 0),
        Claim(f"p95 of all changes at most {P95_LIMIT:g} s", f"{p95:.2f} s", p95 <= P95_LIMIT),
        Claim(
            f"memory at the end at most {GROWTH_LIMIT:g} × that {expected}",
            f"{early:.0f} MB, then {late:.0f} MB: {late / early:.2f} ×",
            late <= GROWTH_LIMIT * early,
        ),
    ]


def measure(visitors: int, seconds: float) -> Findings:
    """Serve the app, have its teacher and first pictures made, and let the visitors come."""
    with tempfile.TemporaryFile("w+") as log, browser.server(log) as address:
        asyncio.run(prepare(address))
        findings = asyncio.run(many(address, visitors, seconds))
        log.seek(0)
        findings.problems.update(line for line in log.read().splitlines() if line.startswith("Traceback"))
    return findings


def run(quick: bool = False) -> Report:
    """Measure; quick lets eight visitors come for fifteen seconds."""
    title = "Many at once"
    for package, extra in (("streamlit", "app"), ("psutil", "test")):
        if importlib.util.find_spec(package) is None:
            return Report(title, f"Not measured: {package} is missing: pip install -e '.[{extra}]'", holds=False)
    visitors, seconds = (8, 15.0) if quick else (VISITORS, float(SECONDS))
    findings = measure(visitors, seconds)
    expected = "after the first minute" if seconds > MEMORY_FROM else "after half of the time"
    kept = claims(findings, expected)
    rows = [row(what, findings.waits[what]) for what in sorted(findings.waits)]
    if found := changes(findings):
        rows.append(row("**all changes**", found))
    training = sum(where_to(number, visitors)[2] for number in range(visitors))
    words = (
        f"{visitors} visitors for {seconds:.0f} s, each with a change about every {PACE:g} s; {training} of them train on "
        f"*Distil* again and again. Timed from sending a change until the server says that the page has run. "
        f"Meanwhile the pages asked {findings.renewed} times for parts that renew themselves."
    )
    text = "\n\n".join([words, markdown(rows) if rows else "", markdown(kept)])
    if findings.problems:
        text += "\n\n" + "\n".join(f"- {times} × {problem}" for problem, times in findings.problems.most_common(5))
    return Report(title, text, all(claim.holds for claim in kept))
