"""Recordings of real kernels; README.md says where each comes from."""
