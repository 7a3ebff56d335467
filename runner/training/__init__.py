"""Training any number of members: what is planned, what was measured so far, and the one driver for all modes.

A `Plan` is fixed before the first step. `train.State` is what training changes on the device. A `Ledger` is what was
measured. The driver (`runner.training.driver`) trains members in sequence, in threads, or mapped into one program, and
tells observers of four events.
"""
