"""The problems of each chapter: a question from a seed, a check, hints and a worked solution."""
