"""What differs between runs, and their results side by side: for the verbs `diff` and `compare`."""
