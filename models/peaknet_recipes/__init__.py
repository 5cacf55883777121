"""What export.py and compare.py share. In a package of its own, so that no module here hides one of the same name that a
user's network imports: upstream's package is called peaknet too."""
