"""Events of a machine in words."""

from __future__ import annotations

from mmkit.model import machinetrace
from mmkit.model.trace import Event


def machine_in_words(event: Event) -> str:
    """Return one sentence that says what an event of a machine does; nothing for one of another topic.

    >>> machine_in_words(machinetrace.FaultDone(0x1000, True, False, "a new page of zeros"))
    'Served: behind the page at 0x1000 stands a new page of zeros.'
    """
    match event:
        case machinetrace.FaultDone():
            read = ", read from the disk" if event.major else ""
            return f"Served: behind the page at 0x{event.addr:x} stands {event.what}{read}."
        case machinetrace.SchedProcessFork():
            return f"Process {event.parent_pid} has a child, {event.child_pid}."
        case machinetrace.SchedProcessExit():
            return f"Process {event.pid} ends."
    return ""
