"""The problems of each chapter: a question from a seed, a check, hints and a worked solution."""

from mmkit.course.problem import Problem, Verdict, Words, read_choice

__all__ = ["Problem", "Verdict", "Words", "read_choice"]
