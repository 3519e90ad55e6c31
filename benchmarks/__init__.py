"""`make bench`: what costs how much, each figure beside its peer of the same run."""
