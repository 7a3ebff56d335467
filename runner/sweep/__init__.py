"""Sweeps: many experiments from one line, those of one structure on one compiled program, each a run of its own."""
