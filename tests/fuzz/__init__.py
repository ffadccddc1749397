"""A fuzzer for what comes from the network: `python -m tests.fuzz --help`."""
