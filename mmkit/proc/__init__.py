"""The kernel's text formats: parse(text) gives a snapshot, format(snapshot) the same text, byte for byte."""
