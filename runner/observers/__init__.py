"""Who is told of trainings: the recorder, the terminal, the profiler, and the search for a NaN."""
