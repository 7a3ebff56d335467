"""The launcher `fused`."""
