"""Sweeps: many experiments from one command, each with its own run; equal structures share a compiled program."""
