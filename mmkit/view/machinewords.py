"""Events of a machine in words."""

from __future__ import annotations

from mmkit.model import machinetrace, malloctrace
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
        case machinetrace.AreaFound():
            may = "written" if event.write else "read"
            return f"The area at 0x{event.start:x} holds the address, and may be {may}: {event.perms}."
        case machinetrace.AnonVmaNew():
            return f"The area at 0x{event.start:x} gets anon_vma {event.number}: so its pages will lead back to it."
        case machinetrace.ClearPage():
            return f"Frame 0x{event.pfn:x} is filled with zeros: nobody may see what was in it before."
        case machinetrace.SchedProcessFork():
            return f"Process {event.parent_pid} has a child, {event.child_pid}."
        case machinetrace.SchedProcessExit():
            return f"Process {event.pid} ends."
    return _of_library(event)


def _of_library(event: Event) -> str:
    match event:
        case malloctrace.LibraryCall():
            return f"The program calls {event.call}: a function of the C library. The kernel knows nothing of it."
        case malloctrace.SystemCall():
            return f"The library asks the kernel: {event.call}."
        case malloctrace.ChunkHeader():
            where = f"at 0x{event.addr:x}, 8 bytes in front of {event.what}"
            return f"The library writes a size {where}: {event.size:,} bytes."
        case malloctrace.ChunkLinks():
            return f"The library keeps the chunk for later: links to others of its list go to 0x{event.addr:x}."
        case malloctrace.LibraryReturn():
            value = f": {event.value}" if event.value else ""
            return f"{event.call} returns to the program{value}."
    return ""
