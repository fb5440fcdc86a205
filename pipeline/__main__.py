"""`python -m pipeline` is `asterism`."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
