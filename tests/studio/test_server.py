"""Who is let in: the token, this host, this origin; what else is asked changes nothing."""

import socket
import urllib.error
import urllib.request

import pytest

pytest.importorskip("bokeh", reason="the page needs bokeh, the extra ui")

from minigan.errors import UnavailableError
from minigan.front.configuration import request_of
from minigan.studio.course import wait_for
from minigan.studio.server import PageServer
from minigan.studio.studio import Studio
from minigan.studio.watch import Watch
from tests.studio.test_course import SMALL


@pytest.fixture(scope="module")
def studio():
    """One with its page in another process; and a watch in this one, for pages without a server."""
    with Studio(request_of(None, None, SMALL, environ={})) as made:
        made.watch = Watch(made.course)
        made.watch.start()
        made.port, made.token = int(made.url.split(":")[2].split("/")[0]), made.url.split("/")[3]
        yield made
        made.watch.close()


def status(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_token_lets_in_and_nothing_else_does(studio):
    assert status(studio.url) == 200
    root = f"http://127.0.0.1:{studio.port}/"
    token = studio.token
    wrong = ["", "ws", "static/js/bokeh.min.js", "autoload.js", "favicon.ico", token[:-1], token + "x/",
             token.swapcase() + "/", "x/" + token, "%2e%2e/", "//" + token]  # fmt: skip
    assert {path: status(root + path) for path in wrong} == dict.fromkeys(wrong, 403)
    for path in ("ws", "static/js/bokeh.min.js", ""):
        assert status(studio.url + path, Origin="http://evil.example") == 403
        assert status(studio.url + path, Origin=f"http://127.0.0.1:{studio.port + 1}") == 403
        assert status(studio.url + path, Origin="null") == 403
        assert status(studio.url + path, Host="evil.example") == 403
    assert status(studio.url, Origin=root[:-1]) == 200


def test_it_listens_on_this_machine_alone(studio):
    assert len(studio.token) >= 32
    here = [one for one in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    others = {one[4][0] for one in here} - {"127.0.0.1"}
    for address in others | {"127.0.0.2"}:
        with pytest.raises(OSError), socket.create_connection((address, studio.port), timeout=2):
            pass


def websocket(studio, origin, path="ws", token="x"):
    """The first line of the answer to a handshake."""
    request = (
        f"GET /{studio.token}/{path} HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: bokeh, {token}\r\nOrigin: {origin}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", studio.port), timeout=10) as line:
        line.sendall(request.encode())
        return line.recv(200).split(b"\r\n")[0]


def test_a_page_of_another_origin_gets_no_websocket(studio, monkeypatch):
    own = f"http://127.0.0.1:{studio.port}"
    assert b"101" in websocket(studio, own)
    monkeypatch.setenv("BOKEH_ALLOW_WS_ORIGIN", "evil.example")
    assert b"403" in websocket(studio, "http://evil.example")


def test_rubbish_on_the_line_changes_nothing(studio):
    before = studio.course.latest
    for rubbish in (b"\x00" * 5000, b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
                    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 20_000 + b"\r\n"):  # fmt: skip
        with socket.create_connection(("127.0.0.1", studio.port), timeout=5) as line:
            try:
                line.sendall(rubbish)
                line.shutdown(socket.SHUT_WR)
                line.recv(100)
            except OSError:
                pass
    assert status(studio.url) == 200 and studio.course.latest is before


def test_a_port_that_is_taken_is_refused(studio):
    with pytest.raises(UnavailableError, match=r"port \d+ of 127.0.0.1 cannot be taken"):
        PageServer(lambda doc: None, studio.port)


def test_two_pages_see_one_course_and_their_buttons_steer_it(studio):
    from bokeh.document import Document
    from bokeh.events import ButtonClick

    from minigan.studio.page import LivePage

    pages = [LivePage(Document(), studio.course, studio.watch) for _ in range(2)]

    def press(name):
        done = studio.course.obeyed
        model = pages[0].doc.get_model_by_name(name)
        model._trigger_event(ButtonClick(model))
        assert wait_for(lambda: studio.course.obeyed > done and not studio.course.status.playing)

    press("round")
    press("step_d")
    assert studio.course.latest.place == (1, "G")
    press("step_g")
    pages[0].count.value = 5
    press("rounds")
    assert studio.course.latest.step == 7

    def both():
        for page in pages:
            page._heard = page._sent  # as a browser answers
            page.tick()
        return all("step 7" in page.texts["step"] and page._shown > 0 for page in pages)

    assert wait_for(both)
    one, other = (page.delivery.shown[page.panels[0].view.sources["densities"].id]["q"] for page in pages)
    assert (one == other).all()
    places = pages[1]._places
    done = studio.course.obeyed
    pages[1].rewind.value = places.index((1, "D"))
    assert wait_for(lambda: studio.course.obeyed > done) and studio.course.latest.place == (1, "D")
    pages[0].tabs.active = 1
    assert wait_for(lambda: both() or "step 1" in pages[1].texts["step"])
    pages[0].name.value = "../../etc"
    press_refused = pages[0].texts["message"]
    pages[0]._send(do="save", name=pages[0].name.value)
    assert "letters, digits" in pages[0].texts["message"] and press_refused != pages[0].texts["message"]
    for page in pages:
        page.doc.validate()


def test_a_page_that_does_not_answer_is_sent_nothing(studio):
    from bokeh.document import Document

    from minigan.studio.page import LivePage

    page = LivePage(Document(), studio.course, studio.watch)
    sent = page._sent
    for value in ("", "9" * 30, "-1", "²", "x", "1e3"):
        page.heard.value = value
    assert page._heard == 0
    studio.course.send({"do": "rounds", "count": 3})
    assert wait_for(lambda: studio.course.latest.step >= 4)
    for _ in range(5):
        page.tick()
    assert page._sent == sent and "step 4" not in page.texts["step"]
    page.heard.value = str(sent)
    assert wait_for(lambda: page.tick() or page._sent > sent)


class Hand:
    """Who turns pages and presses buttons, and answers as a browser does."""

    def __init__(self, studio):
        from bokeh.document import Document

        from minigan.studio.page import LivePage

        self.page = LivePage(Document(), studio.course, studio.watch)
        self.by_title = {panel.title: k for k, panel in enumerate(self.page.panels)}

    def press(self, name):
        from bokeh.events import ButtonClick

        model = self.page.doc.get_model_by_name(name)
        model._trigger_event(ButtonClick(model))

    def come(self, condition):
        def look():
            self.page._heard = self.page._sent
            self.page.tick()
            return condition()

        assert wait_for(look, 30)


def test_what_is_inside_can_be_opened_and_used(studio):
    hand = Hand(studio)
    page, press, come, by_title = hand.page, hand.press, hand.come, hand.by_title
    page.tabs.active = by_title["Networks"]
    come(lambda: page.panels[by_title["Networks"]].view is not None)
    networks = page.panels[by_title["Networks"]]
    networks._tapped("D", "weights", "indices", [], [0])  # a click on the first ridge
    assert networks.choice.value == "D 0.W"
    networks._tapped("D", "weights", "indices", [], [99])
    assert networks.view.sources["matrix"].data["image"][0].shape == (1, 4)  # no bytes, so set by Bokeh

    page.tabs.active = by_title["Tape"]
    tape = page.panels[by_title["Tape"]]
    come(lambda: tape.view is not None)
    press("tape_next")
    press("tape_next")
    assert tape.view.done == 2 and "cotangent" in tape.detail.text and "2 of" in tape.where.text
    tape._tapped("indices", [], [0])
    assert tape.view.chosen == 0
    press("tape_last")
    assert tape.view.done == len(tape.view.tape.back)

    page.tabs.active = by_title["Program"]
    program = page.panels[by_title["Program"]]
    come(lambda: "values in" in program.texts[0].text and "values in" in program.texts[1].text)
    for what in ("C, as native runs it", "CUDA C, one kernel for the step", "as recorded"):
        program.choices[0].value = what
        come(lambda: "reading" not in program.texts[0].text)
        assert "float" in program.texts[0].text, what


def test_settings_and_targets_are_set_and_drawn(studio):
    hand = Hand(studio)
    page, press, come, by_title = hand.page, hand.press, hand.come, hand.by_title
    page.tabs.active = by_title["Settings"]
    settings, done = page.panels[by_title["Settings"]], studio.course.obeyed
    settings.inputs["generator_optimizer.rate"].value = "0.03"
    assert wait_for(lambda: studio.course.obeyed > done)
    assert studio.course.config.generator_optimizer.rate == 0.03
    done = studio.course.obeyed
    settings.inputs["batch"].value = "many"
    assert wait_for(lambda: studio.course.obeyed > done)
    come(lambda: settings.inputs["batch"].value == "16")
    assert studio.course.status.refused

    page.tabs.active = by_title["Target"]
    targets, run = page.panels[by_title["Target"]], studio.course.status.run
    targets.points.data = {"x": [0.0, 1.0, "no"], "y": [1.0, 0.0, 1.0]}
    press("learn_points")
    assert "two points" in targets.said.text
    targets.points.data = {"x": [0.0, 1.0, 0.5], "y": [1.0, 0.0, 0.7]}
    press("learn_points")
    assert wait_for(lambda: studio.course.status.run == run + 1) and studio.course._experiment.features == 2
    targets._uploaded("value", "", "no base64 §")
    assert "UTF-8" in targets.said.text
    press("learn_density")
    assert wait_for(lambda: studio.course.status.run == run + 2) and studio.course._experiment.features == 1

    studio.course.send({"do": "preset", "name": "dirac-gan"})
    page.tabs.active = by_title["Two numbers"]
    dynamics = page.panels[by_title["Two numbers"]]
    come(lambda: dynamics.view is not None and len(dynamics.view.sources["rest"].data["x"]) == 2)
    assert "steps of 0.1" in dynamics.said.text
    page.doc.validate()


def test_a_message_holds_what_is_new_and_nothing_else():
    import json

    import numpy as np
    from bokeh.models import ColumnDataSource

    from minigan.studio.delivery import Delivery

    sent, source, other = Delivery(), ColumnDataSource(), ColumnDataSource()
    line = {"x": np.array([1.0, np.nan]), "colour": ["red", "green"]}
    sent.put(source, line)
    sent.put(
        other, {"image": [np.eye(3, dtype="uint8")], "xs": [np.zeros(2), np.zeros(5)], "y": [np.float64(2)]}
    )
    message = sent.packed()
    table, data = json.loads(message["table"][0]), message["bytes"][0].tobytes()
    kind, at, shape = table[source.id]["x"]
    assert np.array_equal(np.frombuffer(data, kind, shape[0], at), line["x"], equal_nan=True)
    kind, at, shape = table[other.id]["image"]
    assert np.frombuffer(data, kind, 9, at).reshape(shape).tolist() == np.eye(3).tolist() and at % 8 == 0
    assert table[other.id]["xs"]["lengths"] == [2, 5] and table[other.id]["y"] == {"plain": [2.0]}
    assert table[source.id]["colour"] == {"plain": ["red", "green"]}
    sent.put(source, {name: values.copy() for name, values in line.items()})
    assert sent.packed()["table"] == ["{}"], "it is there already"
    sent.put(source, line | {"x": np.array([1.0, 2.0])})
    assert list(json.loads(sent.packed()["table"][0])) == [source.id]
    sent.put(source, {"image": [np.eye(3, dtype="float32")]})
    assert sent.packed()["table"] == ["{}"] and source.data["image"][0].shape == (3, 3)
