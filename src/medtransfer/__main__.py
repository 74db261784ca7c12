"""``python -m medtransfer``."""

from medtransfer.cli.main import main

if __name__ == "__main__":
    main()
