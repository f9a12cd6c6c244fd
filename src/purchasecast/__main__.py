"""``python -m purchasecast`` is the command line."""

from purchasecast.cli import main

if __name__ == "__main__":
    main()
