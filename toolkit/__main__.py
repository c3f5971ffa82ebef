"""``python -m toolkit`` is ``fmnist-tk``."""

from toolkit.cli import main

if __name__ == "__main__":
    main()
