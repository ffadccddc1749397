"""`python -m broker` is `hubbub`."""

from broker.cli import main

if __name__ == "__main__":
    main(prog_name="hubbub")
