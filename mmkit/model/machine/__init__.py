"""A whole machine: every chapter's model in one, each taking its memory from the same frames."""

from mmkit.model.machine.machine import Cpu, Machine
from mmkit.model.machine.process import Process

__all__ = ["Cpu", "Machine", "Process"]
