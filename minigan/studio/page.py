"""The page of one tab: transport and status above, panels below; it shows what is newest."""

import time
from collections.abc import Callable
from typing import Any

from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, CustomJS, Div, TabPanel, Tabs, TextInput

from minigan.studio.changes import as_command, as_python
from minigan.studio.course import Status
from minigan.studio.delivery import UNPACK, Delivery
from minigan.studio.dynamics import Dynamics
from minigan.studio.inside import Networks
from minigan.studio.mirror import Steered
from minigan.studio.programs import Programs
from minigan.studio.settings import Settings
from minigan.studio.taping import TapePanel
from minigan.studio.targets import Targets
from minigan.studio.watch import Sight, Watch
from minigan.studio.watching import Curves, Distributions
from minigan.studio.widgets import Panel, Widgets, safe
from minigan.views.look import CLIPPED, FONT, LIGHT, LOOKS

WIDE = {"sizing_mode": "stretch_width"}
TICK = 10  # ms between two looks for something new
PACE = 0.08  # s between two pictures of a game that is played: more would take from it what nobody sees
LEAD, TRUST = 0.045, 0.3  # s by which a picture is asked for early, and for how long without an answer
LATE = 2.0  # s without an answer of the browser, after which it is asked again
SLOW = 0.25  # s between two updates of the texts while it is played
SPEEDS = {"full": 0.0, "100 a second": 100.0, "30 a second": 30.0, "10 a second": 10.0, "3 a second": 3.0,
          "1 a second": 1.0}  # fmt: skip
# Bokeh's figures listen to the window's size and never cease: each that was replaced would stay in memory.
FORGOTTEN = """
if (window.visualViewport) {
  const plot = Bokeh.Models.get('Plot').prototype.default_view.prototype, {connect_signals, remove} = plot;
  plot.connect_signals = function () {
    const listen = visualViewport.addEventListener;
    visualViewport.addEventListener = (kind, listener) => {
      this.resized = listener;
      listen.call(visualViewport, kind, listener);
    };
    try { connect_signals.call(this); } finally { delete visualViewport.addEventListener; }
  };
  plot.remove = function () {
    visualViewport.removeEventListener('resize', this.resized);
    remove.call(this);
  };
}
"""
TEMPLATE = """
{{% block preamble %}}
<link rel="icon" href="data:,">
<style>
html, body {{ background: {ground}; color: {ink}; font-family: {font}; margin: 0; color-scheme: {name}; }}
@media (max-width: 1270px) {{ html {{ --more: 42px; }} }}  /* the transport goes on below */
body {{ padding: 6px 14px !important; box-sizing: border-box; }}
.bar {{ display: flex; gap: 16px; font-size: 13px; min-height: 20px; align-items: baseline; }}
#about {{ flex: 0 1 auto; }} #message {{ flex: 1 1 0; }}
#step {{ flex: none; font-variant-numeric: tabular-nums; }}
</style>
<script>
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
if (dark && !new URLSearchParams(location.search).has('look')) {{
  location.search = '?look=dark';
}}
</script>
{{% endblock %}}
{{% block contents %}}
<script>{clipped}{forgotten}</script>
<div class="bar"><span id="about"></span><span id="message"></span><span id="step"></span></div>
{{{{ super() }}}}
{{% endblock %}}
"""
# Texts that change often are no models: with each change of one Bokeh would lay the whole page out anew.
ANSWER = (
    UNPACK
    + """
const data = clock.data;
for (const name of ['about', 'message', 'step']) {
  const place = document.getElementById(name);
  if (place && place.innerHTML !== data[name][0]) { place.innerHTML = data[name][0]; }
}
const now = performance.now();
if (now - (window.swept ?? 0) > 5000) {  // Bokeh waits for 30 s without a message to forget what was replaced
  window.swept = now;
  clock.document.freeze_all_models(() => {});
}
requestAnimationFrame(() => { heard.value = String(clock.data.n[0]) });
"""
)


class LivePage:
    """One tab; its state is its own, the course is everybody's."""

    def __init__(self, doc: Any, course: Steered, watch: Watch) -> None:
        self.course, self.watch, self.doc = course, watch, doc
        arguments = doc.session_context.request.arguments if doc.session_context else {}
        asked = arguments.get("look", [b"light"])[0].decode("ascii", "replace")
        self.look = LOOKS.get(asked, LIGHT)
        self.widgets = Widgets(self.look)
        self._shown, self._said_at, self._status = -1, 0.0, Status(run=-1)
        self._sent, self._heard, self._sent_at = 0, 0, 0.0  # signs to the browser, and from it
        self.delivery = Delivery()
        self._named = ""  # what is learnt, as it stands above
        self.texts = {"about": "", "message": "", "step": ""}
        self._moving = False  # whether the slider is moved by the page
        self._places: list[tuple[int, str]] = []
        seen = watch.seen
        self._run, self._scene = seen.run, seen.scene
        self.panels: list[Panel] = [
            Distributions(self.widgets, course, self.delivery, watch),
            Curves(self.widgets, course, self.delivery),
            Networks(self.widgets, self.delivery),
            TapePanel(self.widgets, watch),
            Programs(self.widgets, watch),
            Dynamics(self.widgets, course),
            Settings(self.widgets, course),
            Targets(self.widgets, course),
        ]
        self._open: set[int] = set()
        doc.title = "minigan studio"
        doc.template = TEMPLATE.format(font=FONT, clipped=CLIPPED, forgotten=FORGOTTEN, **vars(self.look))
        doc.add_root(column(
            [self._transport(), self._rewinder(), self._tabbed(seen)],
            sizing_mode="stretch_width", spacing=4,
        ))  # fmt: skip
        self._acknowledged()
        doc.add_periodic_callback(self.tick, TICK)
        self.show(seen)

    # ── parts ───────────────────────────────────────────────────────────────────────────────────────────

    def _transport(self) -> Any:
        w = self.widgets
        self.command, self.python = w.hidden("command"), w.hidden("python")
        other = "light" if self.look.name == "dark" else "dark"
        turn = w.button(other, "look")
        turn.js_on_click(CustomJS(code=f"location.search = '?look={other}'"))
        self.play = w.button("▶ play", "play", self._play, main=True, width=84)
        self.count = w.count("", "count", 10, 1, 10**7, width=72, height=30, align="end")
        self.speed = w.choice("", "speed", list(SPEEDS), "full", width=130, height=30, align="end")
        self.speed.on_change("value", self._sped)
        self.name = w.line("", "save_name", "studio", width=90, height=30, align="end")
        return w.bar(
            self.play,
            w.button("step D", "step_d", lambda: self._send(do="step_d")),
            w.button("step G", "step_g", lambda: self._send(do="step_g")),
            w.button("round", "round", lambda: self._send(do="rounds", count=1)),
            self.count,
            w.button("rounds", "rounds", lambda: self._send(do="rounds", count=self.count.value)),
            self.speed,
            w.button("restart", "restart", self._restart),
            w.button("new seed", "new_seed", lambda: self._send(do="restart", seed=-1)),
            self.name,
            w.button("save as run", "save", lambda: self._send(do="save", name=self.name.value)),
            w.copying("copy command", "copy_command", self.command),
            w.copying("copy Python", "copy_python", self.python),
            turn,
            self.command,
            self.python,
        )

    def _rewinder(self) -> Any:
        w = self.widgets
        self.rewind = w.slider(
            "", "rewind", start=0, end=1, value=0, step=1, show_value=False, tooltips=False,
            sizing_mode="stretch_width", margin=(2, 14, 0, 8), align="center",
        )  # fmt: skip
        self.rewind.on_change("value", self._rewound)
        label = w.text("rewind", align="center", margin=(0, 5, 0, 5))
        return row([label, self.rewind], sizing_mode="stretch_width", margin=(2, 0, 2, 0))

    def _tabbed(self, seen: Sight) -> Tabs:
        self.tabs = Tabs(
            tabs=[TabPanel(child=column([], **WIDE), title=panel.title) for panel in self.panels],
            name="tabs", sizing_mode="stretch_width", stylesheets=[self.widgets.sheet],
        )  # fmt: skip
        self._build(0, seen)
        self.tabs.on_change("active", self._turned)
        return self.tabs

    def _build(self, k: int, seen: Sight) -> None:
        if k not in self._open:
            self.tabs.tabs[k].child.children = [self.panels[k].build(seen)]
            self._open.add(k)

    def _acknowledged(self) -> None:
        """The browser says when it has drawn what it was sent: it is sent nothing more before."""
        self.clock = ColumnDataSource(self._signs() | self.delivery.packed(), name="clock")
        self.heard = TextInput(value="0", name="heard", visible=False)
        answer = CustomJS(args={"heard": self.heard, "clock": self.clock}, code=ANSWER)
        self.clock.js_on_change("data", answer)
        self.doc.js_on_event("document_ready", answer)  # what was sent before it was there
        self.heard.on_change("value", self._hear)
        # A source is synchronised where a model of the document holds it.
        holder = Div(visible=False, tags=[self.clock])
        self.doc.add_root(column([self.heard, holder], visible=False))

    def _hear(self, attr: str, old: str, new: str) -> None:
        if new.isascii() and new.isdigit() and len(new) < 18:
            self._heard = int(new)

    # ── commands ────────────────────────────────────────────────────────────────────────────────────────

    def _send(self, **command: Any) -> None:
        refusal = self.course.send(command)
        if refusal is not None:
            self._tell(refusal, refused=True)
            self._sign()

    def _play(self) -> None:
        self._send(do="pause" if self.course.status.playing else "play")

    def _restart(self) -> None:
        self._send(do="restart", seed=self.course.config.seed)

    def _sped(self, attr: str, old: Any, new: Any) -> None:
        self._send(do="speed", per_second=SPEEDS.get(new, 0.0))

    def _rewound(self, attr: str, old: Any, new: Any) -> None:
        if not self._moving and self._places and type(new) in (int, float) and new == new:
            step, turn = self._places[max(0, min(int(new), len(self._places) - 1))]
            self._send(do="rewind", step=step, turn=turn)

    def _turned(self, attr: str, old: Any, new: Any) -> None:
        self._build(self._active, self.watch.seen)
        self._shown = -1

    @property
    def _active(self) -> int:
        return max(0, min(int(self.tabs.active), len(self.panels) - 1))

    # ── what is shown ───────────────────────────────────────────────────────────────────────────────────

    def tick(self) -> None:
        """Show what is newest, if the browser has drawn what it was sent last.

        One that is hidden or gone draws nothing and so asks for nothing; now and then it is asked again.
        """
        now = time.monotonic()
        early = self._sent_at + PACE - now if self.course.status.playing else 0.0
        drawn = self._heard >= self._sent
        if early <= LEAD and (drawn or now - self._sent_at < TRUST):  # read while the last one is drawn
            self.watch.want(*self.panels[self._active].parts, "point")
        if drawn and early <= LEAD:
            seen = self.watch.seen
            if seen.number != self._shown and early <= 0:
                self.show(seen)
            elif self.delivery.waiting or now - self._sent_at > LATE:
                self._sign()
        elif now - self._sent_at > LATE:
            self._sign()
        self.panels[self._active].refresh()
        status = self.course.status
        turned = status.playing != self._status.playing  # who pressed a button waits for its answer
        if turned or self._status is not status and now - self._said_at > SLOW:
            self._say(now)
            if self._heard >= self._sent:
                self._sign()

    def show(self, seen: Sight) -> None:
        """Draw what is seen, and say that it was sent."""
        if seen.run != self._run or self._stale(seen):
            self._run = seen.run
            self._open = {k for k in self._open if self.panels[k].lasting}
            self._scene = seen.scene
        self._build(self._active, seen)
        self.panels[self._active].show(seen)
        self._shown = seen.number
        self._say(time.monotonic(), force=not self.course.status.playing)
        self._sign()

    def _stale(self, seen: Sight) -> bool:
        """Whether what is built is of another game."""
        old, new = self._scene, seen.scene
        return (old.target, old.names, old.critic, old.level) != (
            new.target,
            new.names,
            new.critic,
            new.level,
        )

    def _sign(self) -> None:
        self._sent, self._sent_at = self._sent + 1, time.monotonic()
        self.clock.data = self._signs() | self.delivery.packed()

    def _signs(self) -> dict[str, list[Any]]:
        """The texts above, and by what number the browser answers that it has drawn them."""
        rows = self.watch.seen.rows
        measured = rows[-1]["step"] if rows else -1
        return {
            "n": [self._sent],
            "measured": [measured],
            **{name: [text] for name, text in self.texts.items()},
        }

    def _say(self, now: float, force: bool = False) -> None:
        """The texts: step, speed, message, commands; and the slider."""
        status, latest = self.course.status, self.course.latest
        config = self.course.config
        changed = (status.playing, status.message, status.run, status.changes) != (
            self._status.playing, self._status.message, self._status.run, self._status.changes,
        )  # fmt: skip
        turn = ", G's turn" if latest.turn == "G" else ""
        rate = f", {status.rate:,.0f} a second" if status.playing and status.rate else ""
        self.texts["step"] = f"<b>step {latest.step:,}</b> of {config.steps:,}{turn}{rate}"
        if not (force or changed or now - self._said_at > SLOW):
            return
        self._status, self._said_at = status, now
        _set(self.play, "label", "❚❚ pause" if status.playing else "▶ play")
        self._tell(status.message, status.refused)
        self._move_slider(latest.place)
        if changed or self._named != self._scene.target:
            self._named = self._scene.target
            by_hand = f" · changed by hand: {safe(status.changes[-1])}" if status.changes else ""
            self.texts["about"] = (
                f"<b>minigan studio</b> · {safe(self._scene.target[:80])} · {safe(config.objective)} · "
                f"seed {config.seed}{by_hand}"
            )
            _set(self.command, "text", safe(as_command(self.course.request)))
            _set(self.python, "text", safe(as_python(self.course.request)))

    def _tell(self, text: str, refused: bool = False) -> None:
        colour = self.look.bad if refused else self.look.ink
        self.texts["message"] = f"<span style='color:{colour}'>{safe(text)}</span>" if text else ""

    def _move_slider(self, place: tuple[int, str]) -> None:
        self._places = [kept.place for kept in self.course.record]
        at = self._places.index(place) if place in self._places else len(self._places) - 1
        self._moving = True
        try:
            _set(self.rewind, "end", max(1, len(self._places) - 1))
            _set(self.rewind, "value", max(0, at))
        finally:
            self._moving = False


def _set(model: Any, name: str, value: Any) -> None:
    """Set what is other than it was: nothing else is sent."""
    if getattr(model, name) != value:
        setattr(model, name, value)


def builder(course: Steered, watch: Watch) -> Callable[[Any], None]:
    """What makes a page of a new document."""

    def build(doc: Any) -> None:
        LivePage(doc, course, watch)

    return build
