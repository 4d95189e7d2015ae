"""Lab: a model that the reader operates, pictures of its state, a timeline, and a line that says what happened.

A lab computes nothing: it calls models, keeps their snapshots and sets pictures.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ipywidgets as widgets

from mmkit.errors import InvariantError, MmkitError
from mmkit.lab.bar import Bar
from mmkit.lab.flipbook import Flipbook
from mmkit.lab.timeline import Entry, Step, Timeline
from mmkit.lab.words import describe
from mmkit.model.trace import Event, Trace
from mmkit.view.picture import Picture

Method = TypeVar("Method", bound=Callable[..., Any])
_SIGNS = {"": "", "refused": "✘ ", "mistake": "✘ "}


def handler(method: Method) -> Method:
    """Make a lab's method answer errors in the status line, in words.

    A mistake of mmkit's own (anything but a refusal or a bad argument) is shown and raised again.
    """

    @functools.wraps(method)
    def guarded(self: Lab, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except InvariantError as error:
            self.say(f"A mistake in mmkit, please report it: {error}", "mistake")
            raise
        except (MmkitError, ValueError, TypeError) as error:
            self.say(f"{_sentence(str(error))} Nothing has changed.", "refused")
        except Exception as error:
            self.say(f"A mistake in mmkit, please report it: {type(error).__name__}: {error}", "mistake")
            raise
        return None

    return guarded  # type: ignore[return-value]


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


class Lab(widgets.VBox):
    """Controls, pictures, timeline bar and status line around one model.

    A subclass makes its controls, calls ``super().__init__(controls, pictures)`` and :meth:`begin`; has ``draw(entry)``
    that updates the pictures, and ``restore(snapshot)`` that makes a model from a snapshot, with ``self.trace``.
    """

    def __init__(self, controls: Sequence[widgets.Widget], pictures: Sequence[Picture]) -> None:
        self.trace = Trace()
        self.pictures = tuple(pictures)
        self.image = widgets.HTML(layout=widgets.Layout(margin="4px 0", overflow="visible"))
        self.bar = Bar(self)
        self.status = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.message = ""
        super().__init__((*controls, self.image, self.bar, self.status), layout=widgets.Layout(max_width="920px"))
        self.add_class("mmkit-lab")

    @property
    def picture(self) -> Picture:
        """The first picture."""
        return self.pictures[0]

    def draw(self, entry: Entry[Any]) -> None:
        """Update the pictures."""
        raise NotImplementedError

    def controls_follow(self, entry: Entry[Any]) -> None:
        """Let the controls show what the pictures show."""

    def restore(self, snapshot: Any) -> Any:
        """Return a model in the state of ``snapshot`` that tells ``self.trace``."""
        raise NotImplementedError

    def snapshot_of(self, model: Any) -> Any:
        """Return the snapshot of ``model`` that the timeline keeps."""
        return model.snapshot()

    def begin(self, model: Any, label: str) -> None:
        """Start a new timeline with the state that ``model`` is in."""
        self.bar.run(False)
        self.model = model
        self.timeline: Timeline[Any] = Timeline(self.snapshot_of(model), label)
        self.show()

    def act(
        self, title: str, do: Callable[[Any], Any], *, told: Callable[[Any], str] | None = None, instead_of: str = "\0"
    ) -> Any:
        """Let ``do(model)`` happen and put it on the timeline; returns what it returns.

        The model continues from the end of the operation shown. If ``do`` raises, even halfway, nothing has changed.
        ``told`` makes the last step's words from the result. An operation at the end of the timeline whose title starts
        with ``instead_of`` is replaced.
        """
        self.bar.run(False)
        settled = self.timeline.settled.snapshot
        model = self.model if self.timeline.at_end else self.restore(settled)
        steps: list[Step[Any]] = []
        stop = self.trace.listen(lambda event: steps.append(self.step(event, model)) if self.is_step(event) else None)
        try:
            result = do(model)
        except Exception:
            if model is self.model and self.snapshot_of(model) != settled:
                self.model = self.restore(settled)
            raise
        finally:
            stop()
            self.trace.clear()
        end = self.snapshot_of(model)
        if not steps or steps[-1][1] != end or told:
            steps.append((told(result) if told else title, end, None))
        replaced = self.timeline.at_end and self.timeline.title.startswith(instead_of)
        if replaced:
            self.timeline.undo()
        dropped = self.timeline.record(title, steps) - replaced
        self.model = model
        self.show(f" This replaces {dropped} undone operation{'s' * (dropped > 1)}." if dropped else "")
        return result

    def act_step_by_step(self, title: str, do: Callable[[Any], str]) -> None:
        """As :meth:`act`, but show the first of its steps; the last one's words are what ``do`` returns."""
        self.act(title, do, told=str)
        start = self.timeline.ends[-2] + 1
        if len(self.timeline) - start > 1:
            self.timeline.go(start)
            self.show(" Forward goes on, step by step; Last shows what came of it.")

    def is_step(self, event: Event) -> bool:
        """Say whether the timeline keeps an event."""
        return True

    def step(self, event: Event, model: Any) -> Step[Any]:
        """Return what the timeline keeps of ``event``."""
        return describe(event), self.snapshot_of(model), event

    def show(self, more: str = "") -> None:
        """Draw the entry that the timeline is at, say what it is, and let the bar follow."""
        entry = self.timeline.current
        self.draw(entry)
        self.image.value = self.live_html()
        # What the reader waits for is the picture: controls that follow it are sent after it.
        self.controls_follow(entry)
        self.bar.follow(self.timeline.index, len(self.timeline) - 1)
        self.say(self.where() + more)

    def redraw(self) -> None:
        """Draw the step shown once more, since the way to look at it has changed."""
        self.draw(self.timeline.current)
        self.image.value = self.live_html()

    def where(self) -> str:
        """Return in words which step is shown."""
        timeline, entry = self.timeline, self.timeline.current
        if not entry.operation:
            return f"Start: {entry.label}."
        start = timeline.ends[entry.operation - 1]
        nr_steps = timeline.ends[entry.operation] - start
        step = f", step {timeline.index - start} of {nr_steps}" if nr_steps > 1 else ""
        what = f": {entry.label}" if entry.label != timeline.title else ""
        return f"{entry.operation}. {_sentence(timeline.title)[:-1]}{step}{what}".removesuffix(".") + "."

    def say(self, words: str, kind: str = "") -> None:
        """Put words on the status line; ``kind`` is "", "refused" or "mistake"."""
        self.message = words
        colour = "var(--jp-error-color1, #a50f15)" if kind else "inherit"
        look = f"min-height:2.6em;line-height:1.3;color:{colour}"
        text = html.escape(_SIGNS[kind] + words)
        self.status.value = f'<div role="status" aria-live="polite" style="{look}">{text}</div>'

    def _move(self, move: Callable[[], object], stuck: str) -> None:
        self.bar.run(False)
        before = self.timeline.index
        move()
        self.show()
        if before == self.timeline.index:
            self.say(stuck)

    @handler
    def go(self, index: int) -> None:
        """Show step ``index`` of the timeline."""
        if index != self.timeline.index:
            self.timeline.go(index)
            self.show()

    @handler
    def first(self) -> None:
        """Show the start."""
        self._move(self.timeline.first, "This is the start already.")

    @handler
    def back(self) -> None:
        """Go one step back."""
        self._move(self.timeline.back, "This is the start: there is no step before it.")

    @handler
    def forward(self) -> None:
        """Go one step forward."""
        self._move(self.timeline.forward, "This is the newest step: there is none after it.")

    @handler
    def last(self) -> None:
        """Show the newest step."""
        self._move(self.timeline.last, "This is the newest step already.")

    @handler
    def undo(self) -> None:
        """Show the state before the operation shown."""
        self._move(self.timeline.undo, "There is nothing to undo.")

    @handler
    def redo(self) -> None:
        """Show the operation that was undone, done again."""
        self._move(self.timeline.redo, "There is nothing to redo.")

    @handler
    def play(self) -> None:
        """Play on from the step shown; from the newest one, play the last operation again."""
        if len(self.timeline) == 1:
            self.bar.run(False)
            self.say("There is nothing to play yet: do something first.")
            return
        if self.timeline.index == len(self.timeline) - 1:
            self.timeline.undo()
            self.show()
        self.bar.run(True)

    @handler
    def pause(self) -> None:
        """Stop playing."""
        self.bar.run(False)

    def picture_html(self) -> str:
        """Return all pictures as ``<img>`` elements, one below the other."""
        return "".join(picture.html() for picture in self.pictures)

    def live_html(self) -> str:
        """Return what the page shows while a kernel runs: the pictures, unless a lab has something quicker."""
        return self.picture_html()

    def flipbook(self) -> Flipbook:
        """Return the whole timeline as ready pictures, for a page in which no kernel runs."""
        here, frames = self.timeline.index, []
        for index in range(len(self.timeline)):
            self.draw(self.timeline.go(index))
            frames.append((self.picture_html(), self.where()))
        self.draw(self.timeline.go(here))
        return Flipbook(frames, type(self).__name__)

    @property
    def alt(self) -> str:
        """What the pictures show, in words."""
        return " ".join(picture.alt for picture in self.pictures)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs) or {}
        # Where no kernel runs, the last picture and what was said about it remain.
        still = f"<div>{self.picture_html()}<p>{html.escape(self.message)}</p></div>"
        return bundle | {"text/plain": repr(self), "text/html": still}

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.message} {self.alt}"
