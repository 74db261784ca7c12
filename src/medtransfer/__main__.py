"""``python -m medtransfer``."""

from medtransfer.cli.app import main

if __name__ == "__main__":
    main()
